// Whole collections, out to be taken elsewhere, and in again: piece by piece, as one stream.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { CancelledError, CulldError, errorOf, protocolError } from "./errors.js";
import type { Collection } from "./gen/culld/v1/collection_pb.js";
import type { ExportCollectionResponse, ImportCollectionRequestSchema, ImportCollectionResponse } from "./gen/culld/v1/collection_service_pb.js";
import { Backoff, type RetryPolicy } from "./retry.js";
import { read } from "./watch.js";

/** Bytes of a piece of a collection that the daemon takes, at most. */
const PIECE_BYTES_MAX = 1 << 20;

/** How to transfer a collection. Everything has a default. */
interface TransferOptions {
  /** Gives up once it is aborted, with a CancelledError. */
  readonly signal?: AbortSignal;
  /** The deadline for all of it, in milliseconds. Default none. */
  readonly timeoutMs?: number;
}

/** How to export a collection. Everything has a default. */
export interface ExportOptions extends TransferOptions {
  /** Told after each piece how many bytes there were so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** How to import a collection. Everything has a default. */
export interface ImportOptions extends TransferOptions {
  /** Told whenever the daemon says how far it is. */
  readonly onProgress?: (progress: ImportProgress) => void;
}

/** How far an import is. */
export interface ImportProgress {
  /** Images read. */
  readonly images: number;
  /** Log entries read. */
  readonly events: number;
}

/** What was imported. */
export interface ImportedCollection extends ImportProgress {
  /** The collection that was made. */
  readonly collection: Collection;
}

/** What was exported: the path of a file, a `file:` URL, bytes, or what gives them, such as a stream of Node or the web. */
export type ExportedCollection = string | URL | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

type ImportRequest = MessageInitShape<typeof ImportCollectionRequestSchema>;
/** What goes over the stream of an import. */
export type ImportRequests = AsyncIterable<ImportRequest>;
/** Opens the stream of an export. */
export type ExportCall = (signal: AbortSignal) => AsyncIterable<ExportCollectionResponse>;
/** Opens the stream of an import. */
export type ImportCall = (requests: ImportRequests, signal: AbortSignal) => AsyncIterable<ImportCollectionResponse>;

/** A collection being exported: iterate over its pieces, or have it written `toFile`. It begins with the first of the two. */
export class CollectionExport implements AsyncIterable<Uint8Array> {
  readonly #call: ExportCall;
  readonly #retry: RetryPolicy;
  readonly #options: ExportOptions;

  /** @internal */
  constructor(call: ExportCall, retry: RetryPolicy, options: ExportOptions) {
    this.#call = call;
    this.#retry = retry;
    this.#options = options;
  }

  /**
   * The pieces of a tar, at most 1 MiB each. A daemon that is away is waited for until the first piece came; what came
   * before an error is of no use. Leaving the loop early ends the export.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const { signal, reason } = limits(this.#options, "ExportCollection");
    const backoff = new Backoff(this.#retry);
    let bytes = 0;
    for (;;) {
      try {
        for await (const { data } of read(this.#call, signal)) {
          bytes += data.byteLength;
          this.#options.onProgress?.(bytes);
          yield data;
        }
        return;
      } catch (error) {
        const again = bytes === 0 && !signal.aborted && error instanceof CulldError && (await backoff.wait(error, signal));
        if (!again) throw reason(error);
      }
    }
  }

  /**
   * Writes it to a file, and resolves to how many bytes it has. A file of that name is replaced once all is written; an
   * error leaves it as it was, and no other file behind.
   */
  async toFile(path: string | URL): Promise<number> {
    const place = pathOf(path);
    const beside = `${place}.${randomUUID()}.part`;
    const file = await open(beside, "wx");
    try {
      let bytes = 0;
      try {
        for await (const piece of this) {
          await file.writeFile(piece);
          bytes += piece.byteLength;
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(beside, place);
      return bytes;
    } catch (error) {
      // What can't be removed has a name that says what it is.
      await rm(beside, { force: true }).catch(() => undefined);
      throw error;
    }
  }
}

/** Makes a collection of what was exported. */
export async function importCollection(
  call: ImportCall,
  collection: string,
  source: ExportedCollection,
  options: ImportOptions,
): Promise<ImportedCollection> {
  const method = "ImportCollection";
  const { signal, reason } = limits(options, method);
  let unread: { readonly error: unknown } | undefined;
  const requests = requestsOf(collection, source, (error) => {
    unread = { error };
  });
  try {
    for await (const answer of read((left) => call(requests, left), signal)) {
      const progress = { images: Number(answer.images), events: Number(answer.events) };
      options.onProgress?.(progress);
      if (answer.collection !== undefined) return { ...progress, collection: answer.collection };
    }
    throw protocolError("the stream ended without the collection", method);
  } catch (error) {
    if (unread !== undefined && !signal.aborted) throw unread.error;
    throw reason(error);
  }
}

/** The header, and what is read in pieces. */
async function* requestsOf(
  collection: string,
  source: ExportedCollection,
  onUnread: (error: unknown) => void,
): AsyncGenerator<ImportRequest> {
  yield { message: { case: "header", value: { collection, requestId: randomUUID() } } };
  for await (const value of piecesOf(source, onUnread)) yield { message: { case: "data", value } };
}

/** What is read in pieces. What the source fails with is told; that nobody wants more is none of it. */
async function* piecesOf(source: ExportedCollection, onUnread: (error: unknown) => void): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of chunksOf(source)) {
      if (!(bytes instanceof Uint8Array)) throw new TypeError("a collection is made of bytes: the source has to give Uint8Arrays");
      for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES_MAX) yield bytes.subarray(at, at + PIECE_BYTES_MAX);
    }
  } catch (error) {
    onUnread(error);
    throw error;
  }
}

function chunksOf(source: ExportedCollection): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (source instanceof Uint8Array) return [source];
  if (typeof source === "string" || source instanceof URL) return createReadStream(pathOf(source), { highWaterMark: PIECE_BYTES_MAX });
  return source;
}

function pathOf(path: string | URL): string {
  return typeof path === "string" ? path : fileURLToPath(path);
}

/** What ends a transfer early, and the error that says which it was. */
function limits({ signal, timeoutMs }: TransferOptions, method: string): { signal: AbortSignal; reason: (error: unknown) => unknown } {
  const timer = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const reason = (error: unknown): unknown => {
    if (!(error instanceof CancelledError) || !timer?.aborted || signal?.aborted) return error;
    return errorOf({ code: Code.DeadlineExceeded, message: `${method} was not done within ${timeoutMs} ms`, method, cause: error });
  };
  return { signal: AbortSignal.any([signal, timer].filter((one) => one !== undefined)), reason };
}
