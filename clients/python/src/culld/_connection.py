"""The connection: TLS, token, retries, deadlines, typed errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio

from . import errors
from ._retry import MessageT, Retry, once
from .v1.admin_service_pb2_grpc import AdminServiceStub
from .v1.clustering_service_pb2_grpc import ClusteringServiceStub
from .v1.collection_service_pb2_grpc import CollectionServiceStub
from .v1.decision_service_pb2_grpc import DecisionServiceStub
from .v1.image_service_pb2_grpc import ImageServiceStub

ResponseT = TypeVar("ResponseT")

#: Bytes of the largest message either way: an image of 64 MiB and what goes with it.
MESSAGE_BYTES_MAX = 80 << 20
#: Longest wait between two tries to connect, milliseconds.
RECONNECT_MS_MAX = 1000
#: Every so often the connection is probed while a call is in flight, milliseconds.
KEEPALIVE_MS = 60_000
DEFAULT_PORT = 7357


class Connection:
    """A channel to one daemon with the stubs of all services. Made inside a running event loop."""

    def __init__(
        self,
        address: str,
        *,
        token: str | None,
        ca: str | bytes | Path | None,
        certificate: tuple[bytes, bytes] | None,
        timeout: float | None,
        retry: Retry,
    ) -> None:
        secure, target = split(address)
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.primary_user_agent", "culld-python"),
        ]
        self._target, self._options = target, options
        self._credentials: grpc.ChannelCredentials | None = None
        if secure:
            key, chain = certificate or (None, None)
            self._credentials = grpc.ssl_channel_credentials(_pem(ca), key, chain)
            self.channel = grpc.aio.secure_channel(target, self._credentials, options)
        else:
            if ca is not None or certificate is not None:
                raise ValueError(f"{address}: a certificate is of use with https:// only")
            self.channel = grpc.aio.insecure_channel(target, options)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.timeout = timeout
        self.retry = retry
        self.admin = AdminServiceStub(self.channel)
        self.clusterings = ClusteringServiceStub(self.channel)
        self.collections = CollectionServiceStub(self.channel)
        self.decisions = DecisionServiceStub(self.channel)
        self.images = ImageServiceStub(self.channel)

    async def call(
        self,
        method: Callable[..., grpc.aio.UnaryUnaryCall[MessageT, ResponseT]],
        request: MessageT,
        *,
        timeout: float | None = None,
    ) -> ResponseT:
        """One unary act: tried again where that may help, always under the same ``request_id``.

        Args:
            method: A method of a stub, such as ``connection.images.GetImage``.
            request: Its request.
            timeout: Seconds for all tries together; left out: the connection's.
        """
        request = once(request)
        timeout = self.timeout if timeout is None else timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        failures = 0
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            try:
                return await method(request, timeout=left, metadata=self.metadata)
            except grpc.aio.AioRpcError as cause:
                error = errors.from_rpc(cause)
            failures += 1
            await self.pause(error, failures, deadline)

    async def pause(self, error: errors.CulldError, failures: int, deadline: float | None = None) -> None:
        """Waits before another try, or raises the error where there is to be none."""
        delay = self.retry.delay(error, failures)
        if delay is None or (deadline is not None and time.monotonic() + delay >= deadline):
            raise error
        await asyncio.sleep(delay)

    async def stream(
        self,
        method: Callable[..., grpc.aio.UnaryStreamCall[MessageT, ResponseT]],
        request: MessageT,
        *,
        timeout: float | None = None,
        silence: float | None = None,
    ) -> AsyncGenerator[ResponseT]:
        """The messages of a server stream. It is begun anew after a failure only while nothing has come of it.

        Args:
            timeout: Seconds for the whole stream.
            silence: Seconds without a message after which the connection counts as lost.
        """
        failures, begun = 0, False
        while True:
            call = method(request, timeout=timeout, metadata=self.metadata)
            try:
                while True:
                    message: Any = await asyncio.wait_for(call.read(), silence)
                    if message is grpc.aio.EOF:
                        return
                    begun = True
                    yield message
            except TimeoutError:
                error: errors.CulldError = errors.Unavailable(f"nothing was heard for {silence} s", code="UNAVAILABLE")
            except grpc.aio.AioRpcError as cause:
                error = errors.from_rpc(cause)
            finally:
                call.cancel()
            if begun:
                raise error
            failures += 1
            await self.pause(error, failures)

    def blocking(self) -> grpc.Channel:
        """Another channel, as grpcio makes it for threads."""
        if self._credentials is None:
            return grpc.insecure_channel(self._target, self._options)
        return grpc.secure_channel(self._target, self._credentials, self._options)

    async def close(self) -> None:
        """Ends the connection and what is in flight on it."""
        await self.channel.close()


def split(address: str) -> tuple[bool, str]:
    """Whether an address wants TLS, and its host and port."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "http", address
    if scheme not in ("http", "https"):
        raise ValueError(f"{address}: http:// or https:// is understood")
    host = rest.rstrip("/")
    if not host or "/" in host:
        raise ValueError(f"{address}: HOST:PORT is what has to follow the scheme")
    if ":" not in host.rpartition("]")[2]:
        host = f"{host}:{DEFAULT_PORT}"
    return scheme == "https", host


def _pem(ca: str | bytes | Path | None) -> bytes | None:
    return ca if ca is None or isinstance(ca, bytes) else Path(ca).read_bytes()
