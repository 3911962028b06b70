"""Adding images: what can be added, and the stream that outlives a restart of the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import grpc
import grpc.aio

from . import errors
from ._connection import Connection
from .v1.image_pb2 import AddOutcome, AddStatus, NewImage
from .v1.image_service_pb2 import AddImagesHeader, AddImagesRequest, AddImagesResponse

#: Images sent that have no outcome yet, at most.
UNANSWERED_IMAGES_MAX = 256
#: Bytes of images sent that have no outcome yet, at most; one image may be larger.
UNANSWERED_BYTES_MAX = 64 << 20
#: Images read ahead, and their bytes, at most; one image may be larger.
READ_IMAGES_MAX = 16
READ_BYTES_MAX = 8 << 20
#: Bytes of a URI, at most.
URI_BYTES_MAX = 4096

_Call = grpc.aio.StreamStreamCall[AddImagesRequest, AddImagesResponse]


@runtime_checkable
class Bar(Protocol):
    """What a progress bar has to offer, such as :class:`tqdm.tqdm`."""

    def update(self, n: float | None = 1) -> object:
        """Moves it on."""


#: Is told of each outcome: a function of ``(done, outcome)``, or a bar such as ``tqdm()``.
Progress = Callable[[int, AddOutcome], object] | Bar


@dataclass(frozen=True)
class Image:
    """An image to add, by its path or its bytes.

    Attributes:
        key: The caller's name for it; its outcome carries it. Empty: the path, or else the image id.
        path: Where it lies; read when there is room for it.
        data: Its bytes, where it has no path.
        uri: Where it can be fetched from; left out, a path's ``file://`` address.
        tags: Tags for this source.
    """

    key: str = ""
    path: str | os.PathLike[str] | None = None
    data: bytes | None = None
    uri: str = ""
    tags: Sequence[str] = field(default=())

    def message(self) -> NewImage:
        """The message to send; reads the file."""
        if self.path is None:
            return NewImage(key=self.key, data=self.data or b"", uri=self.uri, tags=self.tags)
        path = Path(self.path)
        message = NewImage(key=self.key or os.fspath(self.path), data=path.read_bytes(), tags=self.tags)
        message.modify_time.FromDatetime(datetime.fromtimestamp(path.stat().st_mtime, UTC))
        uri = self.uri or path.resolve().as_uri()
        if len(uri.encode()) <= URI_BYTES_MAX:
            message.uri = uri
        return message


#: What can be added: a path (its key is the path), ``(key, bytes)``, an :class:`Image`, or a ``NewImage`` message.
Addable = str | os.PathLike[str] | tuple[str, bytes] | Image | NewImage


def folder(path: str | os.PathLike[str]) -> Iterator[Image]:
    """Every file below a folder, by name; keys are paths below the folder. Hidden entries are left out."""
    root = Path(path)
    for directory, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                file = Path(directory, name)
                yield Image(key=file.relative_to(root).as_posix(), path=file)


@dataclass(frozen=True)
class _Read:
    """An image that was read, or why it can't be."""

    message: NewImage
    problem: str = ""


def _source(item: Addable) -> Image | NewImage:
    match item:
        case Image() | NewImage():
            return item
        case (str(key), bytes(data)):
            return Image(key=key, data=data)
        case str() | os.PathLike():
            return Image(path=item)
    raise TypeError(f"{type(item).__name__} is nothing to add: a path, (key, bytes) or culld.Image is")


def _read(source: Image | NewImage) -> _Read:
    if isinstance(source, NewImage):
        return _Read(source)
    try:
        return _Read(source.message())
    except OSError as error:
        return _Read(NewImage(key=source.key or os.fspath(source.path or "")), f"it can't be read: {error}")


class _Ahead:
    """Reads ahead in a thread of its own, so that neither slow files nor a slow iterator hold up the event loop."""

    def __init__(self, items: Iterable[Addable]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._room = threading.Condition()
        self._ready: deque[_Read] = deque()
        self._bytes = 0
        self._error: BaseException | None = None
        self._done = self._closed = False
        threading.Thread(target=self._run, name="culld-read", daemon=True).start()

    def _run(self) -> None:
        try:
            for item in self._items:
                read = _read(_source(item))
                with self._room:
                    self._room.wait_for(lambda: self._closed or self._fits(len(read.message.data)))
                    if self._closed:
                        return
                    self._ready.append(read)
                    self._bytes += len(read.message.data)
                self._wake()
        except BaseException as error:  # the caller's iterator may raise anything; it is raised where it is awaited
            self._error = error
        finally:
            self._done = True
            self._wake()

    def _fits(self, size: int) -> bool:
        if not self._ready:
            return True
        return len(self._ready) < READ_IMAGES_MAX and self._bytes + size <= READ_BYTES_MAX

    def _wake(self) -> None:
        # The loop may have ended before the thread did.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def next(self) -> _Read | None:
        """The next image, or ``None`` after the last."""
        while True:
            with self._room:
                if self._ready:
                    read = self._ready.popleft()
                    self._bytes -= len(read.message.data)
                    self._room.notify()
                    return read
                done = self._done
            if done and not self._ready:
                if self._error is not None:
                    raise self._error
                return None
            self._arrived.clear()
            if not self._ready and not self._done:
                await self._arrived.wait()

    def close(self) -> None:
        """Ends the thread once its iterator gives it the word."""
        with self._room:
            self._closed = True
            self._room.notify()


class _Following:
    """The same of an asynchronous iterator."""

    def __init__(self, items: AsyncIterable[Addable]) -> None:
        self._items = aiter(items)
        self._pending: asyncio.Task[_Read | None] | None = None

    async def next(self) -> _Read | None:
        """The next image, or ``None`` after the last."""
        # A stream that ends while this waits must not take an image with it, nor end the caller's iterator.
        if self._pending is None:
            self._pending = asyncio.create_task(self._one())
        read = await asyncio.shield(self._pending)
        self._pending = None
        return read

    async def _one(self) -> _Read | None:
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            return None
        return await asyncio.to_thread(_read, _source(item))

    def close(self) -> None:
        """Ends the wait for the caller's iterator."""
        if self._pending is not None:
            self._pending.cancel()


class Adder:
    """One act of adding images, over as many streams as it takes."""

    def __init__(
        self,
        connection: Connection,
        collection: str,
        items: Iterable[Addable] | AsyncIterable[Addable],
        tags: Sequence[str],
        progress: Progress | None,
    ) -> None:
        self._connection = connection
        self._header = AddImagesHeader(collection=collection, tags=tags)
        self._items = _Following(items) if isinstance(items, AsyncIterable) else _Ahead(items)
        self._progress = progress
        self._done = 0
        # Images that have no outcome yet: to be sent again, next to be sent, in flight, and those that can't be read.
        self._again: deque[_Read] = deque()
        self._next: _Read | None = None
        self._flying: dict[str, deque[_Read]] = {}
        self._unreadable: deque[AddOutcome] = deque()
        self._count = self._bytes = 0
        self._room = asyncio.Event()
        self._error: BaseException | None = None

    async def outcomes(self) -> AsyncGenerator[AddOutcome]:
        """One outcome for each image, in order of completion.

        Raises:
            CulldError: The daemon refuses the stream, or stays away for longer than the retries last.
        """
        failures = 0
        try:
            while True:
                try:
                    async with aclosing(self._stream()) as stream:
                        async for outcome in stream:
                            failures = 0
                            yield self._told(outcome)
                    return
                except grpc.aio.AioRpcError as cause:
                    error = await self._reason(cause)
                failures += 1
                await self._connection.pause(error, failures)
                self._again.extend(read for queue in self._flying.values() for read in queue)
                self._flying.clear()
                self._count = self._bytes = 0
        finally:
            self._items.close()

    def _told(self, outcome: AddOutcome) -> AddOutcome:
        self._done += 1
        if isinstance(self._progress, Bar):
            self._progress.update(1)
        elif self._progress is not None:
            self._progress(self._done, outcome)
        return outcome

    async def _reason(self, cause: grpc.aio.AioRpcError) -> errors.CulldError:
        """Why a stream ended. Where that was lost a stream without images asks again."""
        if not errors.is_lost(cause):
            return errors.from_rpc(cause)
        call = self._connection.images.AddImages(metadata=self._connection.metadata)
        try:
            with contextlib.suppress(asyncio.InvalidStateError):
                await call.write(AddImagesRequest(header=self._header))
                await call.done_writing()
            while await self._answer(call) is not None:
                pass
        except grpc.aio.AioRpcError as refusal:
            if not errors.is_lost(refusal):
                return errors.from_rpc(refusal)
        finally:
            call.cancel()
        return errors.Unavailable("the stream broke while an image was sent", code="UNAVAILABLE")

    async def _stream(self) -> AsyncGenerator[AddOutcome]:
        call = self._connection.images.AddImages(metadata=self._connection.metadata)
        sender = asyncio.create_task(self._send(call))
        try:
            while (response := await self._answer(call)) is not None:
                while self._unreadable:
                    yield self._unreadable.popleft()
                self._land(response.outcome)
                yield response.outcome
            await sender
            while self._unreadable:
                yield self._unreadable.popleft()
            if self._count:
                raise errors.Incomplete(f"the stream ended without the outcomes of {self._count} images")
        finally:
            sender.cancel()
            call.cancel()
            await asyncio.wait([sender])

    async def _answer(self, call: _Call) -> AddImagesResponse | None:
        try:
            response = await call.read()
        except asyncio.CancelledError:
            if self._error is not None:
                raise self._error from None
            raise
        if isinstance(response, AddImagesResponse):
            return response
        if (code := await call.code()) != grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(
                code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
            )
        return None

    def _land(self, outcome: AddOutcome) -> None:
        key = outcome.key
        if key not in self._flying and key == outcome.image_id:
            key = ""  # without a key an image is called by its id
        queue = self._flying.get(key)
        if not queue:
            raise errors.Incomplete(f"there is an outcome for {outcome.key!r}, which is not in flight")
        self._bytes -= len(queue.popleft().message.data)
        self._count -= 1
        if not queue:
            del self._flying[key]
        self._room.set()

    async def _send(self, call: _Call) -> None:
        try:
            await call.write(AddImagesRequest(header=self._header))
            while (read := await self._read()) is not None:
                while not self._fits(len(read.message.data)):
                    self._room.clear()
                    await self._room.wait()
                self._next = None
                self._flying.setdefault(read.message.key, deque()).append(read)
                self._count += 1
                self._bytes += len(read.message.data)
                await call.write(AddImagesRequest(image=read.message))
            await call.done_writing()
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError, grpc.aio.UsageError):
            pass  # the stream has ended, and its reader knows why
        except Exception as error:
            self._error = error
            call.cancel()

    async def _read(self) -> _Read | None:
        while self._next is None:
            read = self._again.popleft() if self._again else await self._items.next()
            if read is None:
                return None
            if read.problem:
                self._unreadable.append(
                    AddOutcome(key=read.message.key, status=AddStatus.ADD_STATUS_FAILED, detail=read.problem)
                )
            else:
                self._next = read
        return self._next

    def _fits(self, size: int) -> bool:
        if self._count == 0:
            return True
        return self._count < UNANSWERED_IMAGES_MAX and self._bytes + size <= UNANSWERED_BYTES_MAX
