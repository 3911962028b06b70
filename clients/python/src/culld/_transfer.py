"""Whole collections, to files and back, piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import grpc

from . import errors
from ._connection import Connection
from ._retry import once
from .v1.collection_service_pb2 import (
    ExportCollectionRequest,
    ImportCollectionHeader,
    ImportCollectionRequest,
    ImportCollectionResponse,
)
from .v1.collection_service_pb2_grpc import CollectionServiceStub

#: Bytes of a piece; the most that the daemon takes.
PIECE_BYTES = 1 << 20

#: Is told how many bytes were written or read so far.
Progress = Callable[[int], object]


async def export(connection: Connection, collection: str, path: Path, progress: Progress | None) -> int:
    """Writes the collection to a file, beside its place first; answers its bytes."""
    request = ExportCollectionRequest(collection=collection)
    handle, part = await asyncio.to_thread(tempfile.mkstemp, ".part", f"{path.name}.", path.parent)
    written = 0
    try:
        with os.fdopen(handle, "wb") as file:
            pieces = connection.stream(connection.collections.ExportCollection, request)
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece.data)
                    written += len(piece.data)
                    if progress is not None:
                        progress(written)
        await asyncio.to_thread(_publish, part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise
    return written


def _publish(part: str, path: Path) -> None:
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(part, 0o666 & ~mask)
    os.replace(part, path)


async def import_(
    connection: Connection, collection: str, path: Path, progress: Progress | None
) -> ImportCollectionResponse:
    """Makes the collection of a file; answers what was made."""
    header = once(ImportCollectionHeader(collection=collection))
    # Not grpcio's asyncio: where a stream ends while it is written to, that loses what the daemon said.
    with connection.blocking() as channel, path.open("rb") as file:
        pieces = _Pieces(header, file, progress)
        call = CollectionServiceStub(channel).ImportCollection(pieces, metadata=connection.metadata)
        try:
            return await asyncio.to_thread(_made, call)
        except grpc.RpcError as cause:
            if pieces.error is not None:
                raise pieces.error from None
            raise errors.from_rpc(cause) from None
        finally:
            call.cancel()


class _Pieces:
    """The messages of an import; keeps the error that reading ended with."""

    def __init__(self, header: ImportCollectionHeader, file: BinaryIO, progress: Progress | None) -> None:
        self.error: Exception | None = None
        self._header: ImportCollectionHeader | None = header
        self._file = file
        self._progress = progress
        self._sent = 0

    def __iter__(self) -> Iterator[ImportCollectionRequest]:
        return self

    def __next__(self) -> ImportCollectionRequest:
        if self._header is not None:
            header, self._header = self._header, None
            return ImportCollectionRequest(header=header)
        try:
            data = self._file.read(PIECE_BYTES)
            self._sent += len(data)
            if data and self._progress is not None:
                self._progress(self._sent)
        except Exception as error:
            self.error = error
            raise
        if not data:
            raise StopIteration
        return ImportCollectionRequest(data=data)


def _made(answers: Iterable[ImportCollectionResponse]) -> ImportCollectionResponse:
    """The last answer."""
    for answer in answers:
        if answer.HasField("collection"):
            return answer
    raise errors.Incomplete("the import ended without its collection")
