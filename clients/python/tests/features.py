"""What the conformance suite doesn't ask of the Python client: the forms of what is added, tables, arrays, sheets.

features.py CULLD_BINARY
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
from notebook import GROUPS, ITEMS, picture
from tqdm import tqdm

import culld
from culld import api
from culld._connection import split


def addresses() -> None:
    for address, found in {
        "host": (False, "host:7357"),
        "127.0.0.1:80": (False, "127.0.0.1:80"),
        "http://host/": (False, "host:7357"),
        "https://host:1": (True, "host:1"),
        "[::1]": (False, "[::1]:7357"),
        "[::1]:9": (False, "[::1]:9"),
    }.items():
        assert split(address) == found, address
    for address in ["ftp://host", "http://", "host/path"]:
        with contextlib.suppress(ValueError):
            split(address)
            raise AssertionError(f"{address} was taken")


def forms(client: culld.Client, folder: Path) -> None:
    """Everything that can be added."""
    data = picture(90, 0)
    message = api.NewImage(key="message", data=picture(90, 1))
    given: list[culld.Addable] = [
        "no such file",
        ("bytes", data),
        message,
        culld.Image(path=folder / "0-0.png", key="image", tags=["t"]),
    ]
    with tqdm(total=len(given), disable=True) as bar:
        told = {outcome.key: outcome for outcome in client.add_images(given, progress=bar)}
    added = [key for key, outcome in told.items() if outcome.status == api.AddStatus.ADD_STATUS_ADDED]
    assert sorted(added) == ["bytes", "image", "message"], told
    missing = told["no such file"]
    assert missing.status == api.AddStatus.ADD_STATUS_FAILED and "can't be read" in missing.detail, missing
    assert client.image(told["image"].image_id).sources[0].uri.startswith("file://")
    assert client.add_image(("again", data)).status == api.AddStatus.ADD_STATUS_ALREADY_PRESENT
    try:
        list(client.add_images([1]))  # type: ignore[list-item]
        raise AssertionError("a number was added")
    except TypeError as error:
        assert "nothing to add" in str(error)


def slow(client: culld.Client) -> None:
    """What comes slowly is sent at once, and what a caller's iterator raises is raised."""
    go = threading.Event()

    def one_by_one() -> Iterator[tuple[str, bytes]]:
        yield "first", picture(91, 0)
        assert go.wait(60), "the first image waits for the second"
        yield "second", picture(91, 1)
        raise KeyError("the caller's own")

    keys = []
    try:
        for outcome in client.add_images(one_by_one()):
            keys.append(outcome.key)
            go.set()
        raise AssertionError("the error was lost")
    except KeyError as error:
        assert "the caller's own" in str(error)
    assert keys[0] == "first", keys


def refused(client: culld.Client) -> None:
    """Why the daemon ends a stream is known, though an image is on its way then."""
    for _ in range(30):
        try:
            list(client.at("no-such").add_images([("large", bytes(500_000))]))
            raise AssertionError("there is no such collection")
        except culld.errors.NotFound as error:
            assert error.reason == "NOT_FOUND"


def bounded(client: culld.Client) -> None:
    """A caller that does not read makes the sender stop."""
    taken = 0

    def endless() -> Iterator[tuple[str, bytes]]:
        nonlocal taken
        while True:
            taken += 1
            yield str(taken), b"no picture"

    with contextlib.closing(client.add_images(endless())) as outcomes:
        for _ in range(50):
            next(outcomes)
        # Whatever is on its way ends: the count stands still.
        before = -1
        while before != taken:
            before = taken
            threading.Event().wait(0.5)
        # Read, in flight, read ahead, and one in each hand.
        assert taken <= 50 + 256 + 16 + 2, taken


async def asynchronous(address: str) -> None:
    """The same, with asyncio, and several things at a time."""

    async def arrivals() -> AsyncIterator[culld.Image]:
        for item in range(3):
            await asyncio.sleep(0)
            yield culld.Image(key=f"async {item}", data=picture(92, item))

    async with culld.aio.connect(address) as root:
        client = await root.create_collection("asynchronous")

        async def add() -> int:
            return len([outcome async for outcome in client.add_images(arrivals())])

        async def watch() -> int:
            told = set[str]()
            async for change in client.watch():
                told.add(change.image_id)
                if len(told) == 3:
                    return len(told)
            return 0

        counts = await asyncio.wait_for(asyncio.gather(add(), watch()), 60)
        assert list(counts) == [3, 3], counts
        assert await client.delete_collection() == 3


def arrays(client: culld.Client) -> None:
    """NumPy, tables, sheets."""
    embeddings = client.embeddings()
    images = client.stats().images
    assert embeddings.vectors.shape == (images, 1280) and embeddings.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)
    nearest = client.neighbours(embeddings.vectors[3].tolist(), 1)
    assert nearest[0].image_id == embeddings.image_ids[3]
    frames = [client.decisions_table("pandas"), client.decisions_table("polars"), client.decisions_table("arrow")]
    for frame in frames:
        columns = list(getattr(frame, "column_names", None) or frame.columns)
        assert len(frame) == images and columns[:3] == ["image_id", "decision", "provisional_side"], columns
    assert set(client.decisions_table("columns")["decision"]) == {"review"}
    sheet = client.contact_sheet(embeddings.image_ids[:5], title="<five>")
    assert sheet.png().startswith(b"\x89PNG") and sheet._repr_html_().count("<img") == 5
    assert "&lt;five&gt;" in sheet._repr_html_()


def verdicts(client: culld.Client) -> None:
    """The words of this client for what the API has."""
    client.recluster(api.Parameters(k_means=api.KMeansParameters(k=GROUPS)))
    cluster = next(iter(client.clusters()))
    preview = client.preview_verdict("keep", cluster_id=cluster.cluster_id)
    verdict = client.set_verdict("keep", cluster_id=cluster.cluster_id, note="a test")
    assert verdict.changed and preview.changed
    for review in client.review("a tester"):
        review.answer("discard", exceptions=review.item.shown_image_ids[:1])
        assert review.contact_sheet().thumbnails
        break
    assert client.undo(verdict.event_sequence).event_sequence == next(iter(client.events())).event.sequence
    try:
        client.set_verdict("keep")
        raise AssertionError("a verdict on nothing was taken")
    except ValueError:
        pass
    try:
        client.image("0" * 64)
        raise AssertionError("an unknown image was found")
    except culld.errors.NotFound as error:
        assert error.reason == "NOT_FOUND" and "0000" in str(error)


def main(binary: str) -> None:
    addresses()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images"
        images.mkdir()
        (images / ".hidden").write_bytes(b"")
        for group in range(GROUPS):
            for item in range(ITEMS):
                (images / f"{group}-{item}.png").write_bytes(picture(group, item))
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--data", str(folder / "data")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
            try:
                assert daemon.stdout is not None
                words = (word for line in daemon.stdout for word in line.split())
                address = next(word for word in words if word.startswith("http://")).rstrip("/.,")
                with culld.connect(address, actor="features") as client:
                    assert len(list(client.add_images(images))) == GROUPS * ITEMS
                    arrays(client)
                    verdicts(client)
                    other = client.create_collection("forms")
                    forms(other, images)
                    slow(other)
                    refused(client)
                    bounded(other)
                asyncio.run(asynchronous(address))
            finally:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait()
    print("tests/features.py: passed")


if __name__ == "__main__":
    main(sys.argv[1])
