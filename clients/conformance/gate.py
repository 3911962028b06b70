"""The gate: a gRPC proxy before a daemon that wants a token, keeps a record, fails when it is told to, and lies."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from culld import api
from culld.v1 import (
    admin_service_pb2,
    clustering_service_pb2,
    collection_service_pb2,
    decision_service_pb2,
    image_service_pb2,
)
from faults import FAULTS, Fault

MESSAGE_BYTES_MAX = 192 << 20
#: Calls through the gate at a time.
CALLS_MAX = 64
DETAILS = "grpc-status-details-bin"
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.so_reuseport", 0),
]

METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in (
        admin_service_pb2,
        clustering_service_pb2,
        collection_service_pb2,
        decision_service_pb2,
        image_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


@dataclass
class Order:
    """What was ordered for one method."""

    lose: int = 0
    refuse: int = 0
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    retry_ms: int | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)
    last: float = 0.0


class Gate(grpc.GenericRpcHandler):
    """Passes every call on as bytes, unless it was told otherwise."""

    def __init__(self, daemon: str, token: str, keys: tuple[bytes, bytes], restart: Callable[[bool], None]) -> None:
        self.token = token
        self.restart = restart
        self.orders: dict[str, Order] = defaultdict(Order)
        self.lock = threading.Lock()
        self.fault: Fault | None = None
        self.upstream = grpc.insecure_channel(daemon, OPTIONS)
        self.server = grpc.server(futures.ThreadPoolExecutor(CALLS_MAX), [self], options=OPTIONS)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        credentials = grpc.ssl_server_credentials([keys])
        self.tls_port = self.server.add_secure_port("localhost:0", credentials)
        self.server.start()
        self.control = ThreadingHTTPServer(("127.0.0.1", 0), type("Control", (Control,), {"gate": self}))
        threading.Thread(target=self.control.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Ends it and what goes through it."""
        self.control.shutdown()
        self.server.stop(0)
        self.upstream.close()

    def begin(self, fault: str) -> None:
        """From now on lies in this way; with "" tells the truth."""
        self.fault = FAULTS[fault][0]() if fault else None

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Answers any call there is."""

        def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            return self.handle(details.method, requests, context)

        return grpc.stream_stream_rpc_method_handler(handle)

    def note(self, path: str, request: bytes) -> tuple[dict[str, Any], Order, str]:
        """Keeps a record of a call, and says what is to become of it."""
        name = path.removeprefix("/culld.v1.")
        method = METHODS.get(path)
        message = parsed(method.input_type.name, request) if method and not method.client_streaming else None
        with self.lock:
            order = self.orders[name]
            now = time.monotonic()
            entry = {
                "requestId": getattr(message, "request_id", ""),
                "code": "OK",
                "afterMs": round((now - order.last) * 1000) if order.last else 0,
            }
            order.last = now
            order.seen.append(entry)
            if order.refuse > 0:
                order.refuse -= 1
                return entry, order, "refuse"
            if order.lose > 0:
                order.lose -= 1
                return entry, order, "lose"
        return entry, order, ""

    def handle(self, path: str, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """One call."""
        streaming = path in METHODS and METHODS[path].client_streaming
        first = b"" if streaming else next(requests, b"")
        entry, order, fate = self.note(path, first)
        metadata = dict(context.invocation_metadata())
        if metadata.get("authorization") != f"Bearer {self.token}":
            entry["code"] = "UNAUTHENTICATED"
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is needed, and this is none")
        if fate == "refuse":
            self.refuse(entry, order, context)
        if self.fault is not None:
            first = self.fault.request(path.rpartition("/")[2], first)
        call: Any = self.upstream.stream_stream(path)(
            requests if streaming else iter([first]),  # type: ignore[arg-type]
            timeout=left(context),
            metadata=(("authorization", f"Bearer {self.token}"),),
        )
        context.add_callback(call.cancel)
        try:
            if fate == "lose":
                list(call)
                entry["code"] = "UNAVAILABLE"
                context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
            yield from self.answers(path, call)
        except grpc.RpcError as error:
            entry["code"] = error.code().name
            self.failed(path, error, context)

    def answers(self, path: str, answers: Iterator[bytes]) -> Iterator[bytes]:
        """What comes back, as it is or as the fault has it."""
        method = METHODS.get(path)
        if self.fault is None or method is None:
            yield from answers
            return
        told = self.fault.answers(method.name, (parsed(method.output_type.name, answer) for answer in answers))
        yield from (message.SerializeToString() for message in told)

    def failed(self, path: str, error: Any, context: grpc.ServicerContext) -> None:
        """Hands an error on, with its details."""
        code, words, trailing = error.code(), error.details(), list(error.trailing_metadata() or ())
        if self.fault is not None:
            code, trailing = self.fault.error(path.rpartition("/")[2], code, trailing)
        context.set_trailing_metadata(tuple((key, value) for key, value in trailing if key == DETAILS))
        if code == grpc.StatusCode.OK:
            return
        context.abort(code, words)

    def refuse(self, entry: dict[str, Any], order: Order, context: grpc.ServicerContext) -> None:
        """Refuses a call, as it was told to."""
        entry["code"] = order.code.name
        if order.retry_ms is not None:
            detail = any_pb2.Any()
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(order.retry_ms)
            detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
            code = code_pb2.Code.Value(order.code.name)
            status = status_pb2.Status(code=code, message="refused", details=[detail])
            context.set_trailing_metadata(((DETAILS, status.SerializeToString()),))
        context.abort(order.code, "refused")

    def ordered(self, command: str) -> dict[str, Any]:
        """Carries out a control step."""
        parts = urlsplit(command)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        what = parts.path.strip("/")
        if what in ("restart", "restart-gently"):
            self.restart(what == "restart")
            return {}
        with self.lock:
            if what == "seen":
                return {"calls": list(self.orders[given["method"]].seen)}
            count = int(given.get("count", "1"))
            order = Order(code=grpc.StatusCode[given.get("code", "UNAVAILABLE")])
            if what == "lose":
                order.lose = count
            elif what == "refuse":
                order.refuse = count
                order.retry_ms = int(given["retry_ms"]) if "retry_ms" in given else None
            else:
                raise KeyError(what)
            self.orders[given["method"]] = order
        return {}


def left(context: grpc.ServicerContext) -> float | None:
    """Seconds until the caller's deadline; a call without one has some 10^9 left."""
    seconds = context.time_remaining()
    return None if seconds is None or seconds > 86400 else seconds


class Control(BaseHTTPRequestHandler):
    """Takes control steps."""

    gate: Gate

    def do_POST(self) -> None:  # noqa: N802
        """One step."""
        try:
            status, answer = 200, self.gate.ordered(self.path)
        except Exception as error:
            status, answer = 500, {"error": repr(error)}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def parsed(name: str, data: bytes) -> Message:
    """A message of the API from its bytes."""
    message: Message = getattr(api, name).FromString(data)
    return message
