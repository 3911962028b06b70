"""The asynchronous client.

>>> async with culld.aio.connect() as client:
...     async for outcome in client.add_images("pictures"):
...         print(outcome.key, outcome.decision.decision)
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

from google.protobuf.duration_pb2 import Duration

from . import api, errors
from ._add import Addable, Adder, Image, Progress, folder
from ._connection import Connection
from ._pictures import ContactSheet, Embeddings, table
from ._retry import Retry
from ._transfer import export, import_

__all__ = ["AsyncClient", "Change", "Operation", "Review", "connect"]

#: Entries of a page: the most that the daemon gives.
PAGE_SIZE = 1000
#: Ids of thumbnails asked for at a time: the most that the daemon takes.
THUMBNAILS_PER_CALL = 100
#: Seconds without a word after which a watch connects again; the daemon says something every 30.
WATCH_SILENCE = 90.0
#: Seconds of one wait for an operation.
WAIT_SECONDS = 30
#: The same where a callback wants to see progress.
PROGRESS_SECONDS = 1

Kind = Literal["decision", "removed", "resync"]
Answer = Literal["keep", "discard", "mixed", "skip"]
ItemT = TypeVar("ItemT")
PagedT = TypeVar("PagedT", bound="_Paged")


class _Paged(Protocol):
    page_token: str
    page_size: int


@dataclass(frozen=True)
class Change:
    """Something that a watch tells.

    Attributes:
        kind: ``"decision"``: an image was added, or its decision is another now. ``"removed"``: it is not among those
            that are watched any more. ``"resync"``: forget all that was told; every image is told anew after this.
        image_id: Which image; empty for ``"resync"``.
        decision: The decision, where it is one.
        removed: Why it was removed, where it was.
        revision: Grows with every change; of two of one image the larger one counts.
        token: To go on after this with :meth:`AsyncClient.watch`; the same or older than what was told so far.
    """

    kind: Kind
    image_id: str = ""
    decision: api.Decision | None = None
    removed: api.RemovalReason | None = None
    revision: int = 0
    token: str = ""


def _side(side: Literal["keep", "discard"]) -> api.Side:
    return {"keep": api.Side.SIDE_KEEP, "discard": api.Side.SIDE_DISCARD}[side]


_ANSWERS: dict[Answer, api.ReviewAnswer] = {
    "keep": api.ReviewAnswer.REVIEW_ANSWER_KEEP,
    "discard": api.ReviewAnswer.REVIEW_ANSWER_DISCARD,
    "mixed": api.ReviewAnswer.REVIEW_ANSWER_MIXED,
    "skip": api.ReviewAnswer.REVIEW_ANSWER_SKIP,
}


def _view(full: bool) -> api.DecisionView:
    return api.DecisionView.DECISION_VIEW_FULL if full else api.DecisionView.DECISION_VIEW_BASIC


class Operation:
    """Long work of the daemon; it goes on whether somebody waits or not."""

    def __init__(self, client: AsyncClient, message: api.Operation) -> None:
        self._client = client
        #: As it was when last looked at.
        self.message = message

    @property
    def name(self) -> str:
        """``"operations/"`` and a number: what :meth:`AsyncClient.operation` takes, after a restart too."""
        return self.message.name

    async def wait(
        self, *, timeout: float | None = None, progress: Callable[[api.Operation], object] | None = None
    ) -> api.Operation:
        """Waits for the end, through restarts of the daemon.

        Args:
            timeout: Seconds; :class:`~culld.errors.DeadlineExceeded` after them, and the operation goes on.
            progress: Is told about once a second how far it is.

        Raises:
            OperationFailed: It ended with an error, or was cancelled.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.message.done:
            step: float = PROGRESS_SECONDS if progress else WAIT_SECONDS
            if deadline is not None:
                step = min(step, deadline - time.monotonic())
                if step <= 0:
                    raise errors.DeadlineExceeded(
                        f"{self.name} is not done after {timeout} s", code="DEADLINE_EXCEEDED"
                    )
            wait = Duration()
            wait.FromMilliseconds(round(step * 1000))
            request = api.WaitOperationRequest(name=self.name, timeout=wait)
            self.message = (await self._client.call(self._client.admin.WaitOperation, request)).operation
            if progress:
                progress(self.message)
        if self.message.HasField("error"):
            error = self.message.error
            raise errors.of_operation(error.code, error.message, error.reason)
        return self.message

    async def cancel(self) -> None:
        """Asks it to stop; :meth:`wait` then raises :class:`~culld.errors.OperationFailed` (``CANCELLED``)."""
        request = api.CancelOperationRequest(name=self.name)
        self.message = (await self._client.call(self._client.admin.CancelOperation, request)).operation


@dataclass
class Review:
    """Pictures to be judged together, leased to one reviewer for ten minutes.

    Attributes:
        item: What to judge; ``item.shown_image_ids`` are the pictures to look at, nine at most.
        estimate: How good the decisions are thought to be.
        enough: More answers are not worth a person's time.
        answered: What became of the answer, once it was given.
    """

    _client: AsyncClient
    _reviewer: str
    item: api.ReviewItem
    estimate: api.QualityEstimate
    enough: bool
    answered: api.AnswerReviewResponse | None = None

    async def answer(
        self, answer: Answer, *, exceptions: Sequence[str] = (), note: str = ""
    ) -> api.AnswerReviewResponse:
        """Says what the pictures are: one judgement.

        Args:
            answer: ``"mixed"`` where there are some of each, ``"skip"`` for not now.
            exceptions: Of the images shown those of the other side.
            note: For the log.

        Raises:
            Aborted: The item is stale (``ITEM_STALE``): take the next one.
        """
        request = api.AnswerReviewRequest(
            collection=self._client.collection, item_id=self.item.item_id,
            answer=_ANSWERS[answer], exception_image_ids=exceptions, note=note,
            actor=self._reviewer,
        )  # fmt: skip
        self.answered = await self._client.call(self._client.decisions_api.AnswerReview, request)
        return self.answered

    async def contact_sheet(self) -> ContactSheet:
        """The pictures to look at."""
        title = f"{self.item.images} images, {len(self.item.shown_image_ids)} shown"
        return await self._client.contact_sheet(self.item.shown_image_ids, title=title)


class AsyncClient:
    """A connection to a daemon, working on one collection. Made by :func:`connect`.

    What has no method of its own is reached by :meth:`call` with the generated stubs :attr:`admin`,
    :attr:`clusterings_api`, :attr:`collections_api`, :attr:`decisions_api` and :attr:`images_api`.
    """

    def __init__(self, connection: Connection, collection: str, actor: str) -> None:
        self._connection = connection
        #: The collection worked on; empty means ``"default"``.
        self.collection = collection
        #: Who acts, for the log.
        self.actor = actor
        self.admin = connection.admin
        self.clusterings_api = connection.clusterings
        self.collections_api = connection.collections
        self.decisions_api = connection.decisions
        self.images_api = connection.images
        #: One unary call of a stub with this client's token, retries, deadline and errors.
        self.call = connection.call
        #: The messages of one server stream, in the same way.
        self.stream = connection.stream

    def at(self, collection: str) -> AsyncClient:
        """The same connection, working on another collection."""
        return AsyncClient(self._connection, collection, self.actor)

    async def close(self) -> None:
        """Ends the connection."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # The daemon, and its collections

    async def info(self) -> api.GetServerInfoResponse:
        """What the daemon is: version, limits, features."""
        return await self.call(self.admin.GetServerInfo, api.GetServerInfoRequest())

    async def stats(self) -> api.GetStatsResponse:
        """Counts and sizes of the collection."""
        return await self.call(self.admin.GetStats, api.GetStatsRequest(collection=self.collection))

    async def collections(self) -> list[api.Collection]:
        """All collections, by name."""
        method = self.collections_api.ListCollections
        pages = self._pages(method, api.ListCollectionsRequest(), lambda page: page.collections)
        return [collection async for collection in pages]

    async def create_collection(self, name: str) -> AsyncClient:
        """Makes an empty collection; answers a client that works on it."""
        await self.call(self.collections_api.CreateCollection, api.CreateCollectionRequest(collection=name))
        return self.at(name)

    async def delete_collection(self) -> int:
        """Deletes this collection with its images, verdicts and log; answers how many images. Not undoable."""
        request = api.DeleteCollectionRequest(collection=self.collection)
        return (await self.call(self.collections_api.DeleteCollection, request)).images

    async def export_collection(
        self, path: str | os.PathLike[str], *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Writes the whole collection, without the pictures themselves, to a tar that ``culld import`` and other tools
        read; answers its bytes. The file is there whole or not at all.

        Args:
            path: Where to; replaced where there is such a file.
            progress: Called with the bytes written so far.
        """
        return await export(self._connection, self.collection, Path(path), progress)

    async def import_collection(
        self, path: str | os.PathLike[str], *, progress: Callable[[int], object] | None = None
    ) -> api.ImportCollectionResponse:
        """Makes this client's collection of such a file: with the same images, decisions and log. It must not be there
        yet, or hold nothing. Whatever fails leaves nothing behind. Answers what was made.

        Args:
            path: What was exported.
            progress: Called, in another thread, with the bytes sent so far.
        """
        return await import_(self._connection, self.collection, Path(path), progress)

    async def policy(self) -> api.Policy:
        """The policy that decisions are made by."""
        request = api.GetPolicyRequest(collection=self.collection)
        return (await self.call(self.collections_api.GetPolicy, request)).policy

    async def set_policy(self, policy: api.Policy) -> api.Policy:
        """Sets the fields of the policy that are given; answers the whole."""
        request = api.SetPolicyRequest(collection=self.collection, policy=policy, actor=self.actor)
        return (await self.call(self.collections_api.SetPolicy, request)).policy

    # Images

    async def add_images(
        self,
        images: str | os.PathLike[str] | Iterable[Addable] | AsyncIterable[Addable],
        *,
        tags: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> AsyncGenerator[api.AddOutcome]:
        """Adds images over one stream; one outcome each, in order of completion. A bad image is an outcome, no error.

        Files are read when there is room for them: memory is bounded, however many there are. Where the daemon
        restarts meanwhile, the stream goes on by itself, and every image has one outcome all the same. To stop, leave
        the loop and close the generator (``contextlib.aclosing``).

        Args:
            images: A folder (every file below it; hidden ones are left out), or any iterable of paths,
                ``(key, bytes)``, :class:`culld.Image`; plain iterables are read in a thread.
            tags: For every image's source.
            progress: Called with how many are done and the last outcome, or a bar such as ``tqdm(total=...)``.
        """
        items: Iterable[Addable] | AsyncIterable[Addable]
        if isinstance(images, str | os.PathLike):
            items = folder(images) if Path(images).is_dir() else [images]
        else:
            items = images
        async with aclosing(Adder(self._connection, self.collection, items, tags, progress).outcomes()) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def add_image(self, image: Addable) -> api.AddOutcome:
        """Adds one image by a call of its own, as an upload handler would."""
        request = api.AddImageRequest(collection=self.collection, image=_message(image))
        return (await self.call(self.images_api.AddImage, request)).outcome

    async def import_sources(self, paths: Sequence[str], *, tags: Sequence[str] = ()) -> Operation:
        """Lets the daemon read folders of its own machine, below its ``--allowed-root``."""
        request = api.ImportSourcesRequest(collection=self.collection, paths=paths, tags=tags)
        return Operation(self, (await self.call(self.images_api.ImportSources, request)).operation)

    def images(
        self, filter: api.ImageFilter | None = None, *, with_embeddings: bool = False
    ) -> AsyncGenerator[api.Image]:
        """The images that match, in the order they were added."""
        request = api.ListImagesRequest(collection=self.collection, filter=filter, with_embeddings=with_embeddings)
        return self._pages(self.images_api.ListImages, request, lambda page: page.images)

    async def image(self, image_id: str, *, with_embedding: bool = False) -> api.Image:
        """One image."""
        request = api.GetImageRequest(collection=self.collection, image_id=image_id, with_embedding=with_embedding)
        return (await self.call(self.images_api.GetImage, request)).image

    async def embeddings(self, filter: api.ImageFilter | None = None) -> Embeddings:
        """Ids and embeddings of the images that match, as NumPy: 5 KiB of memory each."""
        images = [image async for image in self.images(filter, with_embeddings=True)]
        return Embeddings.of(images)

    async def thumbnails(self, image_ids: Iterable[str]) -> AsyncGenerator[api.Thumbnail]:
        """Thumbnails in the order asked; unknown ids are left out."""
        ids = list(image_ids)
        for start in range(0, len(ids), THUMBNAILS_PER_CALL):
            remaining: Sequence[str] = ids[start : start + THUMBNAILS_PER_CALL]
            while remaining:
                request = api.BatchGetThumbnailsRequest(collection=self.collection, image_ids=remaining)
                answer = await self.call(self.images_api.BatchGetThumbnails, request)
                for thumbnail in answer.thumbnails:
                    yield thumbnail
                remaining = answer.remaining_image_ids

    async def contact_sheet(self, image_ids: Iterable[str], *, title: str = "") -> ContactSheet:
        """A sheet of pictures with their names; a notebook shows it by itself."""
        ids = list(image_ids)
        names = dict[str, str]()
        for start in range(0, len(ids), PAGE_SIZE):
            async for image in self.images(api.ImageFilter(image_ids=ids[start : start + PAGE_SIZE])):
                names[image.image_id] = image.sources[0].key if image.sources else ""
        pictures = [
            (picture.image_id, names.get(picture.image_id, ""), picture.jpeg) async for picture in self.thumbnails(ids)
        ]
        return ContactSheet(title or f"{len(pictures)} pictures", pictures)

    async def neighbours(
        self, of: str | bytes | Sequence[float], k: int = 10, *, exact: bool = False
    ) -> list[api.Neighbour]:
        """The nearest images, nearest first.

        Args:
            of: A stored image's id, the bytes of a picture that is not stored, or a vector.
            k: How many, 1 to 1,000.
            exact: Scan all vectors even where an approximate index is in use.
        """
        request = api.FindNeighboursRequest(collection=self.collection, k=k, exact=exact)
        if isinstance(of, str):
            request.image_id = of
        elif isinstance(of, bytes):
            request.data = of
        else:
            request.vector.values.extend(of)
        return list((await self.call(self.images_api.FindNeighbours, request)).neighbours)

    def duplicates(self, filter: api.ImageFilter | None = None) -> AsyncGenerator[api.DuplicateGroup]:
        """Groups of near-duplicates, the one to keep first in each."""
        request = api.FindDuplicatesRequest(collection=self.collection, filter=filter)
        return self._pages(self.images_api.FindDuplicates, request, lambda page: page.groups)

    async def delete_images(self, filter: api.ImageFilter, *, validate_only: bool = False) -> api.DeleteImagesResponse:
        """Deletes sources, and with its last source an image. Not undoable; ``validate_only`` only counts."""
        request = api.DeleteImagesRequest(
            collection=self.collection, filter=filter, validate_only=validate_only, actor=self.actor
        )
        return await self.call(self.images_api.DeleteImages, request)

    # Clusters

    async def start_recluster(
        self,
        parameters: api.Parameters | None = None,
        *,
        seed: int = 0,
        keep_active: bool = False,
        exact: bool = False,
    ) -> Operation:
        """Starts clustering all images; without parameters the daemon chooses, and says why."""
        request = api.ReclusterRequest(
            collection=self.collection, parameters=parameters, seed=seed, keep_active=keep_active, exact=exact,
            actor=self.actor,
        )  # fmt: skip
        return Operation(self, (await self.call(self.clusterings_api.Recluster, request)).operation)

    async def recluster(
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
        operation = await self.start_recluster(parameters, seed=seed, keep_active=keep_active, exact=exact)
        return (await operation.wait(timeout=timeout, progress=progress)).clustering

    def clusterings(self) -> AsyncGenerator[api.Clustering]:
        """The clusterings that are kept, newest first."""
        request = api.ListClusteringsRequest(collection=self.collection)
        return self._pages(self.clusterings_api.ListClusterings, request, lambda page: page.clusterings)

    async def activate(self, clustering_id: int) -> api.Clustering:
        """Makes another clustering the active one."""
        request = api.ActivateClusteringRequest(
            collection=self.collection, clustering_id=clustering_id, actor=self.actor
        )
        return (await self.call(self.clusterings_api.ActivateClustering, request)).clustering

    def clusters(self, clustering_id: int = 0) -> AsyncGenerator[api.Cluster]:
        """The clusters of a clustering, largest first; 0 means the active one."""
        request = api.ListClustersRequest(collection=self.collection, clustering_id=clustering_id)
        return self._pages(self.clusterings_api.ListClusters, request, lambda page: page.clusters)

    def members(self, cluster_id: int | None = None, clustering_id: int = 0) -> AsyncGenerator[api.Member]:
        """The members of a cluster, nearest to the medoid first; ``None``: the noise."""
        request = api.ListMembersRequest(collection=self.collection, clustering_id=clustering_id, cluster_id=cluster_id)
        return self._pages(self.clusterings_api.ListMembers, request, lambda page: page.members)

    async def operation(self, name: str) -> Operation:
        """An operation by its name, such as one that was started before a restart."""
        request = api.GetOperationRequest(name=name)
        return Operation(self, (await self.call(self.admin.GetOperation, request)).operation)

    # Decisions

    async def decisions(
        self, filter: api.ImageFilter | None = None, *, full: bool = False
    ) -> AsyncGenerator[api.Decision]:
        """The decisions of all images that match, all of one moment."""
        async with aclosing(self._fetched(filter, full)) as messages:
            async for message in messages:
                for decision in message.decisions:
                    yield decision

    async def snapshot(
        self, filter: api.ImageFilter | None = None, *, full: bool = False
    ) -> tuple[list[api.Decision], str]:
        """All decisions, and the token that :meth:`watch` goes on from."""
        decisions, token = list[api.Decision](), ""
        async with aclosing(self._fetched(filter, full)) as messages:
            async for message in messages:
                decisions.extend(message.decisions)
                token = message.token
        if not token:
            raise errors.Incomplete("the decisions ended without a token")
        return decisions, token

    async def decisions_table(
        self,
        kind: Literal["pandas", "polars", "arrow", "columns"] = "pandas",
        filter: api.ImageFilter | None = None,
    ) -> Any:
        """All decisions in full as a table; see :func:`culld.table`."""
        return table([decision async for decision in self.decisions(filter, full=True)], kind)

    async def decisions_of(
        self, *, image_ids: Sequence[str] = (), source_keys: Sequence[str] = (), full: bool = False
    ) -> api.BatchGetDecisionsResponse:
        """The decisions of images named by id or by the key of a source, 1,000 at most."""
        request = api.BatchGetDecisionsRequest(
            collection=self.collection, image_ids=image_ids, source_keys=source_keys, view=_view(full)
        )
        return await self.call(self.decisions_api.BatchGetDecisions, request)

    async def explain(self, image_id: str) -> api.ExplainDecisionResponse:
        """Everything that led to one decision."""
        request = api.ExplainDecisionRequest(collection=self.collection, image_id=image_id)
        return await self.call(self.decisions_api.ExplainDecision, request)

    async def watch(
        self, since: str = "", *, filter: api.ImageFilter | None = None, full: bool = False
    ) -> AsyncGenerator[Change]:
        """What becomes of decisions, as it happens, without end.

        Goes on by itself through restarts of the daemon and lost connections, each change at least once. Where the
        token is of no use any more (older than 7 days, or of a collection that was deleted) it says ``"resync"`` and
        tells all decisions anew.

        Args:
            since: A token of :meth:`snapshot` or of a :class:`Change`; without one, all decisions are told first.
            filter: By image_ids, added_after, added_before, defects and decisions only.
        """
        token, failures = since, 0
        while True:
            try:
                if not token:
                    decisions, token = await self.snapshot(filter, full=full)
                    for decision in decisions:
                        yield _decided(decision, token)
                request = api.WatchDecisionsRequest(
                    collection=self.collection, filter=filter, view=_view(full), since=token
                )
                async with aclosing(
                    self.stream(self.decisions_api.WatchDecisions, request, silence=WATCH_SILENCE)
                ) as messages:
                    async for message in messages:
                        failures = 0
                        for removal in message.removals:
                            yield Change(
                                "removed", removal.image_id, removed=removal.reason, revision=removal.revision,
                                token=token,
                            )  # fmt: skip
                        for decision in message.decisions:
                            yield _decided(decision, token)
                        token = message.token or token
                error: errors.CulldError = errors.Unavailable("the watch ended", code="UNAVAILABLE")
            except errors.OutOfRange:
                token = ""
                yield Change("resync")
                continue
            except errors.CulldError as cause:
                error = cause
            failures += 1
            await self._connection.pause(error, failures)

    # Verdicts

    async def set_verdict(
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
        request = self._verdict(side, cluster_id, images, noise, clustering_id, generation, exceptions)
        request.duplicate_of_image_id, request.note, request.actor = duplicate_of, note, self.actor
        return await self.call(self.decisions_api.SetVerdict, request)

    async def preview_verdict(
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
        verdict = self._verdict(side, cluster_id, images, noise, clustering_id, 0, exceptions)
        request = api.PreviewVerdictRequest(collection=self.collection, verdict=verdict)
        return await self.call(self.decisions_api.PreviewVerdict, request)

    async def undo(self, event_sequence: int, *, note: str = "") -> api.UndoEventResponse:
        """Takes a verdict, an answer or an undo back."""
        request = api.UndoEventRequest(
            collection=self.collection, event_sequence=event_sequence, note=note, actor=self.actor
        )
        return await self.call(self.decisions_api.UndoEvent, request)

    def events(self) -> AsyncGenerator[api.LogEntry]:
        """What was said and done, newest first."""
        request = api.ListEventsRequest(collection=self.collection)
        return self._pages(self.decisions_api.ListEvents, request, lambda page: page.events)

    async def evaluate(
        self, needed: Mapping[str, bool], *, by: Literal["image_id", "source_key"] = "source_key", **costs: Any
    ) -> api.EvaluateResponse:
        """Measures the decisions against what images really are.

        Args:
            needed: Whether each image is needed, by its source's key or its id.
            by: What ``needed`` names images by.
            costs: Other fields of ``EvaluateRequest``, such as ``judgements=20`` or ``rate_per_hour=100``.
        """
        labels = [
            (
                api.TrueLabel(image_id=name, needed=value)
                if by == "image_id"
                else api.TrueLabel(source_key=name, needed=value)
            )
            for name, value in needed.items()
        ]
        request = api.EvaluateRequest(collection=self.collection, labels=labels, **costs)
        return await self.call(self.decisions_api.Evaluate, request)

    async def next_review(self, reviewer: str = "") -> Review | None:
        """Leases the pictures whose judgement is worth most; ``None`` where nothing is left to ask."""
        reviewer = reviewer or self.actor
        request = api.NextReviewRequest(collection=self.collection, reviewer=reviewer)
        answer = await self.call(self.decisions_api.NextReview, request)
        if not answer.HasField("item"):
            return None
        return Review(self, reviewer, answer.item, answer.estimate, answer.enough)

    async def review(self, reviewer: str = "", *, until_enough: bool = True) -> AsyncGenerator[Review]:
        """Items to answer, one after the other.

        Args:
            until_enough: Ends once more answers are not worth a person's time; else once nothing is left.
        """
        while (review := await self.next_review(reviewer)) is not None:
            if review.enough and until_enough:
                return
            yield review
            if review.answered is None:
                return

    # The rest

    def _verdict(
        self,
        side: Literal["keep", "discard"],
        cluster_id: int | None,
        images: Sequence[str],
        noise: bool,
        clustering_id: int,
        generation: int,
        exceptions: Sequence[str],
    ) -> api.SetVerdictRequest:
        if (cluster_id is not None) + bool(images) + noise != 1:
            raise ValueError("a verdict is on a cluster_id, on images or on the noise")
        request = api.SetVerdictRequest(collection=self.collection, side=_side(side), exception_image_ids=exceptions)
        if images:
            request.images.image_ids.extend(images)
        else:
            target = api.ClusterTarget(clustering_id=clustering_id, cluster_id=cluster_id, generation=generation)
            request.cluster.CopyFrom(target)
        return request

    def _fetched(self, filter: api.ImageFilter | None, full: bool) -> AsyncGenerator[api.FetchDecisionsResponse]:
        request = api.FetchDecisionsRequest(collection=self.collection, filter=filter, view=_view(full))
        return self.stream(self.decisions_api.FetchDecisions, request)

    async def _pages(
        self, method: Any, request: PagedT, entries: Callable[[Any], Iterable[ItemT]]
    ) -> AsyncGenerator[ItemT]:
        request.page_size = PAGE_SIZE
        while True:
            page = await self.call(method, request)  # type: ignore[type-var]
            for entry in entries(page):
                yield entry
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _message(image: Addable) -> api.NewImage:
    if isinstance(image, api.NewImage):
        return image
    if isinstance(image, tuple):
        return Image(key=image[0], data=image[1]).message()
    return (image if isinstance(image, Image) else Image(path=image)).message()


def _decided(decision: api.Decision, token: str) -> Change:
    return Change("decision", decision.image_id, decision, revision=decision.revision, token=token)


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
) -> AsyncClient:
    """A client of a daemon; connects with the first call. Call it inside a running event loop.

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
    connection = Connection(address, token=token, ca=ca, certificate=certificate, timeout=timeout, retry=retry)
    user = actor or os.environ.get("USER") or os.environ.get("LOGNAME") or os.environ.get("USERNAME") or ""
    return AsyncClient(connection, collection, user[:128])
