// Adds images over one stream: bounded, in order of completion, and going on where it was when the daemon restarts.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

import { CulldError, errorOf, protocolError } from "./errors.js";
import { AddCause, type AddOutcome, AddStatus } from "./gen/culld/v1/image_pb.js";
import type { AddImagesRequestSchema, AddImagesResponse } from "./gen/culld/v1/image_service_pb.js";
import { Backoff, pause, type RetryPolicy } from "./retry.js";
import { type FoundImage, find, type ImageSources, type LoadedImage, Unsendable } from "./sources.js";

/** Images that are read or sent and not answered, or answered and not taken, at most; the daemon stops after as many. */
export const IMAGES_UNDER_WAY_MAX = 256;
/** Bytes of such images unless told otherwise. */
const BYTES_UNDER_WAY = 64 << 20;
/** How often an image that could not be added now (FAILED) is sent in all. */
const TRIES_MAX = 4;
const METHOD = "AddImages";

/** How to add images. Everything has a default. */
export interface AddOptions {
  /** Tags for every image's source. */
  readonly tags?: readonly string[];
  /** Images under way at most: read or sent without an outcome, or with one that was not taken. 1 to 256, default 256. */
  readonly maxImages?: number;
  /** Bytes of images under way at most; a larger image goes alone. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Told after each image. */
  readonly onProgress?: (progress: AddProgress) => void;
  /** Gives up once it is aborted. */
  readonly signal?: AbortSignal;
  /** The deadline for all of it, in milliseconds. Default none. */
  readonly timeoutMs?: number;
}

/** How far it is. */
export interface AddProgress {
  /** Images with a result. */
  readonly done: number;
  /** Of them those that are new. */
  readonly added: number;
  /** Of them those that were there. */
  readonly alreadyPresent: number;
  /** Of them those that can't be added. */
  readonly rejected: number;
  /** Of them those that could not be added now, unreadable files among them. */
  readonly failed: number;
  /** Bytes of images with a result. */
  readonly bytes: number;
  /** How often the stream broke and was taken up again. */
  readonly resumed: number;
}

/** What became of one image. */
export interface AddResult {
  /** Its place among the images given, from 0. */
  readonly index: number;
  /** Its key as a source. */
  readonly key: string;
  /** Whether it is stored: added, or present before. */
  readonly ok: boolean;
  /** What became of it. */
  readonly status: AddStatus;
  /** Why it was not added. */
  readonly cause: AddCause;
  /** The cause in words. */
  readonly detail: string;
  /** Its id; empty where its bytes could not be had. */
  readonly imageId: string;
  /** The decision that it got on arrival. */
  readonly decision: AddOutcome["decision"];
  /** Its cluster, where the active clustering is followed. */
  readonly clusterId: bigint | undefined;
  /** Why its file could not be read; such an image was not sent. */
  readonly error: Error | undefined;
}

type AddRequest = MessageInitShape<typeof AddImagesRequestSchema>;
/** What goes over the stream. */
export type AddRequests = AsyncIterable<AddRequest>;
/** Opens the stream. */
export type AddCall = (requests: AddRequests, signal: AbortSignal) => AsyncIterable<AddImagesResponse>;

interface Pending {
  readonly index: number;
  readonly image: LoadedImage;
  readonly bytes: number;
  tries: number;
  /** It waits to be sent, was sent on the stream that is open, or rests before it is sent once more. */
  state: "waiting" | "sent" | "resting";
}

/** Images being added: iterate over their results, or ask for the `summary`. It begins with the first of the two. */
export class AddImages implements AsyncIterable<AddResult> {
  readonly #run: () => AsyncGenerator<AddResult>;
  #progress: AddProgress = { done: 0, added: 0, alreadyPresent: 0, rejected: 0, failed: 0, bytes: 0, resumed: 0 };

  /** @internal */
  constructor(call: AddCall, collection: string, sources: ImageSources, retry: RetryPolicy, options: AddOptions) {
    const report = (progress: AddProgress): void => {
      this.#progress = progress;
      options.onProgress?.(progress);
    };
    this.#run = () => new Adder(call, collection, sources, retry, options, report).results();
  }

  /** How far it is. */
  get progress(): AddProgress {
    return this.#progress;
  }

  /** One result per image, in order of completion. Leaving the loop early ends the stream. */
  [Symbol.asyncIterator](): AsyncGenerator<AddResult> {
    return this.#run();
  }

  /** Adds all, and counts what became of them. */
  async summary(): Promise<AddProgress> {
    const results = this.#run();
    while (!(await results.next()).done);
    return this.#progress;
  }
}

/** One run: a reader that finds and loads images, a sender and receiver of outcomes, and who takes the results. */
class Adder {
  readonly #call: AddCall;
  readonly #collection: string;
  readonly #sources: ImageSources;
  readonly #retry: RetryPolicy;
  readonly #options: AddOptions;
  readonly #report: (progress: AddProgress) => void;
  readonly #imagesMax: number;
  readonly #bytesMax: number;
  readonly #stop = new AbortController();
  /** Images without an outcome by their key: no two of one key are under way, so that outcomes tell them apart. */
  readonly #pending = new Map<string, Pending>();
  /** Those of them that are to be sent. */
  #outbox: Pending[] = [];
  #results: AddResult[] = [];
  #bytes = 0;
  #read = 0;
  #allRead = false;
  #waiting: (() => void)[] = [];
  #progress: AddProgress = { done: 0, added: 0, alreadyPresent: 0, rejected: 0, failed: 0, bytes: 0, resumed: 0 };

  constructor(
    call: AddCall,
    collection: string,
    sources: ImageSources,
    retry: RetryPolicy,
    options: AddOptions,
    report: (progress: AddProgress) => void,
  ) {
    this.#call = call;
    this.#collection = collection;
    this.#sources = sources;
    this.#retry = retry;
    this.#options = options;
    this.#report = report;
    this.#imagesMax = options.maxImages ?? IMAGES_UNDER_WAY_MAX;
    this.#bytesMax = options.maxBytes ?? BYTES_UNDER_WAY;
    if (!(this.#imagesMax >= 1 && this.#imagesMax <= IMAGES_UNDER_WAY_MAX)) {
      throw new RangeError(`maxImages is ${this.#imagesMax}, and must be 1 to ${IMAGES_UNDER_WAY_MAX}`);
    }
  }

  async *results(): AsyncGenerator<AddResult> {
    const { signal, timeoutMs } = this.#options;
    const cancel = (): void => this.#stop.abort(signal?.reason);
    signal?.addEventListener("abort", cancel);
    if (signal?.aborted) cancel();
    const late = errorOf({ code: Code.DeadlineExceeded, message: `not all images were added within ${timeoutMs} ms`, method: METHOD });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#stop.abort(late), timeoutMs);
    this.#stop.signal.addEventListener("abort", () => this.#wake());
    let end: { error?: unknown } | undefined;
    const ended = Promise.all([this.#readAll(), this.#sendAll()]).then(
      () => {
        end = {};
        this.#wake();
      },
      (error: unknown) => {
        end ??= { error };
        this.#stop.abort(error);
      },
    );
    try {
      for (;;) {
        const result = this.#results.shift();
        if (result !== undefined) {
          this.#wake();
          yield result;
        } else if (end !== undefined) {
          if ("error" in end) throw this.#reason(end.error);
          return;
        } else if (this.#stop.signal.aborted) {
          throw this.#reason(this.#stop.signal.reason);
        } else {
          await this.#change();
        }
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      this.#stop.abort(new Error("nobody takes the results any more"));
      // The source may be waiting for something that never comes: it is told to end, but not waited for.
      void ended;
    }
  }

  /** Why it ended, as an error of ours: by the caller, by the deadline, or by what failed. */
  #reason(error: unknown): unknown {
    const { signal } = this.#options;
    if (signal?.aborted) return errorOf({ code: Code.Canceled, message: `${METHOD} was cancelled`, method: METHOD, cause: signal.reason });
    const stopped: unknown = this.#stop.signal.reason;
    return stopped instanceof CulldError ? stopped : error;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #readAll(): Promise<void> {
    const found = find(this.#sources);
    try {
      for (;;) {
        const next = await this.#unlessStopped(found.next());
        if (next === undefined || next.done) break;
        const index = this.#read;
        this.#read += 1;
        const expected = next.value instanceof Unsendable ? 0 : next.value.bytes;
        while (!this.#hasRoom(expected) && !this.#stopped) await this.#change();
        if (this.#stopped) return;
        const image = await load(next.value);
        if (image instanceof Unsendable) {
          this.#finish(unsent(index, image), 0);
          continue;
        }
        while (this.#pending.has(image.key) && !this.#stopped) await this.#change();
        const pending: Pending = { index, image, bytes: image.data.byteLength, tries: 1, state: "waiting" };
        this.#bytes += pending.bytes;
        this.#pending.set(image.key, pending);
        this.#outbox.push(pending);
        this.#wake();
      }
    } finally {
      this.#allRead = true;
      this.#wake();
      void found.return(undefined).catch(() => undefined);
    }
  }

  async #unlessStopped<T>(work: Promise<T>): Promise<T | undefined> {
    if (this.#stopped) return undefined;
    let leave = (): void => undefined;
    const stopped = new Promise<undefined>((resolve) => {
      leave = () => resolve(undefined);
      this.#stop.signal.addEventListener("abort", leave);
    });
    try {
      return await Promise.race([work, stopped]);
    } finally {
      this.#stop.signal.removeEventListener("abort", leave);
    }
  }

  #hasRoom(bytes: number): boolean {
    const images = this.#pending.size + this.#results.length;
    return images === 0 || (images < this.#imagesMax && this.#bytes + bytes <= this.#bytesMax);
  }

  async #sendAll(): Promise<void> {
    const backoff = new Backoff(this.#retry);
    for (;;) {
      while (this.#outbox.length === 0 && !(this.#allRead && this.#pending.size === 0) && !this.#stopped) await this.#change();
      if (this.#outbox.length === 0 || this.#stopped) return;
      try {
        await this.#stream(backoff);
      } catch (error) {
        if (this.#stopped || !(error instanceof CulldError) || !(await backoff.wait(error, this.#stop.signal))) throw error;
        this.#outbox = [...this.#pending.values()].filter((pending) => pending.state !== "resting");
        for (const pending of this.#outbox) pending.state = "waiting";
        this.#progress = { ...this.#progress, resumed: this.#progress.resumed + 1 };
      }
    }
  }

  /** One stream, from its header to its end. */
  async #stream(backoff: Backoff): Promise<void> {
    const connection = new AbortController();
    const signal = AbortSignal.any([connection.signal, this.#stop.signal]);
    signal.addEventListener("abort", () => this.#wake());
    try {
      for await (const { outcome } of this.#call(this.#requests(signal), signal)) {
        if (outcome === undefined) throw protocolError("an answer without an outcome", METHOD);
        this.#take(outcome);
        backoff.reset();
      }
      const lost = [...this.#pending.values()].find((pending) => pending.state === "sent");
      if (lost !== undefined) throw protocolError(`the stream ended without an outcome for ${lost.image.key}`, METHOD);
    } finally {
      connection.abort(new Error("the stream ended"));
    }
  }

  async *#requests(signal: AbortSignal): AsyncGenerator<AddRequest> {
    const tags = [...(this.#options.tags ?? [])];
    yield { message: { case: "header", value: { collection: this.#collection, tags } } };
    for (;;) {
      while (this.#outbox.length === 0 && !this.#allRead && !signal.aborted) await this.#change();
      if (signal.aborted) return;
      const next = this.#outbox.shift();
      if (next === undefined) return;
      next.state = "sent";
      const { key, data, uri, modifyTime, tags } = next.image;
      yield { message: { case: "image", value: { key, data, uri, tags, ...(modifyTime && { modifyTime }) } } };
    }
  }

  #take(outcome: AddOutcome): void {
    const pending = this.#pending.get(outcome.key);
    if (pending?.state !== "sent") {
      throw protocolError(`an outcome for an image that was not sent: ${outcome.key}`, METHOD);
    }
    if (outcome.status === AddStatus.FAILED && pending.tries < TRIES_MAX && this.#retry.patienceMs > 0) {
      void this.#rest(pending);
      return;
    }
    this.#pending.delete(outcome.key);
    this.#bytes -= pending.bytes;
    this.#finish(answered(pending.index, outcome), pending.bytes);
  }

  /** Has an image that could not be added now sent again a little later. */
  async #rest(pending: Pending): Promise<void> {
    pending.state = "resting";
    pending.tries += 1;
    await pause(this.#retry.initialDelayMs * this.#retry.multiplier ** pending.tries, this.#stop.signal);
    pending.state = "waiting";
    this.#outbox.push(pending);
    this.#wake();
  }

  #finish(result: AddResult, bytes: number): void {
    const { done, added, alreadyPresent, rejected, failed, bytes: before, resumed } = this.#progress;
    const is = (status: AddStatus): number => (result.status === status ? 1 : 0);
    this.#progress = {
      done: done + 1,
      added: added + is(AddStatus.ADDED),
      alreadyPresent: alreadyPresent + is(AddStatus.ALREADY_PRESENT),
      rejected: rejected + is(AddStatus.REJECTED),
      failed: failed + is(AddStatus.FAILED),
      bytes: before + bytes,
      resumed,
    };
    this.#results.push(result);
    this.#report(this.#progress);
    this.#wake();
  }
}

async function load(found: FoundImage | Unsendable): Promise<LoadedImage | Unsendable> {
  if (found instanceof Unsendable) return found;
  try {
    return await found.load();
  } catch (error) {
    if (error instanceof Unsendable) return error;
    throw error;
  }
}

function answered(index: number, outcome: AddOutcome): AddResult {
  const { key, status, cause, detail, imageId, decision, clusterId } = outcome;
  const ok = status === AddStatus.ADDED || status === AddStatus.ALREADY_PRESENT;
  return { index, key, ok, status, cause, detail, imageId, decision, clusterId, error: undefined };
}

function unsent(index: number, image: Unsendable): AddResult {
  // A file that is too large stays so; one that can't be read may be readable later.
  const status = image.addCause === AddCause.TOO_LARGE ? AddStatus.REJECTED : AddStatus.FAILED;
  const rest = { imageId: "", decision: undefined, clusterId: undefined };
  return { index, key: image.key, ok: false, status, cause: image.addCause, detail: image.message, ...rest, error: image.cause as Error };
}
