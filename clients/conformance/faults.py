"""How the gate can lie. Each fault is one that a daemon, or what lies between, might really have.

A unary call that is answered twice is not among them: tonic takes the first answer and looks no further.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from culld import api

Metadata = list[tuple[str, Any]]


class Fault:
    """Tells the truth; its subclasses don't."""

    def request(self, method: str, data: bytes) -> bytes:
        """What is passed on of a unary request."""
        return data

    def answers(self, method: str, answers: Iterable[Any]) -> Iterator[Any]:
        """What is said of the answers."""
        for answer in answers:
            yield from self.answer(method, answer)

    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        """What is said of one answer."""
        yield answer

    def error(self, method: str, code: grpc.StatusCode, trailing: Metadata) -> tuple[grpc.StatusCode, Metadata]:
        """What is said of an error."""
        return code, trailing


class DroppedOutcome(Fault):
    def answers(self, method: str, answers: Iterable[Any]) -> Iterator[Any]:
        for at, answer in enumerate(answers):
            if method != "AddImages" or at != 3:
                yield answer


class RepeatedOutcome(Fault):
    def answers(self, method: str, answers: Iterable[Any]) -> Iterator[Any]:
        for at, answer in enumerate(answers):
            yield answer
            if method == "AddImages" and at == 3:
                yield answer


class SwappedKeys(Fault):
    """Two outcomes have each other's key."""

    def swap(self, first: Any, second: Any) -> None:
        first.outcome.key, second.outcome.key = second.outcome.key, first.outcome.key

    def answers(self, method: str, answers: Iterable[Any]) -> Iterator[Any]:
        held = None
        for at, answer in enumerate(answers):
            if method == "AddImages" and at == 1:
                held = answer
            elif held is not None:
                self.swap(held, answer)
                yield held
                yield answer
                held = None
            else:
                yield answer
        if held is not None:
            yield held


class SwappedIds(SwappedKeys):
    def swap(self, first: Any, second: Any) -> None:
        first.outcome.image_id, second.outcome.image_id = second.outcome.image_id, first.outcome.image_id


class WrongOutcome(Fault):
    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method in ("AddImages", "AddImage") and answer.outcome.status == api.AddStatus.ADD_STATUS_ADDED:
            answer.outcome.status = api.AddStatus.ADD_STATUS_ALREADY_PRESENT
        yield answer


class WrongCause(Fault):
    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method == "AddImages" and answer.outcome.cause == api.AddCause.ADD_CAUSE_CORRUPT:
            answer.outcome.cause = api.AddCause.ADD_CAUSE_UNSUPPORTED_FORMAT
        yield answer


class TruncatedStream(Fault):
    """A stream of decisions ends well before its end."""

    def answers(self, method: str, answers: Iterable[Any]) -> Iterator[Any]:
        for answer in answers:
            if method == "FetchDecisions":
                del answer.decisions[len(answer.decisions) // 2 :]
            yield answer


class MissingPage(Fault):
    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method.startswith("List"):
            answer.next_page_token = ""
        yield answer


class RepeatedPage(Fault):
    """The second page is the first once more."""

    def __init__(self) -> None:
        self.first: dict[str, Any] = {}

    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method in ("ListImages", "ListMembers", "ListCollections"):
            previous = self.first.pop(method, None)
            if previous is not None:
                token = answer.next_page_token
                answer.CopyFrom(previous)
                answer.next_page_token = token
            elif answer.next_page_token:
                self.first[method] = type(answer).FromString(answer.SerializeToString())
        yield answer


class Reordered(Fault):
    """What is sorted comes backwards."""

    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        names = {"FindNeighbours": "neighbours", "ListMembers": "members", "ListClusterings": "clusterings"}
        if method in names:
            entries = getattr(answer, names[method])
            turned = list(entries)[::-1]
            del entries[:]
            entries.extend(turned)
        yield answer


class WrongCode(Fault):
    def error(self, method: str, code: grpc.StatusCode, trailing: Metadata) -> tuple[grpc.StatusCode, Metadata]:
        return (grpc.StatusCode.INVALID_ARGUMENT if code == grpc.StatusCode.NOT_FOUND else code), trailing


class ErrorAsSuccess(Fault):
    """An error is told as an empty answer."""

    def answers(self, method: str, answers: Iterable[Any]) -> Iterator[Any]:
        try:
            yield from answers
        except grpc.RpcError:
            if method != "GetImage":
                raise
            yield api.GetImageResponse()


class LostDetails(Fault):
    """Errors come without their details."""

    def error(self, method: str, code: grpc.StatusCode, trailing: Metadata) -> tuple[grpc.StatusCode, Metadata]:
        return code, []


class Delayed(Fault):
    """Answers come after the deadline."""

    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method in ("GetStats", "GetServerInfo"):
            time.sleep(4.5)
        yield answer


class WrongDecision(Fault):
    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        turned = {
            api.DecisionKind.DECISION_KIND_KEEP: api.DecisionKind.DECISION_KIND_DISCARD,
            api.DecisionKind.DECISION_KIND_DISCARD: api.DecisionKind.DECISION_KIND_KEEP,
        }
        if method in ("BatchGetDecisions", "FetchDecisions"):
            for decision in answer.decisions:
                decision.decision = turned.get(decision.decision, decision.decision)
        yield answer


class LostToken(Fault):
    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method == "FetchDecisions":
            answer.token = ""
        yield answer


class NoAnswer(Fault):
    """A unary call ends well, with nothing said."""

    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method != "GetImage":
            yield answer


class TornPictures(Fault):
    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method == "BatchGetThumbnails":
            for thumbnail in answer.thumbnails:
                thumbnail.jpeg = thumbnail.jpeg[: len(thumbnail.jpeg) // 2]
        yield answer


class LostRequestIds(Fault):
    """Every try of an act is another act."""

    def request(self, method: str, data: bytes) -> bytes:
        if method == "SetVerdict":
            request = api.SetVerdictRequest.FromString(data)
            request.request_id = ""
            return request.SerializeToString()
        return data


class LostRemovals(Fault):
    """A watch keeps quiet about what was deleted, and of some decisions."""

    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method == "WatchDecisions":
            del answer.decisions[:]
        yield answer


class LostResult(Fault):
    """Operations end with nothing to show."""

    def answer(self, method: str, answer: Any) -> Iterator[Any]:
        if method in ("WaitOperation", "GetOperation", "WatchOperation"):
            answer.operation.ClearField("result")
        yield answer


#: Name: how to lie, and the scenarios that have to fail for it.
FAULTS: dict[str, tuple[Callable[[], Fault], list[str]]] = {
    "dropped-outcome": (DroppedOutcome, ["outcomes", "images"]),
    "repeated-outcome": (RepeatedOutcome, ["outcomes", "images"]),
    "swapped-keys": (SwappedKeys, ["images"]),
    "swapped-image-ids": (SwappedIds, ["images"]),
    "wrong-outcome": (WrongOutcome, ["outcomes", "images"]),
    "wrong-cause": (WrongCause, ["outcomes"]),
    "truncated-stream": (TruncatedStream, ["verdicts"]),
    "missing-page": (MissingPage, ["images", "collections"]),
    "repeated-page": (RepeatedPage, ["images", "collections"]),
    "reordered": (Reordered, ["images", "clusterings"]),
    "wrong-code": (WrongCode, ["server", "collections"]),
    "error-as-success": (ErrorAsSuccess, ["images"]),
    "lost-details": (LostDetails, ["server", "collections"]),
    "delayed": (Delayed, ["deadlines"]),
    "wrong-decision": (WrongDecision, ["verdicts", "review"]),
    "lost-token": (LostToken, ["verdicts"]),
    "no-answer": (NoAnswer, ["images"]),
    "torn-pictures": (TornPictures, ["images"]),
    "lost-request-ids": (LostRequestIds, ["verdicts"]),
    "lost-changes": (LostRemovals, ["watch"]),
    "lost-result": (LostResult, ["import"]),
}
