"""What calls raise: one class per gRPC code, with the facts that the daemon gave.

Catch :class:`CulldError` for all of them, or one of its subclasses. ``reason`` is a constant for programs, such as
``"ITEM_STALE"``; see ``proto/culld/v1`` for which call gives which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "CulldError",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Incomplete",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OperationFailed",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]


class CulldError(Exception):
    """A call that failed.

    Attributes:
        code: The gRPC code's name, such as ``"NOT_FOUND"``.
        message: The daemon's words.
        reason: A constant for programs (``google.rpc.ErrorInfo``); empty where there is none.
        fields: The request's fields that are unusable (``google.rpc.BadRequest``).
        retry_after: Seconds after which another try may succeed (``google.rpc.RetryInfo``); ``None`` where waiting
            won't help.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "",
        fields: Sequence[str] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.fields = tuple(fields)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidArgument(CulldError):
    """A field of the request is unusable; ``fields`` names it."""


class NotFound(CulldError):
    """There is no such thing."""


class AlreadyExists(CulldError):
    """The name is taken."""


class FailedPrecondition(CulldError):
    """The request is fine, but not in this state of things; ``reason`` says which."""


class Aborted(CulldError):
    """What the request is about changed meanwhile (``ITEM_STALE``)."""


class OutOfRange(CulldError):
    """What the request goes on from is there no more (``TOKEN_EXPIRED``)."""


class PermissionDenied(CulldError):
    """The caller may not."""


class Unauthenticated(CulldError):
    """No token, or one that the daemon doesn't know."""


class ResourceExhausted(CulldError):
    """A limit is reached; with ``retry_after`` for the moment only."""


class Unavailable(CulldError):
    """No daemon answers there, also after all retries."""


class DeadlineExceeded(CulldError):
    """It took longer than the timeout."""


class Cancelled(CulldError):
    """The call, or the operation, was cancelled."""


class Internal(CulldError):
    """An error inside culld; its log says more."""


class Unimplemented(CulldError):
    """The daemon is older than this client, and doesn't know the call."""


class Incomplete(CulldError):
    """The daemon ended a stream well, and yet something is missing or was never asked for."""


class OperationFailed(CulldError):
    """An operation ended with an error; ``code`` and ``reason`` are the operation's."""


_BY_CODE: dict[str, type[CulldError]] = {
    "ABORTED": Aborted,
    "ALREADY_EXISTS": AlreadyExists,
    "CANCELLED": Cancelled,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "FAILED_PRECONDITION": FailedPrecondition,
    "INTERNAL": Internal,
    "INVALID_ARGUMENT": InvalidArgument,
    "NOT_FOUND": NotFound,
    "OUT_OF_RANGE": OutOfRange,
    "PERMISSION_DENIED": PermissionDenied,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "UNAUTHENTICATED": Unauthenticated,
    "UNAVAILABLE": Unavailable,
    "UNIMPLEMENTED": Unimplemented,
}

_DETAILS_KEY = "grpc-status-details-bin"


def from_rpc(error: Any) -> CulldError:
    """The typed error of a failed call, from grpcio's own, of either kind."""
    code = error.code().name
    reason, fields, retry_after = "", list[str](), None
    for detail in _details(error.trailing_metadata() or ()):
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            fields += [violation.field for violation in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    kind = _BY_CODE.get(code, CulldError)
    return kind(error.details() or "", code=code, reason=reason, fields=fields, retry_after=retry_after)


def is_lost(error: grpc.aio.AioRpcError) -> bool:
    """Whether grpcio lost what was said: a stream that ends while it is written to gets this in place of its status."""
    return error.code() == grpc.StatusCode.INTERNAL and error.details() == "Internal error from Core"


def of_operation(code: int, message: str, reason: str) -> OperationFailed:
    """The error of an operation that failed."""
    return OperationFailed(message, code=code_pb2.Code.Name(code), reason=reason)


def _details(metadata: Iterable[tuple[str, str | bytes]]) -> list[status_pb2.Status]:
    for key, value in metadata:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return []
    return []
