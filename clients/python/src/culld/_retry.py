"""When to try again, and the name under which an act is done once."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from .errors import CulldError, ResourceExhausted, Unavailable

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(frozen=True)
class Retry:
    """How often to try, and how long to wait between.

    Only what may succeed later is tried again: ``UNAVAILABLE``, and ``RESOURCE_EXHAUSTED`` where the daemon says when.

    Attributes:
        tries: Tries in all; 1 never tries again.
        first_delay: Seconds before the second try; doubled for each try after it.
        longest_delay: Seconds between two tries, at most. A longer wait that the daemon asks for is kept.
        jitter: By which share a delay may be longer, so that callers don't come back together.
    """

    tries: int = 10
    first_delay: float = 0.1
    longest_delay: float = 5.0
    jitter: float = 0.25

    def delay(self, error: CulldError, failures: int) -> float | None:
        """Seconds to wait after so many failures in a row, or ``None`` where trying again is of no use."""
        if failures >= self.tries:
            return None
        backoff: float = min(self.longest_delay, self.first_delay * 2 ** (failures - 1))
        backoff *= 1 + self.jitter * random.random()
        match error:
            case Unavailable():
                return max(backoff, error.retry_after or 0.0)
            case ResourceExhausted(retry_after=float(after)):
                return max(backoff, after)
        return None


def once(request: MessageT) -> MessageT:
    """The request with a ``request_id``, so that however often it is sent it is one act."""
    fields = request.DESCRIPTOR.fields_by_name
    if "request_id" not in fields or getattr(request, "request_id"):
        return request
    named = type(request)()
    named.CopyFrom(request)
    setattr(named, "request_id", uuid.uuid4().hex)
    return named
