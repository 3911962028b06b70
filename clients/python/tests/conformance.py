"""The runner of the conformance suite; clients/conformance/README.md says what it has to do."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import queue
import re
import secrets
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

import culld
from culld import api
from culld.v1 import (
    admin_service_pb2,
    clustering_service_pb2,
    collection_service_pb2,
    decision_service_pb2,
    image_service_pb2,
)

MODULES = [
    admin_service_pb2,
    clustering_service_pb2,
    collection_service_pb2,
    decision_service_pb2,
    image_service_pb2,
]
STUBS = {
    "AdminService": "admin",
    "ClusteringService": "clusterings_api",
    "CollectionService": "collections_api",
    "DecisionService": "decisions_api",
    "ImageService": "images_api",
}
LIMIT_SECONDS = 60
REPEAT_SECONDS = 30
JSON = Any


class Failure(Exception):
    """A step did not come out as it has to."""


# Matching


def number(value: JSON) -> float:
    return 0.0 if value is None else float(value)


def at(value: JSON, path: str) -> JSON:
    """What lies at a path; an entry that is not there is None."""
    for depth, name in enumerate(names := path.split(".")):
        if name == "*":
            return [at(entry, ".".join(names[depth + 1 :])) if names[depth + 1 :] else entry for entry in value]
        if isinstance(value, list):
            index = int(name)
            value = value[index] if -len(value) <= index < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def ordered(value: JSON, path: str, sign: int) -> bool:
    numbers = [sign * number(at(entry, path)) for entry in value or []]
    return all(a <= b for a, b in zip(numbers, numbers[1:]))


class Matchers:
    """Compares answers with what is expected."""

    def __init__(self, ids: dict[str, str]) -> None:
        self.ids = ids

    def special(self, name: str, wanted: JSON, value: JSON) -> bool:
        match name:
            case "$any":
                return value is not None
            case "$absent":
                return value is None
            case "$gt":
                return number(value) > number(wanted)
            case "$ge":
                return number(value) >= number(wanted)
            case "$lt":
                return number(value) < number(wanted)
            case "$le":
                return number(value) <= number(wanted)
            case "$near":
                return abs(number(value) - float(wanted[0])) <= float(wanted[1])
            case "$length":
                return not self.differs(wanted, len(value or []))
            case "$each":
                return all(not self.differs(wanted, entry) for entry in value or [])
            case "$some":
                return any(not self.differs(wanted, entry) for entry in value or [])
            case "$count":
                return not self.differs(wanted[1], sum(not self.differs(wanted[0], entry) for entry in value or []))
            case "$not":
                return bool(self.differs(wanted, value))
            case "$matches":
                return isinstance(value, str) and re.search(wanted, value) is not None
            case "$unordered":
                return sorted(map(str, value or [])) == sorted(map(str, wanted))
            case "$ascending":
                return ordered(value, wanted, 1)
            case "$descending":
                return ordered(value, wanted, -1)
            case "$distinct":
                values = [str(at(entry, wanted)) for entry in value or []]
                return len(set(values)) == len(values)
            case "$image_of":
                name = f"{wanted}/{value.get('key')}" if wanted else str(value.get("key"))
                return bool(value.get("imageId") == self.ids.get(name))
        raise Failure(f"no such matcher: {name}")

    def differs(self, wanted: JSON, value: JSON, where: str = "answer") -> str:
        """Where the value is not as wanted; empty where it is."""
        shown = json.dumps(value, ensure_ascii=False)[:300]
        if isinstance(wanted, dict) and any(name.startswith("$") for name in wanted):
            for name, inner in wanted.items():
                if name.startswith("$") and not self.special(name, inner, value):
                    return f"{where}: {shown} is not {name} {json.dumps(inner, ensure_ascii=False)[:300]}"
            wanted = {name: inner for name, inner in wanted.items() if not name.startswith("$")}
            if not wanted:
                return ""
        if isinstance(wanted, dict):
            if not isinstance(value, dict):
                return f"{where}: {shown} is no object"
            found = (self.differs(inner, value.get(name), f"{where}.{name}") for name, inner in wanted.items())
            return next(filter(None, found), "")
        if isinstance(wanted, list):
            entries = value or []
            if not isinstance(entries, list) or len(entries) != len(wanted):
                return f"{where}: {shown} has not {len(wanted)} entries"
            pairs = enumerate(zip(wanted, entries))
            return next(filter(None, (self.differs(a, b, f"{where}.{n}") for n, (a, b) in pairs)), "")
        if value is None:
            same = wanted in (0, "", False)
        elif isinstance(wanted, int | float) and not isinstance(wanted, bool):
            try:
                same = not isinstance(value, bool) and float(value) == float(wanted)
            except (TypeError, ValueError):
                same = False
        else:
            same = value == wanted
        return "" if same else f"{where}: {shown} is not {json.dumps(wanted, ensure_ascii=False)[:300]}"


def as_json(message: Message) -> JSON:
    return json_format.MessageToDict(message)


def error_json(error: culld.CulldError) -> JSON:
    found: dict[str, JSON] = {"code": error.code, "message": error.message, "reason": error.reason}
    found["fields"] = list(error.fields)
    found["retrySeconds"] = error.retry_after
    return {name: value for name, value in found.items() if value not in (None, "", [])}


class Runner:
    """One run against one daemon."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self.flags = flags
        self.pictures = Path(flags.pictures).resolve()
        self.ids: dict[str, str] = json.loads((self.pictures / "ids.json").read_text("utf-8"))
        self.matchers = Matchers(self.ids)
        self.clients: dict[tuple[str, str], culld.Client] = {}
        self.methods = {
            f"{service.name}/{method.name}": (service.name, method)
            for module in MODULES
            for service in module.DESCRIPTOR.services_by_name.values()
            for method in service.methods
        }

    def address(self, through: str) -> tuple[str, str | None]:
        match through:
            case "gate":
                return self.flags.gate, None
            case "tls":
                return self.flags.tls, self.flags.ca
            case "secured":
                return self.flags.secured, self.flags.ca
        return self.flags.address, None

    def client(self, step: JSON, collection: str = "") -> culld.Client:
        through = step.get("through", "")
        shown = self.flags.secured_token if through == "secured" else self.flags.token
        token = step.get("token", shown or "")
        if (through, token) not in self.clients:
            address, ca = self.address(through)
            own = None
            if through == "secured":
                own = (Path(self.flags.key).read_bytes(), Path(self.flags.cert).read_bytes())
            self.clients[through, token] = culld.connect(
                address, token=token or None, ca=ca, certificate=own, actor="conformance"
            )
        return self.clients[through, token].at(collection)

    # One scenario

    def run(self, path: Path) -> JSON:
        name, scenario = path.stem, json.loads(path.read_text("utf-8"))
        missing = [need for need in scenario.get("needs", []) if not getattr(self.flags, need)]
        if missing:
            return {"scenario": name, "skipped": f"no --{missing[0]}"}
        started, problem = time.monotonic(), queue.SimpleQueue[str]()
        threading.Thread(target=lambda: problem.put(self.problem(name, scenario)), daemon=True).start()
        limit = scenario.get("limit_seconds", LIMIT_SECONDS)
        try:
            error = problem.get(timeout=limit)
        except queue.Empty:
            error = f"longer than {limit} s"
            self.clients.clear()
        seconds = round(time.monotonic() - started, 2)
        if error:
            return {"scenario": name, "ok": False, "error": error, "seconds": seconds}
        return {"scenario": name, "ok": True, "seconds": seconds}

    def problem(self, name: str, scenario: JSON) -> str:
        collection = f"{name}-{secrets.token_hex(4)}"
        variables: dict[str, JSON] = {
            "collection": collection,
            "language": "python",
            "pictures": str(self.pictures),
        }
        step_name = "the start"
        try:
            self.client({}).create_collection(collection)
            for index, step in enumerate(scenario["steps"], 1):
                step_name = f"step {index} ({step.get('call') or step.get('do') or step.get('control')})"
                self.step(step, variables)
        except Failure as failure:
            return f"{step_name}: {failure}"
        except Exception:
            return f"{step_name}: {traceback.format_exc(limit=-4)}"
        finally:
            with contextlib.suppress(culld.CulldError):
                self.client({}, collection).delete_collection()
        return ""

    def step(self, raw: JSON, variables: dict[str, JSON]) -> None:
        end = time.monotonic() + (REPEAT_SECONDS if raw.get("repeat") else 0)
        while True:
            try:
                return self.once(raw, variables)
            except Failure:
                if time.monotonic() >= end:
                    raise
            time.sleep(0.1)

    def once(self, raw: JSON, variables: dict[str, JSON]) -> None:
        step = self.filled(raw, variables)
        try:
            answer = self.answer(step)
        except culld.CulldError as error:
            found = error_json(error)
            if "error" not in step:
                raise Failure(f"failed with {json.dumps(found)}") from None
            if difference := self.matchers.differs(step["error"], found, "error"):
                raise Failure(difference) from None
            return
        if "error" in step:
            raise Failure(f"succeeded: {json.dumps(answer)[:300]}")
        if "expect" in step and (difference := self.matchers.differs(step["expect"], answer)):
            raise Failure(difference)
        for name, path in step.get("save", {}).items():
            if (value := at(answer, path)) is None:
                raise Failure(f"nothing at {path} of {json.dumps(answer)[:300]}")
            variables[name] = value

    def filled(self, value: JSON, variables: dict[str, JSON]) -> JSON:
        if isinstance(value, dict):
            return {name: self.filled(inner, variables) for name, inner in value.items() if name != "save"} | (
                {"save": value["save"]} if "save" in value else {}
            )
        if isinstance(value, list):
            return [self.filled(inner, variables) for inner in value]
        if not isinstance(value, str):
            return value
        if value.startswith("$file:"):
            return base64.b64encode((self.pictures / value.removeprefix("$file:")).read_bytes()).decode()

        def named(name: str) -> JSON:
            return self.ids[name.removeprefix("id:")] if name.startswith("id:") else variables[name]

        if whole := re.fullmatch(r"\$\{([^}]*)\}", value):
            return named(whole[1])
        return re.sub(r"\$\{([^}]*)\}", lambda found: str(named(found[1])), value)

    def answer(self, step: JSON) -> JSON:
        if "control" in step:
            return self.control(step["control"])
        if "do" in step:
            given = dict(step.get("with", {}))
            client = self.client(step, given.pop("collection", ""))
            behaviour: Callable[[culld.Client, JSON], JSON] = getattr(self, f"do_{step['do']}")
            return behaviour(client, given)
        return self.called(step)

    def control(self, command: str) -> JSON:
        request = urllib.request.Request(f"{self.flags.control}/{command}", method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    # Calls

    def called(self, step: JSON) -> JSON:
        service, method = self.methods[step["call"]]
        client = self.client(step)
        stub: Callable[..., Any] = getattr(getattr(client, STUBS[service]), method.name)
        request: Any = json_format.ParseDict(step.get("request", {}), getattr(api, method.input_type.name)())
        deadline = step.get("deadline")
        if not method.server_streaming:
            if "collect" not in step:
                return as_json(client.call(stub, request, timeout=deadline))
            pages: list[JSON] = []
            while not pages or request.page_token:
                page: Any = client.call(stub, request, timeout=deadline)
                pages.append(as_json(page))
                request.page_token = page.next_page_token
            return collected(pages, step["collect"])
        if "cancel_after" in step:
            return self.cancelled(step, service, method.name, request)
        messages: list[JSON] = []
        with contextlib.closing(client.stream(stub, request, timeout=deadline)) as stream:
            message: Any
            for message in stream:
                messages.append(as_json(message))
                if len(messages) == step.get("take"):
                    break
                if "until" in step and not self.matchers.differs(step["until"], messages[-1]):
                    break
        return collected(messages, step["collect"]) if "collect" in step else {"messages": messages}

    def cancelled(self, step: JSON, service: str, method: str, request: Any) -> JSON:
        """As asyncio cancels."""

        async def leave() -> None:
            address, ca = self.address(step.get("through", ""))
            async with culld.aio.connect(address, token=self.flags.token, ca=ca) as client:

                async def read() -> None:
                    async for _ in client.stream(getattr(getattr(client, STUBS[service]), method), request):
                        pass

                task = asyncio.create_task(read())
                await asyncio.sleep(step["cancel_after"])
                task.cancel()
                await task

        try:
            asyncio.run(leave())
        except asyncio.CancelledError:
            raise culld.errors.Cancelled("cancelled", code="CANCELLED") from None
        return {}

    # Behaviours

    def do_add(self, client: culld.Client, given: JSON) -> JSON:
        images: Any
        if "folder" in given:
            images = self.pictures / given["folder"]
        elif "paths" in given:
            images = [self.pictures / path for path in given["paths"]]
        else:
            images = (
                culld.Image(
                    key=image["key"], data=base64.b64decode(image.get("data", "")), uri=image.get("uri", ""),
                    tags=image.get("tags", []),
                )
                for image in given["images"]
            )  # fmt: skip
        progress = 0

        def told(done: int, _: api.AddOutcome) -> None:
            nonlocal progress
            progress = done

        outcomes: list[JSON] = []
        with contextlib.closing(client.add_images(images, tags=given.get("tags", []), progress=told)) as stream:
            for outcome in stream:
                outcomes.append(as_json(outcome))
                if len(outcomes) == given.get("restart_after"):
                    self.control("restart")
                if len(outcomes) == given.get("cancel_after"):
                    return {"outcomes": outcomes, "cancelled": True}
        return {"outcomes": outcomes, "progress": progress}

    def do_images(self, client: culld.Client, given: JSON) -> JSON:
        filter = json_format.ParseDict(given.get("filter", {}), api.ImageFilter())
        images = client.images(filter, with_embeddings=given.get("withEmbeddings", False))
        return {"images": [as_json(image) for image in images]}

    def do_clusters(self, client: culld.Client, given: JSON) -> JSON:
        return {"clusters": [as_json(cluster) for cluster in client.clusters(int(given.get("clusteringId", 0)))]}

    def do_members(self, client: culld.Client, given: JSON) -> JSON:
        cluster = given.get("clusterId")
        return {"members": [as_json(member) for member in client.members(None if cluster is None else int(cluster))]}

    def do_decisions(self, client: culld.Client, given: JSON) -> JSON:
        filter = json_format.ParseDict(given.get("filter", {}), api.ImageFilter())
        decisions, token = client.snapshot(filter, full=given.get("view") == "DECISION_VIEW_FULL")
        return {"decisions": [as_json(decision) for decision in decisions], "token": token}

    def do_thumbnails(self, client: culld.Client, given: JSON) -> JSON:
        return {"thumbnails": [as_json(thumbnail) for thumbnail in client.thumbnails(given["imageIds"])]}

    def do_recluster(self, client: culld.Client, given: JSON) -> JSON:
        parameters = json_format.ParseDict(given.get("parameters", {"auto": {}}), api.Parameters())
        clustering = client.recluster(parameters, progress=lambda operation: operation.phase)
        return {"clustering": as_json(clustering)}

    def do_transfer(self, client: culld.Client, given: JSON) -> JSON:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "collection.tar"
            size = client.export_collection(path)
            if "cut" in given:
                os.truncate(path, given["cut"])
            return {"bytes": size, **as_json(client.at(given["to"]).import_collection(path))}

    def do_wait(self, client: culld.Client, given: JSON) -> JSON:
        return {"operation": as_json(client.operation(given["name"]).wait())}

    def do_review(self, client: culld.Client, given: JSON) -> JSON:
        items: list[JSON] = []
        answers: list[JSON] = []
        for answer in given["answers"]:
            review = client.next_review(given["reviewer"])
            if review is None:
                raise Failure("nothing is left to ask")
            items.append(as_json(review.item))
            word: Any = answer.removeprefix("REVIEW_ANSWER_").lower()
            answers.append(as_json(review.answer(word)))
        after = client.next_review(given["reviewer"])
        judgements = after.estimate.judgements if after else 0
        return {"items": items, "answers": answers, "judgements": judgements}

    def do_watch(self, client: culld.Client, given: JSON) -> JSON:
        changes: list[JSON] = []
        resyncs = 0
        pending = [api.NewImage(key=image["key"], data=base64.b64decode(image["data"])) for image in given["add"]]
        told: set[str] = set()
        news = threading.Condition()
        problems: list[BaseException] = []
        wanted: list[str] = []

        def add() -> None:
            try:
                for left, image in zip(range(len(pending), 0, -1), pending):
                    if left == 1 and given.get("restart"):
                        self.control("restart")
                    image_id = client.add_image(image).image_id
                    with news:
                        news.wait_for(lambda: image_id in told)
            except BaseException as error:
                problems.append(error)
            finally:
                done.set()

        done = threading.Event()
        threading.Thread(target=add, daemon=True).start()
        del wanted
        with contextlib.closing(client.watch(given.get("since", ""))) as stream:
            for change in watched(stream):
                if change.kind == "resync":
                    resyncs += 1
                elif change.decision is not None:
                    changes.append({"imageId": change.image_id, "decision": as_json(change.decision)})
                    with news:
                        told.add(change.image_id)
                        news.notify_all()
                    # Whoever waits for this has it now, or it is not the last one.
                    if len(told) >= len(pending) and done.wait(0.2):
                        break
                elif change.removed is not None:
                    removed = api.RemovalReason.Name(change.removed)
                    changes.append({"imageId": change.image_id, "removed": removed})
        if problems:
            raise problems[0]
        return {"changes": changes, "resyncs": resyncs}


def watched(stream: Iterator[culld.Change]) -> Iterator[culld.Change]:
    yield from stream


def collected(messages: list[JSON], name: str) -> JSON:
    """The last message with what all of them have in one field."""
    entries = [entry for message in messages for entry in message.get(name, [])]
    return {**(messages[-1] if messages else {}), name: entries, "messages": len(messages)}


def bench(flags: argparse.Namespace) -> None:
    """Adds a folder, and prints how fast and in how much memory."""
    collection = f"bench-{secrets.token_hex(4)}"
    with culld.connect(flags.address, token=flags.token) as root:
        client = root.create_collection(collection)
        started = time.monotonic()
        added = sum(outcome.status == api.AddStatus.ADD_STATUS_ADDED for outcome in client.add_images(flags.bench))
        seconds = time.monotonic() - started
        client.delete_collection()
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    peak = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
    print(json.dumps({"images": added, "seconds": round(seconds, 3), "peak_mib": round(peak, 1)}))


def main() -> int:
    flags = argparse.ArgumentParser()
    flags.add_argument("--scenarios")
    flags.add_argument("--pictures")
    for name in ("address", "gate", "tls", "ca", "secured", "secured-token", "cert", "key", "token", "control"):
        flags.add_argument(f"--{name}")
    flags.add_argument("--only")
    flags.add_argument("--bench")
    given = flags.parse_args()
    if given.bench:
        bench(given)
        return 0
    runner, only = Runner(given), (given.only or "").split(",") if given.only else None
    failed = False
    for path in sorted(Path(given.scenarios).glob("*.json")):
        if only is None or path.stem in only:
            result = runner.run(path)
            failed |= result.get("ok") is False
            print(json.dumps(result, ensure_ascii=False), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
