// What can be told without a daemon.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Code, ConnectError, createRouterTransport, createClient } from "@connectrpc/connect";

import { AddStatus, Culld, imageId, OutOfRangeError, ResourceExhaustedError, UnavailableError } from "../dist/index.js";
import { AddImages } from "../dist/add.js";
import { fromConnect } from "../dist/errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../dist/gen/google/rpc/error_details_pb.js";
import { DecisionService, ImageService } from "../dist/proto.js";
import { Backoff, DEFAULT_RETRY } from "../dist/retry.js";
import { find, Unsendable } from "../dist/sources.js";
import { PatientTransport } from "../dist/transport.js";
import { watch } from "../dist/watch.js";

const QUICK = { ...DEFAULT_RETRY, initialDelayMs: 1, maxDelayMs: 2, patienceMs: 5_000 };
const defaults = { retry: QUICK, timeoutMs: 5_000, isClosed: () => false, headers: async () => new Headers({ authorization: "Bearer t" }) };
const unavailable = () => new ConnectError("away", Code.Unavailable);

function client(service, routes, more = {}) {
  const router = createRouterTransport(({ service: serve }) => serve(service, routes));
  return createClient(service, new PatientTransport(router, { ...defaults, ...more }));
}

test("an image id is the BLAKE3 of the bytes", () => {
  assert.equal(imageId(new Uint8Array()), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
});

test("waits grow, are drawn apart, honour the daemon's word, and end", () => {
  let now = 0;
  const error = (retryAfterMs) => new UnavailableError({ code: Code.Unavailable, message: "", retryable: true, ...(retryAfterMs && { retryAfterMs }) });
  const waits = (random, policy = DEFAULT_RETRY) => {
    const backoff = new Backoff(policy, () => now, () => random);
    return [0, 1, 2, 3, 4, 5, 6].map(() => backoff.next(error()));
  };
  assert.deepEqual(waits(0.5), [100, 200, 400, 800, 1600, 3200, 5000]);
  assert.deepEqual(waits(0).slice(0, 2), [75, 150]);
  assert.deepEqual(waits(0.5, { ...DEFAULT_RETRY, patienceMs: 0 })[0], undefined);
  const backoff = new Backoff(DEFAULT_RETRY, () => now, () => 1);
  assert.equal(backoff.next(error(7000)), 7025);
  now = 29_999;
  assert.equal(backoff.next(error()), undefined);
  backoff.reset();
  assert.equal(backoff.next(error()), 125);
  assert.equal(backoff.next(new UnavailableError({ code: Code.Unavailable, message: "" })), undefined);
});

test("an act is tried again under one request id, with the token", async () => {
  const seen = [];
  const decisions = client(DecisionService, {
    undoEvent(request, context) {
      seen.push([request.requestId, context.requestHeader.get("authorization")]);
      if (seen.length < 4) throw unavailable();
      return { eventSequence: 7n };
    },
  });
  assert.equal((await decisions.undoEvent({ eventSequence: 3n })).eventSequence, 7n);
  assert.equal(seen.length, 4);
  assert.equal(new Set(seen.map(([id]) => id)).size, 1);
  assert.match(seen[0][0], /^[0-9a-f-]{36}$/);
  assert.equal(seen[0][1], "Bearer t");
  await decisions.undoEvent({ eventSequence: 3n, requestId: "mine" });
  assert.equal(seen.at(-1)[0], "mine");
});

test("overload that passes is waited for, a limit that stays is not", async () => {
  let calls = 0;
  const details = [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: 0n, nanos: 30_000_000 } } }];
  const images = client(ImageService, {
    getImage() {
      calls += 1;
      throw new ConnectError("busy", Code.ResourceExhausted, undefined, calls === 1 ? details : []);
    },
  });
  const begin = performance.now();
  await assert.rejects(images.getImage({}), (error) => error instanceof ResourceExhaustedError && !error.retryable);
  assert.equal(calls, 2);
  assert.ok(performance.now() - begin >= 29);
});

test("errors say what the daemon said", () => {
  const details = [
    { desc: ErrorInfoSchema, value: { reason: "TOKEN_EXPIRED", domain: "culld.dev" } },
    { desc: BadRequestSchema, value: { fieldViolations: [{ field: "since", description: "is old" }] } },
  ];
  const error = fromConnect(new ConnectError("fetch again", Code.OutOfRange, undefined, details), "WatchDecisions");
  assert.ok(error instanceof OutOfRangeError);
  assert.deepEqual([error.reason, error.message, error.method, error.retryable], ["TOKEN_EXPIRED", "fetch again", "WatchDecisions", false]);
  assert.deepEqual(error.violations.map(({ field }) => field), ["since"]);
});

test("a deadline holds over all tries, and an abort ends them", async () => {
  const images = client(ImageService, { getImage: () => { throw unavailable(); } }, { retry: DEFAULT_RETRY });
  await assert.rejects(images.getImage({}, { timeoutMs: 250 }), { name: "DeadlineExceededError" });
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 20);
  await assert.rejects(images.getImage({}, { signal: stop.signal }), { name: "CancelledError" });
});

test("files come by name, hidden ones don't, links end, keys are paths below the folder", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "culld-walk-"));
  t.after(() => rm(root, { recursive: true }));
  await mkdir(join(root, "b"));
  for (const name of ["c.jpg", "b/z é.jpg", "b/.hidden"]) await writeFile(join(root, name), name);
  await writeFile(Buffer.concat([Buffer.from(`${root}/a`), Buffer.from([0xff]), Buffer.from(".jpg")]), "a");
  await symlink(root, join(root, "b/loop"));
  await symlink(join(root, "nowhere"), join(root, "d.jpg"));
  const found = [];
  for await (const image of find([root, join(root, "c.jpg"), new Uint8Array(3)])) {
    found.push(image instanceof Unsendable ? `!${image.key}` : await image.load());
  }
  const keys = found.map((image) => image.key ?? image);
  assert.deepEqual(keys, ["a%FF.jpg", "b/z é.jpg", "c.jpg", "!d.jpg", join(root, "c.jpg"), imageId(new Uint8Array(3))]);
  assert.match(found[0].uri, /^file:\/\/\/.*\/a%FF\.jpg$/);
  assert.match(found[1].uri, /\/b\/z%20%C3%A9\.jpg$/);
  assert.equal(Buffer.from(found[2].data).toString(), "c.jpg");
});

const outcome = (key, status = AddStatus.ADDED) => ({ outcome: { key, status, imageId: key, cause: 0, detail: "" } });
const bytes = (count) => Array.from({ length: count }, (_, number) => ({ key: `${number}`, data: new Uint8Array([number]) }));

async function* images(requests) {
  for await (const { message } of requests) if (message.case === "image") yield message.value;
}

test("a stream that breaks goes on, and each image has one result", async () => {
  let streams = 0;
  const sent = [];
  const call = async function* (requests) {
    streams += 1;
    let answered = 0;
    for await (const { key } of images(requests)) {
      sent.push(key);
      if (streams < 3 && answered === 3) throw new UnavailableError({ code: Code.Unavailable, message: "away", retryable: true });
      answered += 1;
      yield outcome(key);
    }
  };
  const adding = new AddImages(call, "", bytes(20), QUICK, {});
  const results = [];
  for await (const result of adding) results.push(result);
  assert.deepEqual(results.map(({ index }) => index).sort((a, b) => a - b), [...Array(20).keys()]);
  assert.equal(adding.progress.resumed, 2);
  assert.ok(sent.length > 20);
});

test("what failed is sent again, and in the end told", async () => {
  const tries = new Map();
  const call = async function* (requests) {
    for await (const { key } of images(requests)) {
      tries.set(key, (tries.get(key) ?? 0) + 1);
      const bad = key === "3" || (key === "1" && tries.get(key) < 3);
      yield outcome(key, bad ? AddStatus.FAILED : AddStatus.ADDED);
    }
  };
  const summary = await new AddImages(call, "", bytes(5), QUICK, {}).summary();
  assert.deepEqual([summary.added, summary.failed, tries.get("3"), tries.get("1")], [4, 1, 4, 3]);
});

for (const [what, answers] of [
  ["an outcome lost", (key) => (key === "2" ? [] : [outcome(key)])],
  ["an outcome told twice", (key) => [outcome(key), outcome(key)]],
  ["an outcome of another image", (key) => [outcome(key === "2" ? "x" : key)]],
]) {
  test(`${what} is an error`, async () => {
    const call = async function* (requests) {
      for await (const { key } of images(requests)) yield* answers(key);
    };
    await assert.rejects(new AddImages(call, "", bytes(5), QUICK, {}).summary(), { name: "InternalError" });
  });
}

test("images of one key are told apart", async () => {
  let under = 0;
  const call = async function* (requests) {
    for await (const { key, data } of images(requests)) {
      under += 1;
      assert.equal(under, 1);
      await new Promise((resolve) => setImmediate(resolve));
      under -= 1;
      yield { outcome: { ...outcome(key).outcome, imageId: `${data[0]}` } };
    }
  };
  const same = [4, 5, 6].map((number) => ({ key: "k", data: new Uint8Array([number]) }));
  const ids = [];
  for await (const result of new AddImages(call, "", same, QUICK, {})) ids[result.index] = result.imageId;
  assert.deepEqual(ids, ["4", "5", "6"]);
});

test("nothing is read far ahead of who takes the results", async () => {
  let read = 0;
  const endless = (function* () {
    for (;;) yield { key: `${(read += 1)}`, data: new Uint8Array(10) };
  })();
  const call = async function* (requests) {
    for await (const { key } of images(requests)) yield outcome(key);
  };
  const results = new AddImages(call, "", endless, QUICK, { maxImages: 8 })[Symbol.asyncIterator]();
  await results.next();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.ok(read <= 10, `${read} read`);
  await results.return();
});

test("an abort, a deadline and a source that fails end the stream", async () => {
  const call = async function* (requests) {
    for await (const { key } of images(requests)) yield outcome(key);
  };
  const waiting = async function* () {
    yield* bytes(2);
    await new Promise(() => undefined);
  };
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 20);
  await assert.rejects(new AddImages(call, "", waiting(), QUICK, { signal: stop.signal }).summary(), { name: "CancelledError" });
  await assert.rejects(new AddImages(call, "", waiting(), QUICK, { timeoutMs: 20 }).summary(), { name: "DeadlineExceededError" });
  const failing = async function* () {
    yield* bytes(2);
    throw new RangeError("mine");
  };
  await assert.rejects(new AddImages(call, "", failing(), QUICK, {}).summary(), { name: "RangeError", message: "mine" });
});

test("a watch goes on after a break, and begins anew where its token is of no use", async () => {
  const asked = [];
  const decision = (imageId, revision) => ({ imageId, revision });
  const open = async function* ({ since }) {
    asked.push(since);
    if (since === "old") throw new OutOfRangeError({ code: Code.OutOfRange, message: "", reason: "TOKEN_EXPIRED" });
    if (since === "fetched") {
      yield { decisions: [decision("b", 5n), decision("a", 9n)], removals: [{ imageId: "b", revision: 7n }], token: "t1" };
      throw new UnavailableError({ code: Code.Unavailable, message: "", retryable: true });
    }
    yield { decisions: [decision("c", 11n)], removals: [], token: "t2" };
    await new Promise(() => undefined);
  };
  const fetch = async function* () {
    yield { decisions: [decision("a", 1n)], token: "" };
    yield { decisions: [decision("b", 2n)], token: "fetched" };
  };
  const told = [];
  for await (const change of watch(fetch, open, "", QUICK, { since: "old" })) {
    told.push(`${change.type} ${change.imageId ?? change.token ?? ""}`.trim());
    if (change.token === "t2") break;
  }
  assert.deepEqual(asked, ["old", "fetched", "t1"]);
  assert.deepEqual(told, ["resync", "decided a", "decided b", "checkpoint fetched", "decided b", "removed b", "decided a", "checkpoint t1", "decided c", "checkpoint t2"]);
});

test("a token is not sent in the clear to another machine", () => {
  assert.throws(() => Culld.connect({ address: "photos.example:7357", token: "t" }), /without TLS/);
  Culld.connect({ address: "photos.example:7357", token: "t", tls: true }).close();
  Culld.connect({ address: "photos.example:7357", token: "t", insecureToken: true }).close();
  Culld.connect({ address: "[::1]:7357", token: "t" }).close();
  assert.throws(() => Culld.connect("ftp://photos.example"), /no address/);
});
