// Images to add, wherever they are: files, directories, bytes, and iterators of them.

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { blake3 } from "@noble/hashes/blake3.js";
import { Buffer } from "node:buffer";
import type { Stats } from "node:fs";
import { open, readdir, realpath, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { AddCause } from "./gen/culld/v1/image_pb.js";

/** Bytes of an image that any daemon takes, at most. */
export const IMAGE_BYTES_MAX = 64 << 20;
/** Bytes of a URI, at most. */
const URI_BYTES_MAX = 4096;

/** An image to add, with what is said of it. Either `data` or `path` is there. */
export interface ImageToAdd {
  /** The bytes of the file. */
  readonly data?: Uint8Array;
  /** The file. */
  readonly path?: string | URL;
  /** The name to give it, at most 4,096 bytes. Default: the path; for bytes the image id. */
  readonly key?: string;
  /** Where it can be fetched from. Default: the file's `file://` URI. */
  readonly uri?: string;
  /** When it last changed. Default: the file's. */
  readonly modifyTime?: Date;
  /** Tags for this source. */
  readonly tags?: readonly string[];
}

/** A path of a file or directory, a `file:` URL, bytes, or any of them with what is said of it. */
export type ImageSource = string | URL | Uint8Array | ImageToAdd;
/** One source, or as many as an iterator gives. */
export type ImageSources = ImageSource | Iterable<ImageSource> | AsyncIterable<ImageSource>;

/** An image that is ready to be sent. */
export interface LoadedImage {
  readonly key: string;
  readonly data: Uint8Array;
  readonly uri: string;
  readonly modifyTime: ReturnType<typeof timestampFromDate> | undefined;
  readonly tags: string[];
}

/** A file that can't be sent. */
export class Unsendable extends Error {
  readonly key: string;
  readonly addCause: AddCause;

  constructor(key: string, addCause: AddCause, cause: Error) {
    super(cause.message, { cause });
    this.key = key;
    this.addCause = addCause;
  }
}

/** An image that was found, and is read when it is needed. */
export interface FoundImage {
  /** Bytes it will take, as far as is known. */
  readonly bytes: number;
  load(): Promise<LoadedImage>;
}

/** The id that the daemon gives these bytes: their BLAKE3, 64 hexadecimal digits. */
export function imageId(data: Uint8Array): string {
  return Buffer.from(blake3(data)).toString("hex");
}

/** Finds images one after the other; what can't be looked at is told in its place. */
export async function* find(sources: ImageSources): AsyncGenerator<FoundImage | Unsendable> {
  if (!isMany(sources)) {
    yield* findOne(sources);
    return;
  }
  for await (const source of sources) yield* findOne(source);
}

function isMany(sources: ImageSources): sources is Iterable<ImageSource> | AsyncIterable<ImageSource> {
  if (typeof sources === "string" || sources instanceof Uint8Array || sources instanceof URL) return false;
  return Symbol.iterator in sources || Symbol.asyncIterator in sources;
}

async function* findOne(source: ImageSource): AsyncGenerator<FoundImage | Unsendable> {
  if (source instanceof Uint8Array) {
    yield fromBytes({ data: source }, source);
  } else if (typeof source === "string" || source instanceof URL) {
    yield* walk(pathOf(source), {});
  } else if (source.data !== undefined) {
    yield fromBytes(source, source.data);
  } else if (source.path !== undefined) {
    yield* walk(pathOf(source.path), source);
  } else {
    throw new TypeError("an image to add needs a path or data");
  }
}

function pathOf(path: string | URL): Buffer {
  return Buffer.from(path instanceof URL ? fileURLToPath(path) : path);
}

function fromBytes(image: ImageToAdd, data: Uint8Array): FoundImage {
  const load = async (): Promise<LoadedImage> => ({
    key: image.key ?? imageId(data),
    data,
    uri: image.uri ?? "",
    modifyTime: image.modifyTime && timestampFromDate(image.modifyTime),
    tags: [...(image.tags ?? [])],
  });
  return { bytes: data.byteLength, load };
}

/**
 * A file, or what is in a directory, by name. Links are followed, but no directory is walked twice; below a directory
 * hidden entries are left out, and what is neither file nor directory. Names are bytes, and need not be Unicode.
 */
async function* walk(start: Buffer, said: ImageToAdd): AsyncGenerator<FoundImage | Unsendable> {
  const walked = new Set<string>();
  const pending: { path: Buffer; root?: Buffer }[] = [{ path: start }];
  for (let entry = pending.pop(); entry !== undefined; entry = pending.pop()) {
    const { path, root } = entry;
    const key = root === undefined ? (said.key ?? text(path)) : text(path.subarray(root.length));
    try {
      const facts = await stat(path);
      if (facts.isDirectory()) {
        const real = (await realpath(path, "buffer")).toString("latin1");
        if (walked.has(real)) continue;
        walked.add(real);
        const prefix = path.at(-1) === 47 ? path : Buffer.concat([path, Buffer.from("/")]);
        const names = (await readdir(path, { encoding: "buffer" })).filter((name) => name[0] !== 46);
        names.sort((a, b) => Buffer.compare(b, a));
        pending.push(...names.map((name) => ({ path: Buffer.concat([prefix, name]), root: root ?? prefix })));
      } else if (facts.isFile()) {
        yield fromFile(path, key, facts, said);
      } else if (root === undefined) {
        throw new Error("it is neither a file nor a directory");
      }
    } catch (error) {
      yield new Unsendable(key, AddCause.UNSPECIFIED, error as Error);
    }
  }
}

function fromFile(path: Buffer, key: string, facts: Stats, said: ImageToAdd): FoundImage {
  const load = async (): Promise<LoadedImage> => {
    if (facts.size > IMAGE_BYTES_MAX) {
      throw new Unsendable(key, AddCause.TOO_LARGE, new Error(`${facts.size} bytes, at most ${IMAGE_BYTES_MAX} are allowed`));
    }
    try {
      const uri = said.uri ?? fileUri(await realpath(path, "buffer"));
      return {
        key,
        data: await read(path, facts.size),
        uri: Buffer.byteLength(uri) <= URI_BYTES_MAX ? uri : "",
        modifyTime: timestampFromDate(said.modifyTime ?? facts.mtime),
        tags: [...(said.tags ?? [])],
      };
    } catch (error) {
      throw new Unsendable(key, AddCause.UNSPECIFIED, error as Error);
    }
  };
  return { bytes: Math.min(facts.size, IMAGE_BYTES_MAX), load };
}

/** The bytes that the file had when it was found, or has now where they are fewer: a file may be written meanwhile. */
async function read(path: Buffer, size: number): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const data = Buffer.allocUnsafeSlow(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await file.read(data, filled, size - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return data.subarray(0, filled);
  } finally {
    await file.close();
  }
}

/** A name as text; bytes that are no UTF-8 are percent-encoded, as culld does it. */
function text(name: Buffer): string {
  const whole = name.toString("utf8");
  if (!whole.includes("\ufffd")) return whole;
  let out = "";
  for (let at = 0; at < name.length; ) {
    const lead = name[at] as number;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const part = name.subarray(at, at + length);
    const decoded = part.toString("utf8");
    if (part.length === length && Buffer.from(decoded).equals(part)) {
      out += decoded;
      at += length;
    } else {
      out += percent(lead);
      at += 1;
    }
  }
  return out;
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** The `file://` URI of an absolute path (RFC 8089), whatever its bytes are. */
function fileUri(path: Buffer): string {
  let uri = "file://";
  for (const byte of path) {
    const character = String.fromCharCode(byte);
    uri += /[A-Za-z0-9/._~-]/.test(character) ? character : percent(byte);
  }
  return uri;
}
