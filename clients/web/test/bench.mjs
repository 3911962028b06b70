// How large the page is, and how long a person waits, with 10,000 pictures: for the first item after the page is opened,
// and for the next one after a key.
//
//   CULLD_BINARY=../../target/release/culld CULLD_FOLDER=$(mktemp -d) node test/bench.mjs
//
// The pictures are made here: coloured waves in groups. CULLD_MODEL=fake makes adding them quick, on embeddings of 64
// numbers instead of 1,280. What it printed: tests/bench/measured/page.md.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32, deflateSync, gzipSync } from "node:zlib";

import { Daemon, launch, required, visit } from "./harness.mjs";

const IMAGES = Number(process.env.CULLD_IMAGES ?? 10_000);
const GROUPS = 40;
const SIDE = 48;
/** Waves of a group, and of each picture of its own. */
const WAVES = [4, 3];
const ANSWERS = 40;
const SCRIPT_KB = 250;
const FIRST_MS = 1000;
const NEXT_MS = 100;
const OPENED = 5;

/** Numbers that look drawn by lot and are the same each time. */
function lot(seed) {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc(body), body.length + 4);
  return whole;
}

/** The checksum of PNG; newer versions of Node have it. */
function crc(bytes) {
  if (crc32) return crc32(bytes);
  let value = -1;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return (value ^ -1) >>> 0;
}

function png(number) {
  const group = lot(number % GROUPS);
  const own = lot(1_000_000 + number);
  const wave = (lot) => ({ x: (lot() - 0.5) * 0.6, y: (lot() - 0.5) * 0.6, phase: lot() * 6.3, tint: [lot(), lot(), lot()] });
  const waves = [group, own].flatMap((lot, of) => Array.from({ length: WAVES[of] }, () => wave(lot)));
  const rows = Array.from({ length: SIDE }, (_, y) => {
    const row = Buffer.alloc(1 + SIDE * 3);
    for (let x = 0; x < SIDE; x += 1) {
      const heights = waves.map((one) => Math.cos(one.x * x + one.y * y + one.phase));
      const channel = (of) => 128 + heights.reduce((sum, height, at) => sum + height * 36 * waves[at].tint[of], 0);
      row.set([0, 1, 2].map((of) => Math.max(0, Math.min(255, Math.round(channel(of))))), 1 + x * 3);
    }
    return row;
  });
  const head = Buffer.alloc(13);
  head.writeUInt32BE(SIDE, 0);
  head.writeUInt32BE(SIDE, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", deflateSync(Buffer.concat(rows))), chunk("IEND", Buffer.alloc(0))]);
}

function percentile(values, part) {
  return [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];
}

/** From a request to pictures that are there; measured in the page, so that the driver's own way is not counted. */
async function first(page, url) {
  await page.goto("about:blank");
  await page.goto(url);
  await page.locator(".board .look img").first().waitFor();
  return page.evaluate(async () => {
    const images = [...document.querySelectorAll(".board .look img")];
    await Promise.all(images.map((image) => image.decode()));
    return performance.now();
  });
}

async function next(page, key) {
  return page.evaluate(async (key) => {
    const before = document.querySelector(".board .look");
    const began = performance.now();
    window.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    for (;;) {
      const looks = [...document.querySelectorAll(".board .look")];
      if (looks.length > 0 && looks[0] !== before && looks.every((look) => look.querySelector("img").complete)) return performance.now() - began;
      await new Promise(requestAnimationFrame);
    }
  }, key);
}

/** The page as often as that; a reload finds the item that it held. */
async function opened(page, url) {
  const waits = [];
  for (let time = 0; time < OPENED; time += 1) waits.push(await first(page, url));
  return waits;
}

/** Answers as quickly as may be, or as one who looks first: then nothing is on its way. */
async function answered(page, looksFirst) {
  const waits = [];
  for (let answer = 0; answer < ANSWERS; answer += 1) {
    if (looksFirst) await page.locator('main[aria-busy="false"]').waitFor();
    waits.push(await next(page, answer % 3 === 0 ? "k" : "d"));
  }
  return waits;
}

function row(what, meant, ...told) {
  console.log(`| ${[what, ...told, meant].join(" | ")} |`);
}

function waits(what, values, meant) {
  row(what, meant, ...[percentile(values, 0.5), percentile(values, 0.95), Math.max(...values)].map((value) => `${value.toFixed(0)} ms`));
}

const folder = required("CULLD_FOLDER");
const pictures = join(folder, "pictures");
mkdirSync(pictures);
for (let number = 0; number < IMAGES; number += 1) writeFileSync(join(pictures, `${number}.png`), png(number));
const daemon = new Daemon(join(folder, "data"));
await daemon.start();
execFileSync(required("CULLD_BINARY"), ["--server", daemon.url, "add", pictures], { stdio: "inherit" });
const browser = await launch();
const page = await visit(browser, daemon);
console.log(`${cpus().length} × ${cpus()[0].model}, load average ${loadavg()[0].toFixed(1)}; embeddings by ${process.env.CULLD_MODEL ?? "the default model"}\n`);
console.log("| | median | 95 % within | at most | meant |\n|---|---|---|---|---|");
const url = `${daemon.url}/#/default/review`;
const cold = await first(page, url);
waits(`first item, the page opened at once when ${IMAGES.toLocaleString("en")} pictures are added`, [cold], `≤ ${FIRST_MS} ms`);
waits(`first item, the page opened again, ${OPENED} times`, await opened(page, url), `≤ ${FIRST_MS} ms`);
waits(`next item after a key, ${ANSWERS} answers of one who looks first`, await answered(page, true), `≤ ${NEXT_MS} ms`);
waits(`next item after a key, ${ANSWERS} answers as quick as can be`, await answered(page, false), "");
await daemon.kill();
await daemon.start();
waits("first item, at once when the daemon was killed and is back", [await first(page, url)], `≤ ${FIRST_MS} ms`);
waits(`first item, opened again, ${OPENED} times`, await opened(page, url), `≤ ${FIRST_MS} ms`);
await browser.close();
await daemon.kill();
const script = gzipSync(readFileSync(fileURLToPath(new URL("../dist/app.js", import.meta.url))), { level: 9 }).length;
row("script, gzipped", `≤ ${SCRIPT_KB} KB`, `${(script / 1000).toFixed(0)} KB`, "", "");
console.log(`\nload average ${loadavg()[0].toFixed(1)} at the end`);
