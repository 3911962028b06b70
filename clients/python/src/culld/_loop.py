"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Loop:
    """Runs coroutines and asynchronous generators for synchronous callers."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="culld", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result. An interrupt (Ctrl-C) cancels it."""
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a callback of the synchronous client can't call it: use culld.aio there")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, generator: AsyncGenerator[T]) -> Generator[T]:
        """The generator's values; leaving early ends it, and the call that it makes."""
        try:
            while True:
                try:
                    value = self.run(_next(generator))
                except StopAsyncIteration:
                    return
                yield value
        finally:
            if self._thread.is_alive():
                self.run(generator.aclose())

    def make(self, construct: Callable[[], T]) -> T:
        """Calls a function inside the loop."""

        async def inside() -> T:
            return construct()

        return self.run(inside())

    def stop(self) -> None:
        """Ends the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(generator: AsyncGenerator[T]) -> T:
    return await anext(generator)
