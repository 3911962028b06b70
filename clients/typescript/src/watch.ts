// Decisions: all of them, and as they change, through broken connections and restarts of the daemon.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import { CulldError, errorOf, OutOfRangeError, protocolError } from "./errors.js";
import { type Decision, DecisionView, type Removal } from "./gen/culld/v1/decision_pb.js";
import type {
  FetchDecisionsRequestSchema,
  FetchDecisionsResponse,
  WatchDecisionsRequestSchema,
  WatchDecisionsResponse,
} from "./gen/culld/v1/decision_service_pb.js";
import type { ImageFilter } from "./gen/culld/v1/image_pb.js";
import { type Filter, filterOf } from "./inputs.js";
import { Backoff, type RetryPolicy } from "./retry.js";

/** Something that a caller who follows decisions has to know. */
export type Change =
  /** An image was added, or its decision changed, as it is now. */
  | { readonly type: "decided"; readonly imageId: string; readonly decision: Decision }
  /** An image is not, or not any more, among those followed. */
  | { readonly type: "removed"; readonly imageId: string; readonly removal: Removal }
  /** What was told before is of no use any more: forget it. All decisions of the moment follow. */
  | { readonly type: "resync" }
  /** All up to here is told: keep the token, and go on with it after a restart of your own. Lasts 7 days. */
  | { readonly type: "checkpoint"; readonly token: string };

/** What to watch. */
export interface WatchOptions {
  /** The token of a checkpoint to go on from. */
  readonly since?: string;
  /** Without `since`: begin with all decisions of the moment (a resync) rather than with what changes from now on. */
  readonly fromStart?: boolean;
  /** Of which images: by ids, time of adding, defects and decisions only. */
  readonly filter?: Filter | ImageFilter;
  /** Say everything of each: sources, evidence, the reason in words. Default false. */
  readonly full?: boolean;
  /** Ends the watch, with a CancelledError, once it is aborted. */
  readonly signal?: AbortSignal;
}

type Fetch = (request: MessageInitShape<typeof FetchDecisionsRequestSchema>, signal: AbortSignal) => AsyncIterable<FetchDecisionsResponse>;
type Watch = (request: MessageInitShape<typeof WatchDecisionsRequestSchema>, signal: AbortSignal) => AsyncIterable<WatchDecisionsResponse>;

/** Reads a stream, and ends it when its reader leaves. */
export async function* read<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  const left = new AbortController();
  try {
    yield* open(signal ? AbortSignal.any([signal, left.signal]) : left.signal);
  } finally {
    left.abort(new Error("nobody reads any more"));
  }
}

/** Opens a stream again whenever it breaks, as the policy allows; `open` has to go on where it was. */
export async function* resumed<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  retry: RetryPolicy,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  const backoff = new Backoff(retry);
  for (;;) {
    try {
      for await (const message of read(open, signal)) {
        backoff.reset();
        yield message;
      }
      return;
    } catch (error) {
      if (signal?.aborted || !(error instanceof CulldError) || !(await backoff.wait(error, signal))) throw error;
    }
  }
}

/** Which decisions to fetch. */
export interface FetchOptions {
  /** Of which images. Default: of all. */
  readonly filter?: Filter | ImageFilter;
  /** Say everything of each: sources, evidence, the reason in words. Default false. */
  readonly full?: boolean;
  /** Gives up once it is aborted. */
  readonly signal?: AbortSignal;
}

/** Decisions as they are fetched: iterate over them; afterwards `token` is where to watch from. */
export class Decisions implements AsyncIterable<Decision> {
  readonly #fetch: Fetch;
  readonly #collection: string;
  readonly #retry: RetryPolicy;
  readonly #options: FetchOptions;
  #token = "";

  /** @internal */
  constructor(fetch: Fetch, collection: string, retry: RetryPolicy, options: FetchOptions) {
    this.#fetch = fetch;
    this.#collection = collection;
    this.#retry = retry;
    this.#options = options;
  }

  /** Where to watch from: knows all that was fetched. Empty until the last decision was taken. */
  get token(): string {
    return this.#token;
  }

  /**
   * One decision per image, in the order they were added. A connection that breaks is made anew, and what was told is
   * not told again.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Decision> {
    const { signal } = this.#options;
    const request = asked(this.#collection, this.#options);
    const told = new Set<string>();
    let token = "";
    for await (const message of resumed((left) => this.#fetch(request, left), this.#retry, signal)) {
      for (const decision of message.decisions) {
        if (told.has(decision.imageId)) continue;
        told.add(decision.imageId);
        yield decision;
      }
      token = message.token;
    }
    if (token === "") throw protocolError("decisions without a token at their end", "FetchDecisions");
    this.#token = token;
  }

  /** All of them at once. */
  async toArray(): Promise<Decision[]> {
    const all: Decision[] = [];
    for await (const decision of this) all.push(decision);
    return all;
  }
}

/** Follows decisions until the caller leaves. */
export async function* watch(
  fetch: Fetch,
  open: Watch,
  collection: string,
  retry: RetryPolicy,
  options: WatchOptions,
): AsyncGenerator<Change> {
  const { signal } = options;
  const what = asked(collection, options);
  let token = options.since ?? "";
  let whole = token === "" && options.fromStart === true;
  for (;;) {
    if (whole) {
      yield { type: "resync" };
      const decisions = new Decisions(fetch, collection, retry, options);
      for await (const decision of decisions) yield decided(decision);
      token = decisions.token;
      yield { type: "checkpoint", token };
      whole = false;
    }
    try {
      // Each opening goes on from the last token told.
      for await (const message of resumed((left) => endless(open({ ...what, since: token }, left)), retry, signal)) {
        yield* inOrder(message);
        token = message.token;
        yield { type: "checkpoint", token };
      }
    } catch (error) {
      if (!(error instanceof OutOfRangeError)) throw error;
      whole = true;
    }
  }
}

function asked(collection: string, { filter, full }: FetchOptions) {
  return { collection, filter: filterOf(filter), view: full ? DecisionView.FULL : DecisionView.BASIC };
}

/** A watch never ends by itself: where it does, something between here and the daemon stopped. */
async function* endless<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  yield* messages;
  throw errorOf({ code: Code.Unavailable, message: "the watch ended", method: "WatchDecisions", retryable: true });
}

function decided(decision: Decision): Change {
  return { type: "decided", imageId: decision.imageId, decision };
}

/** The changes of a message in the order in which they came about. */
function inOrder(message: WatchDecisionsResponse): Change[] {
  const changes: [bigint, Change][] = [
    ...message.removals.map((removal): [bigint, Change] => [
      removal.revision,
      { type: "removed", imageId: removal.imageId, removal },
    ]),
    ...message.decisions.map((decision): [bigint, Change] => [decision.revision, decided(decision)]),
  ];
  changes.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return changes.map(([, change]) => change);
}
