// The client against a daemon of its own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { after, before, test } from "node:test";

// The package as it is published and installed; build.sh makes it.
const { Culld, DecisionKind, imageId } = await import("../build/consumer/node_modules/culld/dist/index.js");
import { picture, skip, startDaemon } from "./daemon.mjs";

let daemon;
let culld;
before(async () => {
  if (skip) return;
  daemon = await startDaemon();
  culld = Culld.connect(daemon.address);
});
after(async () => {
  culld?.close();
  await daemon?.[Symbol.asyncDispose]();
});

async function all(entries) {
  const list = [];
  for await (const entry of entries) list.push(entry);
  return list;
}

let made = 0;
async function fresh() {
  const name = `test-${(made += 1)}`;
  await culld.createCollection(name);
  return culld.in(name);
}

async function* pictures(count, from = 0) {
  for (let number = from; number < from + count; number += 1) yield { key: `${number}.png`, data: picture(number) };
}

test("the job: add, cluster, look, say, decide, take back", { skip }, async () => {
  const work = await fresh();
  const folder = join(daemon.folder, "pictures");
  await mkdir(join(folder, "ünder 雪"), { recursive: true });
  for (let number = 0; number < 30; number += 1) await writeFile(join(folder, "ünder 雪", `${number} 🐈.png`), picture(number));
  await writeFile(join(folder, "text.txt"), "no picture");
  const adding = work.addImages(folder, { tags: ["t"] });
  const results = await all(adding);
  assert.deepEqual([adding.progress.added, adding.progress.rejected, results.length], [30, 1, 31]);
  assert.deepEqual(results.filter(({ ok }) => !ok).map(({ key }) => key), ["text.txt"]);
  const images = await all(work.images({ filter: { tags: ["t"] } }));
  const seventh = images.find((image) => image.imageId === imageId(picture(7)));
  assert.equal(seventh.sources[0].key, "ünder 雪/7 🐈.png");

  const operation = await work.recluster({ algorithm: { case: "kMeans", value: { k: 3 } } });
  const clustering = await operation.wait({ onProgress: ({ name }) => assert.equal(name, operation.name) });
  assert.equal(clustering.clusters, 3);
  const [largest] = await all(work.clusters());
  const members = await all(work.members(largest.clusterId));
  assert.equal(members.length, Number(largest.size));
  const said = await work.keep({ clusterId: largest.clusterId, exceptions: [members[0].imageId] }, { actor: "me" });
  assert.equal(said.exceptions, 1n);
  assert.equal((await work.decision(members[0].imageId)).decision, DecisionKind.DISCARD);
  assert.equal((await all(work.decisions({ filter: { decisions: ["discard"] } }))).length >= 1, true);
  await work.undo(said.eventSequence);
  assert.equal((await work.decision(members[0].imageId)).decision, DecisionKind.REVIEW);
  assert.deepEqual((await all(work.events({ actor: "me" }))).map(({ event }) => event.actor), ["me"]);
  assert.equal((await all(work.thumbnails(images.map((image) => image.imageId)))).length, 30);
  const { unknown } = await work.decisionsOf({ keys: ["ünder 雪/1 🐈.png", "nowhere"] });
  assert.deepEqual(unknown, ["nowhere"]);
  const large = [1, 2, 3].map((key) => ({ key: `${key}`, data: new Uint8Array(30 << 20) }));
  assert.equal((await work.addImages(large).summary()).rejected, 3);
  const answers = ["keep", "discard", "skip"];
  const judged = await work.review(async ({ shown }) => (shown.length > 0 ? answers.shift() : undefined), { reviewer: "me", pastEnough: true });
  assert.equal(judged, 3);
});

test("a daemon that is killed in the middle of a stream: every image once", { skip }, async () => {
  const work = await fresh();
  const seen = new Map();
  let restarted;
  const adding = work.addImages(pictures(2000, 1000));
  for await (const result of adding) {
    assert.ok(result.ok, result.detail);
    seen.set(result.index, (seen.get(result.index) ?? 0) + 1);
    if (seen.size === 500) restarted = daemon.restart();
  }
  await restarted;
  assert.equal(seen.size, 2000);
  assert.ok([...seen.values()].every((count) => count === 1));
  assert.equal((await work.stats()).images, 2000n);
  assert.ok(adding.progress.resumed >= 1);
});

test("a watch goes on through a kill, and begins anew in a collection that was made again", { skip }, async () => {
  const work = await fresh();
  const told = [];
  let added = 0;
  let token;
  for await (const change of work.watchDecisions({ fromStart: true })) {
    if (change.type === "decided") told.push(change.imageId);
    if (change.type !== "checkpoint") continue;
    token = change.token;
    if (added === 1 && told.length > 0) await daemon.restart();
    if (added === 0 || (added === 1 && told.length > 0)) {
      added += 1;
      await work.addImage({ key: "a", data: picture(added) });
    }
    if (told.includes(imageId(picture(2)))) break;
  }
  assert.equal(told[0], imageId(picture(1)));
  await culld.deleteCollection(work.collection);
  await culld.createCollection(work.collection);
  await work.addImage({ key: "c", data: picture(3) });
  const types = [];
  for await (const change of work.watchDecisions({ since: token })) {
    types.push(change.type);
    if (change.type === "checkpoint") break;
  }
  assert.deepEqual(types, ["resync", "decided", "checkpoint"]);
});

test("a collection is the same elsewhere, and what can't be imported leaves nothing behind", { skip }, async () => {
  const work = await fresh();
  await work.addImages(pictures(20)).summary();
  await work.keep([imageId(picture(3))]);
  const folder = join(daemon.folder, "exports");
  await mkdir(folder);
  const file = join(folder, "all.tar");
  let told = 0;
  const size = await work.exportCollection({ onProgress: (bytes) => (told = bytes) }).toFile(file);
  const whole = await readFile(file);
  assert.deepEqual([size, told], [whole.length, whole.length]);
  const copied = culld.in("copied");
  const { images, collection } = await copied.importCollection(file);
  assert.deepEqual([images, collection.name], [20, "copied"]);
  assert.equal((await copied.decision(imageId(picture(3)))).decision, DecisionKind.KEEP);
  // More than fits into the windows of a stream, so that the daemon refuses while pieces are sent.
  async function* large(bytes) {
    yield bytes;
    for (let mib = 0; mib < 64; mib += 1) yield new Uint8Array(1 << 20);
  }
  for (let again = 0; again < 10; again += 1) {
    await assert.rejects(copied.importCollection(large(whole)), { name: "AlreadyExistsError" });
    const torn = { name: "FailedPreconditionError", reason: "EXPORT_DAMAGED" };
    await assert.rejects(culld.in("torn").importCollection(large(whole.subarray(0, whole.length / 2))), torn);
  }
  await assert.rejects(culld.in("torn").stats(), { name: "NotFoundError" });
  await assert.rejects(culld.in("nowhere").exportCollection().toFile(join(folder, "nowhere.tar")), { name: "NotFoundError" });
  assert.deepEqual(await readdir(folder), ["all.tar"]);
});

test("leaving, aborting and deadlines end calls, and the connection serves on", { skip }, async () => {
  const work = await fresh();
  for await (const result of work.addImages(pictures(300, 5000))) if (result.index >= 5) break;
  const stop = new AbortController();
  const adding = work.addImages(pictures(300, 6000), { signal: stop.signal, onProgress: () => stop.abort() });
  await assert.rejects(adding.summary(), { name: "CancelledError" });
  await assert.rejects(work.addImages(pictures(5000), { timeoutMs: 100 }).summary(), { name: "DeadlineExceededError" });
  await assert.rejects(work.serverInfo({ timeoutMs: 0.001 }), { name: "DeadlineExceededError" });
  await assert.rejects(culld.in("nowhere").addImages(pictures(1)).summary(), { name: "NotFoundError", reason: "NOT_FOUND" });
  const bad = { name: "InvalidArgumentError" };
  await assert.rejects(work.neighbours("no id"), bad);
  assert.ok((await work.serverInfo()).version);
});

test("closing ends what is under way", { skip }, async () => {
  await culld.createCollection("closed");
  const other = Culld.connect({ address: daemon.address, collection: "closed" });
  const closed = { name: "CancelledError" };
  const adding = other.addImages(pictures(300, 7000), { onProgress: ({ done }) => done === 5 && other.close() });
  await assert.rejects(adding.summary(), closed);
  await assert.rejects(other.serverInfo(), closed);
  const third = Culld.connect(daemon.address);
  const watching = third.watchDecisions();
  await watching.next();
  const next = watching.next();
  third.close();
  await assert.rejects(next, closed);
});

test("nobody there is an error in the end", { skip }, async () => {
  const nobody = Culld.connect({ address: "127.0.0.1:1", retry: { patienceMs: 300 } });
  await assert.rejects(nobody.serverInfo(), { name: "UnavailableError", retryable: true });
  await assert.rejects(nobody.addImages(pictures(1)).summary(), { name: "UnavailableError" });
  nobody.close();
});

test("the sample takes uploads", { skip }, async () => {
  const sample = new URL("../build/consumer/upload.mjs", import.meta.url);
  await copyFile(new URL("../samples/upload.mjs", import.meta.url), sample);
  const env = { ...process.env, CULLD_SERVER: daemon.address, PORT: "0" };
  const child = spawn(process.execPath, [sample.pathname], { env, stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  try {
    const address = (await lines.next()).value;
    const response = await fetch(`${address}caf%C3%A9.png`, { method: "POST", body: picture(42) });
    assert.deepEqual([response.status, await response.json()], [201, { id: imageId(picture(42)), decision: "REVIEW" }]);
    const refused = await fetch(`${address}x`, { method: "POST", body: "no picture" });
    assert.equal(refused.status, 422);
    await culld.discard([imageId(picture(42))]);
    assert.equal((await lines.next()).value, "not needed: café.png");
  } finally {
    child.kill();
  }
});
