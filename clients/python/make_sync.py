"""Makes the synchronous client from the asynchronous one: the same methods with the same words.

make_sync.py src/culld/aio.py > src/culld/_sync.py
"""

import ast
import re
import sys
import textwrap

CLASSES = {"AsyncClient": "Client", "Operation": "Operation", "Review": "Review"}
SKIPPED = {"close", "connect"}

HEADER = '''"""The synchronous client. Made by make_sync.py from aio.py: change that one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import grpc.aio

from . import aio, api
from ._add import Addable, Progress
from ._loop import Loop
from ._pictures import ContactSheet, Embeddings
from ._retry import MessageT, Retry
from .aio import Answer, Change

ResponseT = TypeVar("ResponseT")
'''

BASES = {
    "Operation": '''
    def __init__(self, loop: Loop, inner: aio.Operation) -> None:
        self._loop = loop
        self._inner = inner

    @property
    def message(self) -> api.Operation:
        """As it was when last looked at."""
        return self._inner.message
''',
    "Review": '''
    def __init__(self, loop: Loop, inner: aio.Review) -> None:
        self._loop = loop
        self._inner = inner
        self.item = inner.item
        self.estimate = inner.estimate
        self.enough = inner.enough

    @property
    def answered(self) -> api.AnswerReviewResponse | None:
        """What became of the answer, once it was given."""
        return self._inner.answered
''',
    "AsyncClient": '''
    def __init__(self, loop: Loop, inner: aio.AsyncClient) -> None:
        self._loop = loop
        self._inner = inner
        #: The collection worked on; empty means ``"default"``.
        self.collection = inner.collection
        #: Who acts, for the log.
        self.actor = inner.actor
        self.admin = inner.admin
        self.clusterings_api = inner.clusterings_api
        self.collections_api = inner.collections_api
        self.decisions_api = inner.decisions_api
        self.images_api = inner.images_api

    def call(
        self,
        method: Callable[..., grpc.aio.UnaryUnaryCall[MessageT, ResponseT]],
        request: MessageT,
        *,
        timeout: float | None = None,
    ) -> ResponseT:
        """One unary call of a stub with this client's token, retries, deadline and errors."""
        return self._loop.run(self._inner.call(method, request, timeout=timeout))

    def stream(
        self,
        method: Callable[..., grpc.aio.UnaryStreamCall[MessageT, ResponseT]],
        request: MessageT,
        *,
        timeout: float | None = None,
        silence: float | None = None,
    ) -> Generator[ResponseT]:
        """The messages of one server stream, in the same way."""
        return self._loop.iterate(self._inner.stream(method, request, timeout=timeout, silence=silence))

    def close(self) -> None:
        """Ends the connection, for all clients that :meth:`at` made of this one."""
        self._loop.run(self._inner.close())
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
''',
}


def sync_words(text):
    """The words of the asynchronous client, for the synchronous one."""
    text = text.replace("AsyncGenerator", "Generator").replace("AsyncClient", "Client")
    text = text.replace("close the generator (``contextlib.aclosing``)", "close the generator (``contextlib.closing``)")
    return re.sub(r" Call it inside a running event loop\.", "", text)


def arguments(function):
    """What is handed on."""
    names = [argument.arg for argument in function.args.args[1:]]
    names += [f"{argument.arg}={argument.arg}" for argument in function.args.kwonlyargs]
    return ", ".join(names + ([f"**{function.args.kwarg.arg}"] if function.args.kwarg else []))


def method(function, decorated):
    """One method."""
    returns = ast.unparse(function.returns)
    inner = f"self._inner.{function.name}" + ("" if decorated else f"({arguments(function)})")
    if returns.startswith("AsyncGenerator"):
        body = f"self._loop.iterate({inner})"
    elif isinstance(function, ast.AsyncFunctionDef):
        body = f"self._loop.run({inner})"
    else:
        body = inner
    made = sync_words(returns)
    if made == "Generator[Review]":
        body = f"(Review(self._loop, review) for review in {body})"
    elif made == "Review | None":
        body = f"None if (review := {body}) is None else Review(self._loop, review)"
    elif made in CLASSES.values():
        body = f"{made}(self._loop, {body})"
    statement = body if made == "None" else f"return {body}"
    words = textwrap.indent(f'"""{ast.get_docstring(function)}"""', "    ").replace("\n    \n", "\n\n")
    if "\n" in words:
        words = words[:-3] + '\n    """'
    signature = f"def {function.name}({ast.unparse(function.args)}) -> {returns}:"
    lines = (["@property"] if decorated else []) + [sync_words(signature), sync_words(words), f"    {statement}"]
    return textwrap.indent("\n".join(lines), "    ")


def main(path):
    """Prints the module."""
    tree = ast.parse(open(path, encoding="utf-8").read())
    print(HEADER)
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name not in CLASSES:
            continue
        print(f'\nclass {CLASSES[node.name]}:\n    """{sync_words(ast.get_docstring(node, clean=False))}"""')
        print(BASES[node.name], end="")
        for function in node.body:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                if not function.name.startswith("_") and function.name not in SKIPPED:
                    print("\n" + method(function, bool(function.decorator_list)))
        print()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "connect":
            words = textwrap.indent(ast.get_docstring(node), "    ").replace("\n    \n", "\n\n").strip()
            print(f"\ndef connect({sync_words(ast.unparse(node.args))}) -> Client:")
            print(f'    """{sync_words(words)}\n    """\n    loop = Loop()')
            print("    try:")
            print("        inner = loop.make(")
            print(f"            lambda: aio.connect({', '.join(['address'] + arguments(node).split(', ')[0:])})")
            print("        )\n    except BaseException:\n        loop.stop()\n        raise")
            print("    return Client(loop, inner)")


if __name__ == "__main__":
    main(sys.argv[1])
