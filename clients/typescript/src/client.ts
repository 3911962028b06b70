// The client: a method for each thing a service asks of culld.

import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import { type Client as ConnectClient, createClient } from "@connectrpc/connect";

import { AddImages, type AddOptions, type AddRequests } from "./add.js";
import { type Connection, connection, type ConnectOptions } from "./connection.js";
import { protocolError } from "./errors.js";
import { AdminService, type GetServerInfoResponse, type GetStatsResponse } from "./gen/culld/v1/admin_service_pb.js";
import type { Cluster, Clustering, LiveCluster, Member, ParameterCard, Parameters, ReachabilityPoint } from "./gen/culld/v1/clustering_pb.js";
import { ClusteringService } from "./gen/culld/v1/clustering_service_pb.js";
import type { Collection, Policy, PolicySchema } from "./gen/culld/v1/collection_pb.js";
import { CollectionService } from "./gen/culld/v1/collection_service_pb.js";
import { type Decision, DecisionView, type EventKind, type LogEntry } from "./gen/culld/v1/decision_pb.js";
import {
  DecisionService,
  type EvaluateRequestSchema,
  type EvaluateResponse,
  type ExplainDecisionResponse,
  type PreviewVerdictResponse,
  type SetVerdictResponse,
  type UndoEventResponse,
} from "./gen/culld/v1/decision_service_pb.js";
import { AddCause, type AddOutcome, type Image, type ImageFilter, type Thumbnail } from "./gen/culld/v1/image_pb.js";
import {
  type DeleteImagesResponse,
  type DuplicateGroup,
  type FindNeighboursResponse,
  ImageService,
} from "./gen/culld/v1/image_service_pb.js";
import type { ImportResult, Operation as OperationMessage, VerifyReport } from "./gen/culld/v1/operation_pb.js";
import {
  type Algorithm,
  type CallOptions,
  callOptions,
  type Filter,
  filterOf,
  type Id,
  type SideName,
  type VerdictOptions,
  type VerdictTarget,
  verdictOf,
} from "./inputs.js";
import { Operation } from "./operations.js";
import { chunks, entries, PAGE_SIZE } from "./pages.js";
import { type Answer, type AnswerOptions, reviewAll, ReviewItem, type ReviewOptions } from "./review.js";
import { find, type ImageSource, type ImageSources, Unsendable } from "./sources.js";
import {
  CollectionExport,
  type ExportedCollection,
  type ExportOptions,
  importCollection,
  type ImportedCollection,
  type ImportOptions,
  type ImportRequests,
} from "./transfer.js";
import { type Change, Decisions, type FetchOptions, watch, type WatchOptions } from "./watch.js";

/** The deadline of calls that compare all images, in milliseconds: as long as the daemon allows by default. */
const LONG_TIMEOUT_MS = 310_000;
/** Thumbnails asked for at a time. */
const THUMBNAILS_PER_CALL = 100;

/** The generated clients of every service, with the connection's token, retries, request ids, deadlines and errors. */
export interface Services {
  /** What the daemon is, and long work. */
  readonly admin: ConnectClient<typeof AdminService>;
  /** Groups of images. */
  readonly clusterings: ConnectClient<typeof ClusteringService>;
  /** Collections and their policies. */
  readonly collections: ConnectClient<typeof CollectionService>;
  /** Verdicts, decisions and reviews. */
  readonly decisions: ConnectClient<typeof DecisionService>;
  /** Images. */
  readonly images: ConnectClient<typeof ImageService>;
}

/** A daemon, and the collection of it that is worked on. Safe to share; one per process is enough. */
export class Culld {
  readonly #connection: Connection;
  readonly #actor: string;
  /** The collection worked on; empty means `default`. */
  readonly collection: string;
  /** The calls as the proto has them, for what has no method here. */
  readonly services: Services;

  private constructor(connection: Connection, collection: string, actor: string) {
    this.#connection = connection;
    this.#actor = actor;
    this.collection = collection;
    const client = <S extends DescService>(service: S) => createClient(service, connection.transport);
    this.services = {
      admin: client(AdminService),
      clusterings: client(ClusteringService),
      collections: client(CollectionService),
      decisions: client(DecisionService),
      images: client(ImageService),
    };
  }

  /** A client. The connection is made with the first call; `serverInfo` tells whether there is a daemon. */
  static connect(options: ConnectOptions | string = {}): Culld {
    const said = typeof options === "string" ? { address: options } : options;
    const collection = said.collection ?? process.env["CULLD_COLLECTION"] ?? "";
    return new Culld(connection(said), collection, said.actor ?? "");
  }

  /** The same connection, at work on another collection. */
  in(collection: string): Culld {
    return new Culld(this.#connection, collection, this.#actor);
  }

  /** Closes the connection; calls under way end in a CancelledError. */
  close(): void {
    this.#connection.close();
  }

  /** `using culld = Culld.connect()` closes it at the end of its block. */
  [Symbol.dispose](): void {
    this.close();
  }

  // Images

  /**
   * Adds images over one stream and gives one result for each, in order of completion: from paths of files and
   * directories, bytes, and (async) iterators of them. Reads no further ahead than `maxImages` and `maxBytes` allow, and
   * goes on where it was when the daemon restarts: each image has exactly one result.
   */
  addImages(sources: ImageSources, options: AddOptions = {}): AddImages {
    const call = (requests: AddRequests, signal: AbortSignal) => this.services.images.addImages(requests, { signal });
    return new AddImages(call, this.collection, sources, this.#connection.retry, options);
  }

  /** Adds one image: a file, or bytes. A picture that can't be added is an outcome and no error. */
  async addImage(source: ImageSource, options: CallOptions = {}): Promise<AddOutcome> {
    const first = (await find(source).next()).value;
    if (first === undefined) throw new TypeError("there is no image there");
    if (first instanceof Unsendable) throw first.cause;
    const { key, data, uri, modifyTime, tags } = await first.load().catch((error: unknown) => {
      throw error instanceof Unsendable && error.addCause === AddCause.UNSPECIFIED ? error.cause : error;
    });
    const image = { key, data, uri, tags, ...(modifyTime && { modifyTime }) };
    const answer = await this.services.images.addImage({ collection: this.collection, image }, callOptions(options));
    return there(answer.outcome, "AddImage");
  }

  /** Has the daemon add what lies under directories of its own machine. */
  async importSources(paths: readonly string[], options: CallOptions & { tags?: readonly string[] } = {}): Promise<Operation<ImportResult>> {
    const request = { collection: this.collection, paths: [...paths], tags: [...(options.tags ?? [])] };
    const { operation } = await this.services.images.importSources(request, callOptions(options));
    return this.#operation(operation, (done) => (done.result.case === "import" ? done.result.value : undefined), "ImportSources");
  }

  /** One image. */
  async image(imageId: string, options: CallOptions & { withEmbedding?: boolean } = {}): Promise<Image> {
    const request = { collection: this.collection, imageId, withEmbedding: options.withEmbedding ?? false };
    return there((await this.services.images.getImage(request, callOptions(options))).image, "GetImage");
  }

  /** Images in the order they were added. */
  images(options: CallOptions & { filter?: Filter | ImageFilter; withEmbeddings?: boolean } = {}): AsyncGenerator<Image> {
    const filter = filterOf(options.filter);
    const request = { collection: this.collection, filter, withEmbeddings: options.withEmbeddings ?? false, pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.images.listImages({ ...request, pageToken }, callOptions(options));
    return entries("ListImages", ask, (page) => page.images);
  }

  /** Thumbnails (JPEG, at most 320 px on the long side) of any number of images; unknown ids are left out. */
  async *thumbnails(imageIds: readonly string[], options: CallOptions = {}): AsyncGenerator<Thumbnail> {
    for (const chunk of chunks(imageIds, THUMBNAILS_PER_CALL)) {
      for (let left = chunk; left.length > 0; ) {
        const request = { collection: this.collection, imageIds: left };
        const { thumbnails, remainingImageIds } = await this.services.images.batchGetThumbnails(request, callOptions(options));
        if (remainingImageIds.length >= left.length) throw protocolError("an answer without thumbnails", "BatchGetThumbnails");
        yield* thumbnails;
        left = remainingImageIds;
      }
    }
  }

  /** Deletes images, or with `validateOnly` says how many it would; the caller's files are never touched. Not undoable. */
  deleteImages(
    filter: Filter | ImageFilter,
    options: CallOptions & { validateOnly?: boolean; actor?: string } = {},
  ): Promise<DeleteImagesResponse> {
    const { validateOnly, actor } = options;
    const request = { collection: this.collection, filter: filterOf(filter), validateOnly: validateOnly ?? false, actor: actor ?? this.#actor };
    return this.services.images.deleteImages(request, callOptions(options));
  }

  /** The images nearest to one that is stored (by its id), to bytes that are not, or to a vector. */
  neighbours(
    of: string | Uint8Array | readonly number[],
    options: CallOptions & { k?: number; exact?: boolean } = {},
  ): Promise<FindNeighboursResponse> {
    const asked = { collection: this.collection, k: options.k ?? 0, exact: options.exact ?? false };
    const query =
      typeof of === "string"
        ? { case: "imageId" as const, value: of }
        : of instanceof Uint8Array
          ? { case: "data" as const, value: of }
          : { case: "vector" as const, value: { values: [...of] } };
    return this.services.images.findNeighbours({ ...asked, query }, callOptions(options));
  }

  /** Groups of near-duplicates, the one to keep first in each. */
  duplicates(
    options: CallOptions & { filter?: Filter | ImageFilter; distance?: number; hashDistance?: number } = {},
  ): AsyncGenerator<DuplicateGroup> {
    const { distance, hashDistance } = options;
    const limits = { ...(distance !== undefined && { distance }), ...(hashDistance !== undefined && { hashDistance }) };
    const request = { collection: this.collection, filter: filterOf(options.filter), pageSize: PAGE_SIZE, ...limits };
    const ask = (pageToken: string) => this.services.images.findDuplicates({ ...request, pageToken }, long(options));
    return entries("FindDuplicates", ask, (page) => page.groups);
  }

  // Clusterings

  /** Clusters all images anew; `wait` for the clustering. Default: algorithm and parameters from the data. */
  async recluster(
    options: CallOptions & {
      algorithm?: Algorithm | Parameters;
      seed?: Id;
      keepActive?: boolean;
      exact?: boolean;
      actor?: string;
    } = {},
  ): Promise<Operation<Clustering>> {
    const { algorithm, seed, keepActive, exact, actor } = options;
    const parameters = algorithm && ("$typeName" in algorithm ? algorithm : { algorithm });
    const rest = { keepActive: keepActive ?? false, exact: exact ?? false, actor: actor ?? this.#actor };
    const request = { collection: this.collection, seed: BigInt(seed ?? 0), ...rest, ...(parameters && { parameters }) };
    const { operation } = await this.services.clusterings.recluster(request, callOptions(options));
    return this.#operation(operation, (done) => (done.result.case === "clustering" ? done.result.value : undefined), "Recluster");
  }

  /** What the images say of themselves, and the parameters that follow. */
  async suggestParameters(options: CallOptions & { minPoints?: number; exact?: boolean; seed?: Id } = {}): Promise<ParameterCard> {
    const { minPoints, exact, seed } = options;
    const asked = { exact: exact ?? false, seed: BigInt(seed ?? 0), ...(minPoints !== undefined && { minPoints }) };
    const { card } = await this.services.clusterings.suggestParameters({ collection: this.collection, ...asked }, long(options));
    return there(card, "SuggestParameters");
  }

  /** The clusterings that are kept, newest first. */
  clusterings(options: CallOptions = {}): AsyncGenerator<Clustering> {
    const request = { collection: this.collection, pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.clusterings.listClusterings({ ...request, pageToken }, callOptions(options));
    return entries("ListClusterings", ask, (page) => page.clusterings);
  }

  /** One clustering. Default: the active one. */
  async clustering(clusteringId: Id = 0, options: CallOptions = {}): Promise<Clustering> {
    const request = { collection: this.collection, clusteringId: BigInt(clusteringId) };
    return there((await this.services.clusterings.getClustering(request, callOptions(options))).clustering, "GetClustering");
  }

  /** Makes another clustering the active one. */
  async activateClustering(clusteringId: Id, options: CallOptions & { actor?: string } = {}): Promise<Clustering> {
    const request = { collection: this.collection, clusteringId: BigInt(clusteringId), actor: options.actor ?? this.#actor };
    return there((await this.services.clusterings.activateClustering(request, callOptions(options))).clustering, "ActivateClustering");
  }

  /** The clusters of a clustering, largest first. Default: of the active one. */
  clusters(options: CallOptions & { clusteringId?: Id } = {}): AsyncGenerator<Cluster> {
    const request = { collection: this.collection, clusteringId: BigInt(options.clusteringId ?? 0), pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.clusterings.listClusters({ ...request, pageToken }, callOptions(options));
    return entries("ListClusters", ask, (page) => page.clusters);
  }

  /** One cluster. */
  async cluster(clusterId: Id, options: CallOptions & { clusteringId?: Id } = {}): Promise<Cluster> {
    const request = { collection: this.collection, clusterId: BigInt(clusterId), clusteringId: BigInt(options.clusteringId ?? 0) };
    return there((await this.services.clusterings.getCluster(request, callOptions(options))).cluster, "GetCluster");
  }

  /** The members of a cluster, nearest to its medoid first; of the noise where no cluster is named. */
  members(clusterId?: Id, options: CallOptions & { clusteringId?: Id } = {}): AsyncGenerator<Member> {
    const which = { clusteringId: BigInt(options.clusteringId ?? 0), ...(clusterId !== undefined && { clusterId: BigInt(clusterId) }) };
    const request = { collection: this.collection, ...which, pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.clusterings.listMembers({ ...request, pageToken }, callOptions(options));
    return entries("ListMembers", ask, (page) => page.members);
  }

  /** The clusters of a followed clustering as adds and deletes have left them, largest first. */
  liveClusters(options: CallOptions = {}): AsyncGenerator<LiveCluster> {
    const request = { collection: this.collection, pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.clusterings.listLiveClusters({ ...request, pageToken }, callOptions(options));
    return entries("ListLiveClusters", ask, (page) => page.clusters);
  }

  /** The images of such a cluster by their ids; of the noise where no cluster is named. */
  liveMembers(clusterId?: Id, options: CallOptions = {}): AsyncGenerator<string> {
    const which = clusterId === undefined ? {} : { clusterId: BigInt(clusterId) };
    const request = { collection: this.collection, ...which, pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.clusterings.listLiveMembers({ ...request, pageToken }, callOptions(options));
    return entries("ListLiveMembers", ask, (page) => page.imageIds);
  }

  /** The reachability plot of an OPTICS clustering, in cluster order. */
  reachability(options: CallOptions & { clusteringId?: Id } = {}): AsyncGenerator<ReachabilityPoint> {
    const request = { collection: this.collection, clusteringId: BigInt(options.clusteringId ?? 0), pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.clusterings.getReachability({ ...request, pageToken }, callOptions(options));
    return entries("GetReachability", ask, (page) => page.points);
  }

  // Verdicts and decisions

  /** Says keep or discard of a cluster, or of images by their ids. Durable when it resolves. */
  setVerdict(side: SideName, target: VerdictTarget, options: VerdictOptions = {}): Promise<SetVerdictResponse> {
    const request = verdictOf(this.collection, side, target, { actor: this.#actor, ...options });
    return this.services.decisions.setVerdict(request, callOptions(options));
  }

  /** Says keep; see `setVerdict`. */
  keep(target: VerdictTarget, options: VerdictOptions = {}): Promise<SetVerdictResponse> {
    return this.setVerdict("keep", target, options);
  }

  /** Says discard; see `setVerdict`. */
  discard(target: VerdictTarget, options: VerdictOptions = {}): Promise<SetVerdictResponse> {
    return this.setVerdict("discard", target, options);
  }

  /** What a verdict would change. */
  previewVerdict(side: SideName, target: VerdictTarget, options: CallOptions = {}): Promise<PreviewVerdictResponse> {
    const value = verdictOf(this.collection, side, target, {});
    return this.services.decisions.previewVerdict({ collection: this.collection, what: { case: "verdict", value } }, callOptions(options));
  }

  /** What undoing an event would change. */
  previewUndo(eventSequence: Id, options: CallOptions = {}): Promise<PreviewVerdictResponse> {
    const what = { case: "undoEventSequence" as const, value: BigInt(eventSequence) };
    return this.services.decisions.previewVerdict({ collection: this.collection, what }, callOptions(options));
  }

  /** Takes a verdict, an answer or an undo back. */
  undo(eventSequence: Id, options: CallOptions & { note?: string; actor?: string } = {}): Promise<UndoEventResponse> {
    const said = { note: options.note ?? "", actor: options.actor ?? this.#actor };
    const request = { collection: this.collection, eventSequence: BigInt(eventSequence), ...said };
    return this.services.decisions.undoEvent(request, callOptions(options));
  }

  /** The decision of one image by its id; `undefined` where it is not known. */
  async decision(imageId: string, options: CallOptions & { full?: boolean } = {}): Promise<Decision | undefined> {
    return (await this.decisionsOf({ imageIds: [imageId] }, options)).decisions[0];
  }

  /** The decisions of any number of images by id or source key. What is unknown or ambiguous is told apart. */
  async decisionsOf(
    images: { imageIds?: readonly string[]; keys?: readonly string[] },
    options: CallOptions & { full?: boolean } = {},
  ): Promise<{ decisions: Decision[]; unknown: string[]; ambiguous: { key: string; imageIds: string[] }[] }> {
    const view = options.full ? DecisionView.FULL : DecisionView.BASIC;
    const byId = [...chunks(images.imageIds ?? [], PAGE_SIZE)].map((imageIds) => ({ imageIds }));
    const byKey = [...chunks(images.keys ?? [], PAGE_SIZE)].map((sourceKeys) => ({ sourceKeys }));
    const all = { decisions: [] as Decision[], unknown: [] as string[], ambiguous: [] as { key: string; imageIds: string[] }[] };
    for (const part of [...byId, ...byKey]) {
      const answer = await this.services.decisions.batchGetDecisions({ collection: this.collection, view, ...part }, callOptions(options));
      all.decisions.push(...answer.decisions);
      all.unknown.push(...answer.unknown);
      all.ambiguous.push(...answer.ambiguous.map(({ sourceKey: key, imageIds }) => ({ key, imageIds })));
    }
    return all;
  }

  /** The decisions of all images that match, one for each, all of one moment. */
  decisions(options: FetchOptions = {}): Decisions {
    return new Decisions((request, signal) => this.services.decisions.fetchDecisions(request, { signal }), this.collection, this.#connection.retry, options);
  }

  /**
   * Follows decisions as they change, until the caller leaves the loop: each change at least once, in order. Goes on by
   * itself when the daemon restarts, and begins anew with a resync where its token is of no use any more.
   */
  watchDecisions(options: WatchOptions = {}): AsyncGenerator<Change> {
    const { decisions } = this.services;
    return watch(
      (request, signal) => decisions.fetchDecisions(request, { signal }),
      (request, signal) => decisions.watchDecisions(request, { signal }),
      this.collection,
      this.#connection.retry,
      options,
    );
  }

  /** Everything that led to one decision. */
  explain(imageId: string, options: CallOptions = {}): Promise<ExplainDecisionResponse> {
    return this.services.decisions.explainDecision({ collection: this.collection, imageId }, callOptions(options));
  }

  /** What was said and done, newest first. */
  events(options: CallOptions & { actor?: string; kinds?: readonly EventKind[] } = {}): AsyncGenerator<LogEntry> {
    const request = { collection: this.collection, actor: options.actor ?? "", kinds: [...(options.kinds ?? [])], pageSize: PAGE_SIZE };
    const ask = (pageToken: string) => this.services.decisions.listEvents({ ...request, pageToken }, callOptions(options));
    return entries("ListEvents", ask, (page) => page.events);
  }

  /** Measures the decisions against true labels: image ids or source keys, and whether each is needed. */
  evaluate(
    labels: Iterable<{ imageId: string; needed: boolean } | { key: string; needed: boolean }>,
    options: CallOptions & Omit<MessageInitShape<typeof EvaluateRequestSchema>, "collection" | "labels" | "$typeName" | "$unknown"> = {},
  ): Promise<EvaluateResponse> {
    const { signal: _signal, timeoutMs: _timeoutMs, ...costs } = options;
    const label = (said: { imageId: string; needed: boolean } | { key: string; needed: boolean }) => ({
      needed: said.needed,
      image: "imageId" in said ? { case: "imageId" as const, value: said.imageId } : { case: "sourceKey" as const, value: said.key },
    });
    const request = { ...costs, collection: this.collection, labels: [...labels].map(label) };
    return this.services.decisions.evaluate(request, long(options));
  }

  // Reviewing

  /** The next few images to judge; `undefined` where nothing is left, or all that is left is with other reviewers. */
  async nextReview(options: ReviewOptions): Promise<ReviewItem | undefined> {
    const { reviewer, held, signal } = options;
    const request = { collection: this.collection, reviewer, heldItemIds: [...(held ?? [])] };
    const next = await this.services.decisions.nextReview(request, { timeoutMs: LONG_TIMEOUT_MS, ...(signal && { signal }) });
    return next.item && new ReviewItem(this.services.decisions, this.collection, this.#actor || reviewer, next.item, next);
  }

  /**
   * Has `judge` answer one item after the other until more answers are not worth a person's time (with `pastEnough`:
   * until none is left) or it returns `undefined`. Resolves to the judgements given.
   */
  review(
    judge: (item: ReviewItem) => Promise<Answer | (AnswerOptions & { readonly answer: Answer }) | undefined>,
    options: ReviewOptions & { pastEnough?: boolean },
  ): Promise<number> {
    return reviewAll(() => this.nextReview(options), judge, options.pastEnough ?? false);
  }

  // Collections

  /** Makes an empty collection: 1 to 64 characters of a-z, 0-9, '-' and '_'. Work in it by `in(name)`. */
  async createCollection(name: string, options: CallOptions = {}): Promise<Collection> {
    return there((await this.services.collections.createCollection({ collection: name }, callOptions(options))).collection, "CreateCollection");
  }

  /** The collection worked on. */
  async collectionInfo(options: CallOptions = {}): Promise<Collection> {
    return there((await this.services.collections.getCollection({ collection: this.collection }, callOptions(options))).collection, "GetCollection");
  }

  /** All collections by name. */
  collections(options: CallOptions = {}): AsyncGenerator<Collection> {
    const ask = (pageToken: string) => this.services.collections.listCollections({ pageSize: PAGE_SIZE, pageToken }, callOptions(options));
    return entries("ListCollections", ask, (page) => page.collections);
  }

  /** Deletes a collection with its images, verdicts and log; resolves to how many images went. Not undoable. */
  async deleteCollection(name: string, options: CallOptions = {}): Promise<number> {
    if (name === "") throw new TypeError("which collection is to be deleted?");
    return Number((await this.services.collections.deleteCollection({ collection: name }, callOptions(options))).images);
  }

  /**
   * The collection worked on, to take it elsewhere: a tar of everything that was added, said and clustered, which
   * `importCollection` makes a collection of. The pictures themselves are not in it. Iterate over its pieces, or have it
   * written to a file: `exportCollection().toFile(path)`.
   */
  exportCollection(options: ExportOptions = {}): CollectionExport {
    const call = (signal: AbortSignal) => this.services.collections.exportCollection({ collection: this.collection }, { signal });
    return new CollectionExport(call, this.#connection.retry, options);
  }

  /**
   * Makes the collection worked on of what `exportCollection` gave, whatever it was called before: there must be none of
   * that name, or one that holds nothing and in which nothing was said. An error leaves no collection behind, and the
   * import is not begun again by itself; what the source fails with is thrown as it is.
   */
  importCollection(source: ExportedCollection, options: ImportOptions = {}): Promise<ImportedCollection> {
    const call = (requests: ImportRequests, signal: AbortSignal) => this.services.collections.importCollection(requests, { signal });
    return importCollection(call, this.collection, source, options);
  }

  /** The policy in force. */
  async policy(options: CallOptions = {}): Promise<Policy> {
    return there((await this.services.collections.getPolicy({ collection: this.collection }, callOptions(options))).policy, "GetPolicy");
  }

  /** Changes what is given of the policy, and resolves to the policy now in force. */
  async setPolicy(policy: MessageInitShape<typeof PolicySchema>, options: CallOptions & { actor?: string } = {}): Promise<Policy> {
    const request = { collection: this.collection, policy, actor: options.actor ?? this.#actor };
    return there((await this.services.collections.setPolicy(request, callOptions(options))).policy, "SetPolicy");
  }

  // The daemon

  /** Version, limits and features. */
  serverInfo(options: CallOptions = {}): Promise<GetServerInfoResponse> {
    return this.services.admin.getServerInfo({}, callOptions(options));
  }

  /** Counts and sizes. */
  stats(options: CallOptions = {}): Promise<GetStatsResponse> {
    return this.services.admin.getStats({ collection: this.collection }, callOptions(options));
  }

  /** Looks at every record of the store; `wait` for the report. */
  async verify(options: CallOptions = {}): Promise<Operation<VerifyReport>> {
    const { operation } = await this.services.admin.verify({}, callOptions(options));
    return this.#operation(operation, (done) => (done.result.case === "verify" ? done.result.value : undefined), "Verify");
  }

  /** An operation by its name, to look at, wait for or cancel. */
  async operation(name: string, options: CallOptions = {}): Promise<Operation<OperationMessage>> {
    const { operation } = await this.services.admin.getOperation({ name }, callOptions(options));
    return this.#operation(operation, (done) => done, "GetOperation");
  }

  /** Operations of this collection, newest first; with `ofAll` those of all collections. */
  operations(options: CallOptions & { ofAll?: boolean } = {}): AsyncGenerator<OperationMessage> {
    const collection = options.ofAll ? "" : this.collection || "default";
    const ask = (pageToken: string) => this.services.admin.listOperations({ collection, pageSize: PAGE_SIZE, pageToken }, callOptions(options));
    return entries("ListOperations", ask, (page) => page.operations);
  }

  #operation<T>(state: OperationMessage | undefined, result: (done: OperationMessage) => T | undefined, method: string): Operation<T> {
    return new Operation(this.services.admin, this.#connection.retry, there(state, method), result);
  }
}

/** What an answer has to have. */
function there<T>(value: T | undefined, method: string): T {
  if (value === undefined) throw protocolError("an answer without what was asked for", method);
  return value;
}

function long(options: CallOptions): ReturnType<typeof callOptions> {
  return callOptions({ timeoutMs: LONG_TIMEOUT_MS, ...options });
}
