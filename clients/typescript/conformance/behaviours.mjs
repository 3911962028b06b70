// What can't be said by data, through the client as a user would do it.

import { create, fromJson, toJson } from "@bufbuild/protobuf";
import * as proto from "culld/proto";
import { mkdtemp, readdir, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const json = (schema) => (message) => toJson(schema, message);
const filter = (value) => value && fromJson(proto.ImageFilterSchema, value);

async function all(entries, schema) {
  const out = [];
  for await (const entry of entries) out.push(toJson(schema, entry));
  return out;
}

/** An image of a scenario as the client takes it. */
const imageOf = ({ key, data, uri, tags }) => ({
  data: Buffer.from(data ?? "", "base64"),
  ...(key !== undefined && { key }),
  ...(uri !== undefined && { uri }),
  ...(tags !== undefined && { tags }),
});

function sourcesOf(given, pictures) {
  if (given.folder !== undefined) return join(pictures, given.folder);
  if (given.paths !== undefined) return given.paths.map((path) => join(pictures, path));
  return (async function* () {
    for (const image of given.images) yield imageOf(image);
  })();
}

async function add(culld, given, context) {
  const outcomes = [];
  const stop = new AbortController();
  let progress = 0;
  const results = culld.addImages(sourcesOf(given, context.pictures), {
    tags: given.tags ?? [],
    signal: AbortSignal.any([stop.signal, context.signal]),
    onProgress: ({ done }) => {
      progress = done;
    },
  });
  let restarted;
  try {
    for await (const { error, index, ok, ...outcome } of results) {
      outcomes.push(toJson(proto.AddOutcomeSchema, create(proto.AddOutcomeSchema, outcome)));
      if (outcomes.length === given.restart_after) restarted = context.control("restart");
      if (outcomes.length === given.cancel_after) stop.abort();
      if (outcomes.length > given.cancel_after) break;
    }
  } catch (error) {
    if (error.name !== "CancelledError" || !stop.signal.aborted) throw error;
    return { outcomes: outcomes.slice(0, given.cancel_after), cancelled: true };
  } finally {
    await restarted;
  }
  return { outcomes, progress };
}

async function watch(culld, given, context) {
  const changes = [];
  let resyncs = given.since === undefined ? -1 : 0;
  const stop = new AbortController();
  const told = new Set();
  let wake = () => undefined;
  const watching = (async () => {
    const signal = AbortSignal.any([stop.signal, context.signal]);
    const from = given.since === undefined ? { fromStart: true } : { since: given.since };
    for await (const change of culld.watchDecisions({ ...from, signal })) {
      if (change.type === "resync") resyncs += 1;
      if (change.type === "decided") {
        changes.push({ imageId: change.imageId, decision: toJson(proto.DecisionSchema, change.decision) });
        told.add(change.imageId);
      }
      if (change.type === "removed") {
        changes.push({ imageId: change.imageId, removed: proto.RemovalReason[change.removal.reason] });
      }
      wake();
    }
  })();
  const adding = (async () => {
    for (const [index, image] of given.add.entries()) {
      if (given.restart && index === given.add.length - 1) await context.control("restart");
      const { imageId } = await culld.addImage(imageOf(image), { signal: context.signal });
      while (!told.has(imageId)) await new Promise((resolve) => (wake = resolve));
    }
  })();
  try {
    await Promise.race([adding, watching]);
    await adding;
  } finally {
    stop.abort();
    await watching.catch((error) => {
      if (error.name !== "CancelledError") throw error;
    });
  }
  return { changes, resyncs };
}

async function review(culld, given) {
  const items = [];
  const answers = [];
  for (const answer of given.answers) {
    const item = await culld.nextReview({ reviewer: given.reviewer ?? "" });
    if (item === undefined) throw new Error("there is no item left");
    items.push(toJson(proto.ReviewItemSchema, item.message));
    answers.push(toJson(proto.AnswerReviewResponseSchema, await item.answer(answer.replace("REVIEW_ANSWER_", "").toLowerCase())));
  }
  const last = await culld.services.decisions.nextReview({ collection: culld.collection, reviewer: given.reviewer ?? "" });
  return { items, answers, judgements: Number(last.estimate?.judgements ?? 0) };
}

async function transfer(culld, given, { signal }) {
  const folder = await mkdtemp(join(tmpdir(), "culld-transfer-"));
  const file = join(folder, "collection.tar");
  try {
    let told = 0;
    const exporting = culld.exportCollection({ signal, onProgress: (bytes) => (told = bytes) });
    let bytes = await exporting.toFile(file).catch(async (error) => {
      const left = await readdir(folder);
      throw left.length > 0 ? new Error(`an export that failed left ${left} behind`, { cause: error }) : error;
    });
    if (told !== bytes) throw new Error(`progress said ${told} of ${bytes} bytes`);
    if (given.cut !== undefined) {
      bytes = given.cut;
      await truncate(file, bytes);
    }
    let looks = 0;
    const done = await culld.in(given.to).importCollection(file, { signal, onProgress: () => (looks += 1) });
    if (looks === 0) throw new Error("no progress was told");
    return { bytes, images: done.images, events: done.events, collection: toJson(proto.CollectionSchema, done.collection) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What a scenario's `do` names: each takes a client at work on the collection. */
export const behaviours = {
  add,
  watch,
  review,
  transfer,
  images: async (culld, given) => ({
    images: await all(culld.images({ filter: filter(given.filter), withEmbeddings: given.withEmbeddings }), proto.ImageSchema),
  }),
  clusters: async (culld, given) => ({
    clusters: await all(culld.clusters({ clusteringId: given.clusteringId }), proto.ClusterSchema),
  }),
  members: async (culld, given) => ({ members: await all(culld.members(given.clusterId), proto.MemberSchema) }),
  decisions: async (culld, given) => {
    const full = given.view === "DECISION_VIEW_FULL";
    const decisions = culld.decisions({ full, ...(given.filter && { filter: filter(given.filter) }) });
    return { decisions: await all(decisions, proto.DecisionSchema), token: decisions.token };
  },
  thumbnails: async (culld, given) => ({ thumbnails: await all(culld.thumbnails(given.imageIds), proto.ThumbnailSchema) }),
  recluster: async (culld, given) => {
    const algorithm = given.parameters && fromJson(proto.ParametersSchema, given.parameters);
    const operation = await culld.recluster({ ...(algorithm && { algorithm }) });
    let looks = 0;
    const clustering = await operation.wait({ onProgress: () => (looks += 1) });
    if (looks === 0) throw new Error("no progress was told");
    return { clustering: json(proto.ClusteringSchema)(clustering) };
  },
  wait: async (culld, given) => ({ operation: json(proto.OperationSchema)(await (await culld.operation(given.name)).wait()) }),
};

/** Adds every file of a folder, and says what that took. */
export async function bench(culld, folder) {
  const begin = performance.now();
  const { added, alreadyPresent } = await culld.addImages(folder).summary();
  const seconds = (performance.now() - begin) / 1000;
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length;
  if (added + alreadyPresent !== files) throw new Error(`${added + alreadyPresent} of ${files} were added`);
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const peak = /VmHWM:\s+(\d+)/.exec(status);
  return { images: files, seconds, peak_mib: peak === null ? null : Number(peak[1]) / 1024 };
}
