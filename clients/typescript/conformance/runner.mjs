// Carries out the scenarios of clients/conformance against a daemon; see the README there.

import { fromJson, toJson } from "@bufbuild/protobuf";
import { Code, Culld, CulldError } from "culld";
import * as proto from "culld/proto";
import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { behaviours, bench } from "./behaviours.mjs";
import { at, mismatch } from "./matchers.mjs";

const REPEAT_MS = 30_000;
const text = { type: "string" };
const flags = parseArgs({
  options: { scenarios: text, pictures: text, address: text, gate: text, tls: text, ca: text, secured: text, "secured-token": text, cert: text, key: text, token: text, control: text, only: text, bench: text },
}).values;

const SERVICES = {
  AdminService: ["admin", proto.AdminService],
  ClusteringService: ["clusterings", proto.ClusteringService],
  CollectionService: ["collections", proto.CollectionService],
  DecisionService: ["decisions", proto.DecisionService],
  ImageService: ["images", proto.ImageService],
};

const clients = new Map();
async function tlsFor(through) {
  if (through !== "tls" && through !== "secured") return undefined;
  const ca = await readFile(flags.ca);
  return through === "tls" ? { ca } : { ca, cert: await readFile(flags.cert), key: await readFile(flags.key) };
}

async function clientFor(through = "address", token = through === "secured" ? flags["secured-token"] : flags.token) {
  const address = flags[through];
  if (address === undefined) throw new Error(`no --${through}`);
  const name = `${address} ${token}`;
  if (!clients.has(name)) {
    const tls = await tlsFor(through);
    clients.set(name, Culld.connect({ address, token: token ?? "", ...(tls && { tls }) }));
  }
  return clients.get(name);
}

async function control(what) {
  const response = await fetch(`${flags.control}/${what}`, { method: "POST" });
  if (response.status !== 200) throw new Error(`control ${what}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** The step with its variables and files in place. */
async function filled(value, variables) {
  if (Array.isArray(value)) return Promise.all(value.map((entry) => filled(entry, variables)));
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(async ([name, entry]) => [name, await filled(entry, variables)]);
    return Object.fromEntries(await Promise.all(entries));
  }
  if (typeof value !== "string") return value;
  if (value.startsWith("$file:")) return (await readFile(join(flags.pictures, value.slice(6)))).toString("base64");
  const of = (name) => {
    const found = name.startsWith("id:") ? variables.ids[name.slice(3)] : variables.saved[name];
    if (found === undefined) throw new Error(`there is no \${${name}}`);
    return found;
  };
  const whole = /^\$\{([^}]+)\}$/.exec(value);
  return whole ? of(whole[1]) : value.replaceAll(/\$\{([^}]+)\}/g, (_, name) => of(name));
}

/** What the call of a step answers. */
async function call(step, context) {
  const [serviceName, methodName] = step.call.split("/");
  const [field, service] = SERVICES[serviceName];
  const method = service.methods.find(({ name }) => name === methodName);
  if (method === undefined) throw new Error(`there is no ${step.call}`);
  const culld = await clientFor(step.through, step.token);
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, context.signal]);
  if (step.cancel_after !== undefined) setTimeout(() => stop.abort(), step.cancel_after * 1000);
  const options = { signal, ...(step.deadline !== undefined && { timeoutMs: step.deadline * 1000 }) };
  const ask = (request) => culld.services[field][method.localName](fromJson(method.input, request), options);
  const answers = [];
  if (method.methodKind === "unary") {
    let request = step.request ?? {};
    do {
      answers.push(toJson(method.output, await ask(request)));
      request = { ...request, pageToken: answers.at(-1).nextPageToken };
    } while (step.collect !== undefined && request.pageToken);
    if (step.collect === undefined) return answers[0];
  } else {
    try {
      for await (const message of ask(step.request ?? {})) {
        answers.push(toJson(method.output, message));
        if (answers.length === step.take) break;
        if (step.until !== undefined && mismatch(answers.at(-1), step.until, context) === undefined) break;
      }
    } finally {
      if (step.take !== undefined || step.until !== undefined) stop.abort();
    }
    if (step.collect === undefined) return { messages: answers };
  }
  const collected = answers.flatMap((answer) => answer[step.collect] ?? []);
  return { ...answers.at(-1), [step.collect]: collected, messages: answers.length };
}

async function act(step, context) {
  if (step.call !== undefined) return call(step, context);
  if (step.control !== undefined) return control(step.control);
  const behaviour = behaviours[step.do];
  if (behaviour === undefined) throw new Error(`there is no behaviour ${step.do}`);
  const given = step.with ?? {};
  return behaviour((await clientFor(step.through, step.token)).in(given.collection ?? ""), given, context);
}

function errorJson(error) {
  if (!(error instanceof CulldError)) throw error;
  const code = error.code === Code.Canceled ? "CANCELLED" : Code[error.code].replaceAll(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
  return {
    code,
    ...(error.message && { message: error.message }),
    ...(error.reason && { reason: error.reason }),
    ...(error.violations.length > 0 && { fields: error.violations.map(({ field }) => field) }),
    ...(error.retryAfterMs !== undefined && { retrySeconds: error.retryAfterMs / 1000 }),
  };
}

async function once(raw, context) {
  const step = await filled(raw, context);
  let answer;
  try {
    answer = await act(step, context);
  } catch (error) {
    if (step.error === undefined) throw error;
    const wrong = mismatch(errorJson(error), step.error, context);
    if (wrong !== undefined) throw new Error(`the error's ${wrong}`, { cause: error });
    return;
  }
  if (step.error !== undefined) throw new Error(`it succeeded: ${JSON.stringify(answer).slice(0, 200)}`);
  const wrong = step.expect === undefined ? undefined : mismatch(answer, step.expect, context);
  if (wrong !== undefined) throw new Error(wrong);
  for (const [name, path] of Object.entries(step.save ?? {})) context.saved[name] = at(answer, path);
}

async function perform(step, context) {
  const begin = performance.now();
  for (;;) {
    try {
      return await once(step, context);
    } catch (error) {
      if (!step.repeat || performance.now() - begin > REPEAT_MS || context.signal.aborted) throw error;
      await new Promise((done) => setTimeout(done, 100));
    }
  }
}

async function run(name, scenario, ids) {
  const collection = `${name}-${randomBytes(4).toString("hex")}`;
  const limit = AbortSignal.timeout((scenario.limit_seconds ?? 60) * 1000);
  const saved = { collection, language: "typescript", pictures: resolve(flags.pictures) };
  const context = { ids, saved, signal: limit, control, pictures: resolve(flags.pictures) };
  const culld = await clientFor();
  await culld.createCollection(collection);
  const late = new Promise((_, reject) => limit.addEventListener("abort", () => reject(new Error("it took too long"))));
  late.catch(() => undefined);
  try {
    for (const [index, step] of scenario.steps.entries()) {
      try {
        await Promise.race([perform(step, context), late]);
      } catch (error) {
        const what = step.call ?? step.do ?? step.control;
        throw new Error(`step ${index + 1} (${what}): ${error.message}`, { cause: error });
      }
    }
  } finally {
    await culld.deleteCollection(collection).catch((error) => {
      if (error.name !== "NotFoundError") throw error;
    });
  }
}

async function scenarios() {
  const ids = JSON.parse(await readFile(join(flags.pictures, "ids.json"), "utf8"));
  const only = flags.only?.split(",");
  const files = (await readdir(flags.scenarios)).filter((file) => file.endsWith(".json")).sort();
  let passed = true;
  for (const file of files) {
    const name = basename(file, ".json");
    if (only !== undefined && !only.includes(name)) continue;
    const scenario = JSON.parse(await readFile(join(flags.scenarios, file), "utf8"));
    const missing = (scenario.needs ?? []).find((flag) => flags[flag] === undefined);
    const begin = performance.now();
    let outcome = { ok: true };
    if (missing !== undefined) {
      outcome = { skipped: `no --${missing}` };
    } else {
      await run(name, scenario, ids).catch((error) => {
        passed = false;
        outcome = { ok: false, error: error.message };
      });
    }
    console.log(JSON.stringify({ scenario: name, ...outcome, seconds: Number(((performance.now() - begin) / 1000).toFixed(2)) }));
  }
  return passed;
}

if (flags.bench === undefined) {
  process.exitCode = (await scenarios()) ? 0 : 1;
} else {
  const culld = await clientFor();
  const collection = `bench-${randomBytes(4).toString("hex")}`;
  await culld.createCollection(collection);
  console.log(JSON.stringify(await bench(culld.in(collection), flags.bench)));
  await culld.deleteCollection(collection);
}
for (const client of clients.values()) client.close();
process.exit();
