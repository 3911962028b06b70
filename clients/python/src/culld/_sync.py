"""The synchronous client. Made by make_sync.py from aio.py: change that one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import grpc.aio

from . import aio, api
from ._add import Addable, Progress
from ._loop import Loop
from ._pictures import ContactSheet, Embeddings
from ._retry import MessageT, Retry
from .aio import Answer, Change

ResponseT = TypeVar("ResponseT")


class Operation:
    """Long work of the daemon; it goes on whether somebody waits or not."""

    def __init__(self, loop: Loop, inner: aio.Operation) -> None:
        self._loop = loop
        self._inner = inner

    @property
    def message(self) -> api.Operation:
        """As it was when last looked at."""
        return self._inner.message

    @property
    def name(self) -> str:
        """``"operations/"`` and a number: what :meth:`Client.operation` takes, after a restart too."""
        return self._inner.name

    def wait(
        self, *, timeout: float | None = None, progress: Callable[[api.Operation], object] | None = None
    ) -> api.Operation:
        """Waits for the end, through restarts of the daemon.

        Args:
            timeout: Seconds; :class:`~culld.errors.DeadlineExceeded` after them, and the operation goes on.
            progress: Is told about once a second how far it is.

        Raises:
            OperationFailed: It ended with an error, or was cancelled.
        """
        return self._loop.run(self._inner.wait(timeout=timeout, progress=progress))

    def cancel(self) -> None:
        """Asks it to stop; :meth:`wait` then raises :class:`~culld.errors.OperationFailed` (``CANCELLED``)."""
        self._loop.run(self._inner.cancel())


class Review:
    """Pictures to be judged together, leased to one reviewer for ten minutes.

    Attributes:
        item: What to judge; ``item.shown_image_ids`` are the pictures to look at, nine at most.
        estimate: How good the decisions are thought to be.
        enough: More answers are not worth a person's time.
        answered: What became of the answer, once it was given.
    """

    def __init__(self, loop: Loop, inner: aio.Review) -> None:
        self._loop = loop
        self._inner = inner
        self.item = inner.item
        self.estimate = inner.estimate
        self.enough = inner.enough

    @property
    def answered(self) -> api.AnswerReviewResponse | None:
        """What became of the answer, once it was given."""
        return self._inner.answered

    def answer(self, answer: Answer, *, exceptions: Sequence[str] = (), note: str = "") -> api.AnswerReviewResponse:
        """Says what the pictures are: one judgement.

        Args:
            answer: ``"mixed"`` where there are some of each, ``"skip"`` for not now.
            exceptions: Of the images shown those of the other side.
            note: For the log.

        Raises:
            Aborted: The item is stale (``ITEM_STALE``): take the next one.
        """
        return self._loop.run(self._inner.answer(answer, exceptions=exceptions, note=note))

    def contact_sheet(self) -> ContactSheet:
        """The pictures to look at."""
        return self._loop.run(self._inner.contact_sheet())


class Client:
    """A connection to a daemon, working on one collection. Made by :func:`connect`.

    What has no method of its own is reached by :meth:`call` with the generated stubs :attr:`admin`,
    :attr:`clusterings_api`, :attr:`collections_api`, :attr:`decisions_api` and :attr:`images_api`.
    """

    def __init__(self, loop: Loop, inner: aio.AsyncClient) -> None:
        self._loop = loop
        self._inner = inner
        #: The collection worked on; empty means ``"default"``.
        self.collection = inner.collection
        #: Who acts, for the log.
        self.actor = inner.actor
        self.admin = inner.admin
        self.clusterings_api = inner.clusterings_api
        self.collections_api = inner.collections_api
        self.decisions_api = inner.decisions_api
        self.images_api = inner.images_api

    def call(
        self,
        method: Callable[..., grpc.aio.UnaryUnaryCall[MessageT, ResponseT]],
        request: MessageT,
        *,
        timeout: float | None = None,
    ) -> ResponseT:
        """One unary call of a stub with this client's token, retries, deadline and errors."""
        return self._loop.run(self._inner.call(method, request, timeout=timeout))

    def stream(
        self,
        method: Callable[..., grpc.aio.UnaryStreamCall[MessageT, ResponseT]],
        request: MessageT,
        *,
        timeout: float | None = None,
        silence: float | None = None,
    ) -> Generator[ResponseT]:
        """The messages of one server stream, in the same way."""
        return self._loop.iterate(self._inner.stream(method, request, timeout=timeout, silence=silence))

    def close(self) -> None:
        """Ends the connection, for all clients that :meth:`at` made of this one."""
        self._loop.run(self._inner.close())
        self._loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def at(self, collection: str) -> Client:
        """The same connection, working on another collection."""
        return Client(self._loop, self._inner.at(collection))

    def info(self) -> api.GetServerInfoResponse:
        """What the daemon is: version, limits, features."""
        return self._loop.run(self._inner.info())

    def stats(self) -> api.GetStatsResponse:
        """Counts and sizes of the collection."""
        return self._loop.run(self._inner.stats())

    def collections(self) -> list[api.Collection]:
        """All collections, by name."""
        return self._loop.run(self._inner.collections())

    def create_collection(self, name: str) -> Client:
        """Makes an empty collection; answers a client that works on it."""
        return Client(self._loop, self._loop.run(self._inner.create_collection(name)))

    def delete_collection(self) -> int:
        """Deletes this collection with its images, verdicts and log; answers how many images. Not undoable."""
        return self._loop.run(self._inner.delete_collection())

    def export_collection(
        self, path: str | os.PathLike[str], *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Writes the whole collection, without the pictures themselves, to a tar that ``culld import`` and other tools
        read; answers its bytes. The file is there whole or not at all.

        Args:
            path: Where to; replaced where there is such a file.
            progress: Called with the bytes written so far.
        """
        return self._loop.run(self._inner.export_collection(path, progress=progress))

    def import_collection(
        self, path: str | os.PathLike[str], *, progress: Callable[[int], object] | None = None
    ) -> api.ImportCollectionResponse:
        """Makes this client's collection of such a file: with the same images, decisions and log. It must not be there
        yet, or hold nothing. Whatever fails leaves nothing behind. Answers what was made.

        Args:
            path: What was exported.
            progress: Called, in another thread, with the bytes sent so far.
        """
        return self._loop.run(self._inner.import_collection(path, progress=progress))

    def policy(self) -> api.Policy:
        """The policy that decisions are made by."""
        return self._loop.run(self._inner.policy())

    def set_policy(self, policy: api.Policy) -> api.Policy:
        """Sets the fields of the policy that are given; answers the whole."""
        return self._loop.run(self._inner.set_policy(policy))

    def add_images(
        self,
        images: str | os.PathLike[str] | Iterable[Addable] | AsyncIterable[Addable],
        *,
        tags: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> Generator[api.AddOutcome]:
        """Adds images over one stream; one outcome each, in order of completion. A bad image is an outcome, no error.

        Files are read when there is room for them: memory is bounded, however many there are. Where the daemon
        restarts meanwhile, the stream goes on by itself, and every image has one outcome all the same. To stop, leave
        the loop and close the generator (``contextlib.closing``).

        Args:
            images: A folder (every file below it; hidden ones are left out), or any iterable of paths,
                ``(key, bytes)``, :class:`culld.Image`; plain iterables are read in a thread.
            tags: For every image's source.
            progress: Called with how many are done and the last outcome, or a bar such as ``tqdm(total=...)``.
        """
        return self._loop.iterate(self._inner.add_images(images, tags=tags, progress=progress))

    def add_image(self, image: Addable) -> api.AddOutcome:
        """Adds one image by a call of its own, as an upload handler would."""
        return self._loop.run(self._inner.add_image(image))

    def import_sources(self, paths: Sequence[str], *, tags: Sequence[str] = ()) -> Operation:
        """Lets the daemon read folders of its own machine, below its ``--allowed-root``."""
        return Operation(self._loop, self._loop.run(self._inner.import_sources(paths, tags=tags)))

    def images(self, filter: api.ImageFilter | None = None, *, with_embeddings: bool = False) -> Generator[api.Image]:
        """The images that match, in the order they were added."""
        return self._loop.iterate(self._inner.images(filter, with_embeddings=with_embeddings))

    def image(self, image_id: str, *, with_embedding: bool = False) -> api.Image:
        """One image."""
        return self._loop.run(self._inner.image(image_id, with_embedding=with_embedding))

    def embeddings(self, filter: api.ImageFilter | None = None) -> Embeddings:
        """Ids and embeddings of the images that match, as NumPy: 5 KiB of memory each."""
        return self._loop.run(self._inner.embeddings(filter))

    def thumbnails(self, image_ids: Iterable[str]) -> Generator[api.Thumbnail]:
        """Thumbnails in the order asked; unknown ids are left out."""
        return self._loop.iterate(self._inner.thumbnails(image_ids))

    def contact_sheet(self, image_ids: Iterable[str], *, title: str = "") -> ContactSheet:
        """A sheet of pictures with their names; a notebook shows it by itself."""
        return self._loop.run(self._inner.contact_sheet(image_ids, title=title))

    def neighbours(self, of: str | bytes | Sequence[float], k: int = 10, *, exact: bool = False) -> list[api.Neighbour]:
        """The nearest images, nearest first.

        Args:
            of: A stored image's id, the bytes of a picture that is not stored, or a vector.
            k: How many, 1 to 1,000.
            exact: Scan all vectors even where an approximate index is in use.
        """
        return self._loop.run(self._inner.neighbours(of, k, exact=exact))

    def duplicates(self, filter: api.ImageFilter | None = None) -> Generator[api.DuplicateGroup]:
        """Groups of near-duplicates, the one to keep first in each."""
        return self._loop.iterate(self._inner.duplicates(filter))

    def delete_images(self, filter: api.ImageFilter, *, validate_only: bool = False) -> api.DeleteImagesResponse:
        """Deletes sources, and with its last source an image. Not undoable; ``validate_only`` only counts."""
        return self._loop.run(self._inner.delete_images(filter, validate_only=validate_only))

    def start_recluster(
        self, parameters: api.Parameters | None = None, *, seed: int = 0, keep_active: bool = False, exact: bool = False
    ) -> Operation:
        """Starts clustering all images; without parameters the daemon chooses, and says why."""
        return Operation(
            self._loop,
            self._loop.run(self._inner.start_recluster(parameters, seed=seed, keep_active=keep_active, exact=exact)),
        )

    def recluster(
        self,
        parameters: api.Parameters | None = None,
        *,
        seed: int = 0,
        keep_active: bool = False,
        exact: bool = False,
        timeout: float | None = None,
        progress: Callable[[api.Operation], object] | None = None,
    ) -> api.Clustering:
        """Clusters all images, and waits for the result; see :meth:`start_recluster` and :meth:`Operation.wait`."""
        return self._loop.run(
            self._inner.recluster(
                parameters, seed=seed, keep_active=keep_active, exact=exact, timeout=timeout, progress=progress
            )
        )

    def clusterings(self) -> Generator[api.Clustering]:
        """The clusterings that are kept, newest first."""
        return self._loop.iterate(self._inner.clusterings())

    def activate(self, clustering_id: int) -> api.Clustering:
        """Makes another clustering the active one."""
        return self._loop.run(self._inner.activate(clustering_id))

    def clusters(self, clustering_id: int = 0) -> Generator[api.Cluster]:
        """The clusters of a clustering, largest first; 0 means the active one."""
        return self._loop.iterate(self._inner.clusters(clustering_id))

    def members(self, cluster_id: int | None = None, clustering_id: int = 0) -> Generator[api.Member]:
        """The members of a cluster, nearest to the medoid first; ``None``: the noise."""
        return self._loop.iterate(self._inner.members(cluster_id, clustering_id))

    def operation(self, name: str) -> Operation:
        """An operation by its name, such as one that was started before a restart."""
        return Operation(self._loop, self._loop.run(self._inner.operation(name)))

    def decisions(self, filter: api.ImageFilter | None = None, *, full: bool = False) -> Generator[api.Decision]:
        """The decisions of all images that match, all of one moment."""
        return self._loop.iterate(self._inner.decisions(filter, full=full))

    def snapshot(self, filter: api.ImageFilter | None = None, *, full: bool = False) -> tuple[list[api.Decision], str]:
        """All decisions, and the token that :meth:`watch` goes on from."""
        return self._loop.run(self._inner.snapshot(filter, full=full))

    def decisions_table(
        self, kind: Literal["pandas", "polars", "arrow", "columns"] = "pandas", filter: api.ImageFilter | None = None
    ) -> Any:
        """All decisions in full as a table; see :func:`culld.table`."""
        return self._loop.run(self._inner.decisions_table(kind, filter))

    def decisions_of(
        self, *, image_ids: Sequence[str] = (), source_keys: Sequence[str] = (), full: bool = False
    ) -> api.BatchGetDecisionsResponse:
        """The decisions of images named by id or by the key of a source, 1,000 at most."""
        return self._loop.run(self._inner.decisions_of(image_ids=image_ids, source_keys=source_keys, full=full))

    def explain(self, image_id: str) -> api.ExplainDecisionResponse:
        """Everything that led to one decision."""
        return self._loop.run(self._inner.explain(image_id))

    def watch(self, since: str = "", *, filter: api.ImageFilter | None = None, full: bool = False) -> Generator[Change]:
        """What becomes of decisions, as it happens, without end.

        Goes on by itself through restarts of the daemon and lost connections, each change at least once. Where the
        token is of no use any more (older than 7 days, or of a collection that was deleted) it says ``"resync"`` and
        tells all decisions anew.

        Args:
            since: A token of :meth:`snapshot` or of a :class:`Change`; without one, all decisions are told first.
            filter: By image_ids, added_after, added_before, defects and decisions only.
        """
        return self._loop.iterate(self._inner.watch(since, filter=filter, full=full))

    def set_verdict(
        self,
        side: Literal["keep", "discard"],
        *,
        cluster_id: int | None = None,
        images: Sequence[str] = (),
        noise: bool = False,
        clustering_id: int = 0,
        generation: int = 0,
        exceptions: Sequence[str] = (),
        duplicate_of: str = "",
        note: str = "",
    ) -> api.SetVerdictResponse:
        """Says keep or discard of a cluster, of the noise, or of images named one by one.

        Args:
            exceptions: Members of the cluster that are of the other side.
            duplicate_of: For a discard of images: the image they are duplicates of.
            note: For the log.
        """
        return self._loop.run(
            self._inner.set_verdict(
                side,
                cluster_id=cluster_id,
                images=images,
                noise=noise,
                clustering_id=clustering_id,
                generation=generation,
                exceptions=exceptions,
                duplicate_of=duplicate_of,
                note=note,
            )
        )

    def preview_verdict(
        self,
        side: Literal["keep", "discard"],
        *,
        cluster_id: int | None = None,
        images: Sequence[str] = (),
        noise: bool = False,
        clustering_id: int = 0,
        exceptions: Sequence[str] = (),
    ) -> api.PreviewVerdictResponse:
        """What a verdict would change; changes nothing."""
        return self._loop.run(
            self._inner.preview_verdict(
                side,
                cluster_id=cluster_id,
                images=images,
                noise=noise,
                clustering_id=clustering_id,
                exceptions=exceptions,
            )
        )

    def undo(self, event_sequence: int, *, note: str = "") -> api.UndoEventResponse:
        """Takes a verdict, an answer or an undo back."""
        return self._loop.run(self._inner.undo(event_sequence, note=note))

    def events(self) -> Generator[api.LogEntry]:
        """What was said and done, newest first."""
        return self._loop.iterate(self._inner.events())

    def evaluate(
        self, needed: Mapping[str, bool], *, by: Literal["image_id", "source_key"] = "source_key", **costs: Any
    ) -> api.EvaluateResponse:
        """Measures the decisions against what images really are.

        Args:
            needed: Whether each image is needed, by its source's key or its id.
            by: What ``needed`` names images by.
            costs: Other fields of ``EvaluateRequest``, such as ``judgements=20`` or ``rate_per_hour=100``.
        """
        return self._loop.run(self._inner.evaluate(needed, by=by, **costs))

    def next_review(self, reviewer: str = "") -> Review | None:
        """Leases the pictures whose judgement is worth most; ``None`` where nothing is left to ask."""
        return (
            None
            if (review := self._loop.run(self._inner.next_review(reviewer))) is None
            else Review(self._loop, review)
        )

    def review(self, reviewer: str = "", *, until_enough: bool = True) -> Generator[Review]:
        """Items to answer, one after the other.

        Args:
            until_enough: Ends once more answers are not worth a person's time; else once nothing is left.
        """
        return (
            Review(self._loop, review)
            for review in self._loop.iterate(self._inner.review(reviewer, until_enough=until_enough))
        )


def connect(
    address: str = "http://127.0.0.1:7357",
    *,
    token: str | None = None,
    ca: str | bytes | Path | None = None,
    certificate: tuple[bytes, bytes] | None = None,
    collection: str = "",
    actor: str = "",
    timeout: float | None = 330.0,
    retry: Retry = Retry(),
) -> Client:
    """A client of a daemon; connects with the first call.

    Args:
        address: ``HOST:PORT``, or with ``http://``; ``https://`` for TLS.
        token: The bearer token that the daemon wants.
        ca: The authority to trust, a PEM file or its bytes; left out, the system's.
        certificate: The caller's own, where the daemon wants one: ``(private key, chain)`` in PEM.
        collection: What to work on; empty means ``"default"``.
        actor: Who acts, for the log; left out, the user's name.
        timeout: Seconds for every unary call, retries included; ``None`` for no end. Streams have none.
        retry: What to do about failures that pass.
    """
    loop = Loop()
    try:
        inner = loop.make(
            lambda: aio.connect(
                address,
                token=token,
                ca=ca,
                certificate=certificate,
                collection=collection,
                actor=actor,
                timeout=timeout,
                retry=retry,
            )
        )
    except BaseException:
        loop.stop()
        raise
    return Client(loop, inner)
