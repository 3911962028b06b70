// Collections taken elsewhere, with a daemon that stands in.

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

import { Culld } from "../dist/index.js";
import { CollectionService } from "../dist/proto.js";

const MIB = 1 << 20;
const text = (bytes) => Buffer.from(bytes).toString();
const forever = (signal) => new Promise((resolve) => signal.addEventListener("abort", resolve));

/** A client of a daemon that stands in. */
async function standIn(t, routes) {
  const server = createServer(connectNodeAdapter({ routes: ({ service }) => service(CollectionService, routes) }));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const retry = { initialDelayMs: 1, maxDelayMs: 2, patienceMs: 5_000 };
  const culld = Culld.connect({ address: `127.0.0.1:${server.address().port}`, collection: "c", retry });
  t.after(() => {
    culld.close();
    server.close();
  });
  return culld;
}

async function folderFor(t) {
  const folder = await mkdtemp(join(tmpdir(), "culld-transfer-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test("an export is all or nothing", async (t) => {
  const folder = await folderFor(t);
  const file = join(folder, "c.tar");
  let exporting;
  const culld = await standIn(t, { exportCollection: (request, context) => exporting(request, context) });
  const expect = async (held) => assert.deepEqual([text(await readFile(file)), await readdir(folder)], [held, ["c.tar"]]);

  let calls = 0;
  exporting = async function* () {
    calls += 1;
    if (calls < 3) throw new ConnectError("away", Code.Unavailable);
    yield { data: Buffer.from("one") };
    yield { data: Buffer.from("two") };
  };
  const told = [];
  assert.equal(await culld.exportCollection({ onProgress: (bytes) => told.push(bytes) }).toFile(pathToFileURL(file)), 6);
  assert.deepEqual([told, calls], [[3, 6], 3]);
  await expect("onetwo");

  // What was begun can't be gone on with.
  exporting = async function* () {
    yield { data: Buffer.from("three") };
    throw new ConnectError("away", Code.Unavailable);
  };
  await assert.rejects(culld.exportCollection().toFile(file), { name: "UnavailableError" });
  await expect("onetwo");
  exporting = async function* (_, { signal }) {
    yield { data: Buffer.from("three") };
    await forever(signal);
  };
  const stop = new AbortController();
  await assert.rejects(culld.exportCollection({ signal: stop.signal, onProgress: () => stop.abort() }).toFile(file), { name: "CancelledError" });
  await assert.rejects(culld.exportCollection({ timeoutMs: 50 }).toFile(file), { name: "DeadlineExceededError" });
  await assert.rejects(culld.exportCollection().toFile(join(file, "below")), { code: "ENOTDIR" });
  await expect("onetwo");
  for await (const piece of culld.exportCollection()) {
    assert.equal(text(piece), "three");
    break;
  }
});

test("an import is a header and pieces, from wherever the bytes come", async (t) => {
  const file = join(await folderFor(t), "c.tar");
  const bytes = Buffer.alloc(2.5 * MIB);
  await writeFile(file, bytes);
  const ids = new Set();
  let sizes;
  const culld = await standIn(t, {
    async *importCollection(requests) {
      sizes = [];
      for await (const { message } of requests) {
        if (message.case === "header") ids.add(`${message.value.collection} ${message.value.requestId}`);
        sizes.push(message.case === "data" ? message.value.length : 0);
      }
      yield { images: 1n };
      yield { images: 2n, events: 3n, collection: { name: "c" } };
    },
  });
  const sources = [file, pathToFileURL(file), bytes, [bytes], Readable.from([bytes]), new Blob([bytes]).stream()];
  for (const source of sources) {
    const told = [];
    const done = await culld.importCollection(source, { onProgress: ({ images }) => told.push(images) });
    assert.deepEqual([done.images, done.events, done.collection.name, told], [2, 3, "c", [1, 2]]);
    assert.equal(sizes.shift(), 0);
    assert.equal(sizes.reduce((sum, size) => sum + size, 0), bytes.length);
    assert.ok(sizes.every((size) => size > 0 && size <= MIB), `${sizes}`);
  }
  assert.equal(ids.size, sources.length);
  for (const id of ids) assert.match(id, /^c [0-9a-f-]{36}$/);
});

test("why an import ended is known", async (t) => {
  let importing;
  const culld = await standIn(t, { importCollection: (requests, context) => importing(requests, context) });
  async function* endless() {
    for (;;) yield Buffer.alloc(MIB);
  }
  importing = async function* (requests) {
    let seen = 0;
    for await (const _ of requests) if ((seen += 1) === 3) break;
    throw new ConnectError("it is damaged", Code.FailedPrecondition);
  };
  for (let again = 0; again < 30; again += 1) {
    await assert.rejects(culld.importCollection(endless()), { name: "FailedPreconditionError", message: "it is damaged" });
  }

  let whole;
  importing = async function* (requests) {
    whole = false;
    for await (const _ of requests);
    whole = true;
  };
  async function* failing() {
    yield Buffer.alloc(9);
    throw new RangeError("mine");
  }
  await assert.rejects(culld.importCollection(failing()), { name: "RangeError", message: "mine" });
  assert.equal(whole, false, "what could not be read looks as if it were all");
  await assert.rejects(culld.importCollection(["no bytes"]), { name: "TypeError" });
  await assert.rejects(culld.importCollection("/no/such/file"), { code: "ENOENT" });
  await assert.rejects(culld.importCollection(Buffer.alloc(9)), { name: "InternalError" });

  const stop = new AbortController();
  importing = async function* (_, { signal }) {
    yield { images: 1n };
    await forever(signal);
  };
  // A source that never gives anything.
  const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
  await assert.rejects(culld.importCollection(silent, { signal: stop.signal, onProgress: () => stop.abort() }), { name: "CancelledError" });
  await assert.rejects(culld.importCollection(silent, { timeoutMs: 50 }), { name: "DeadlineExceededError" });
  await assert.rejects(culld.importCollection(endless(), { timeoutMs: 50 }), { name: "DeadlineExceededError" });
});
