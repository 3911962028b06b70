// How long a person waits, with 10,000 pictures: for the first item after the page is opened, and for the next one after
// a key.
//
//   CULLD_BINARY=../../target/release/culld CULLD_FOLDER=$(mktemp -d) node test/bench.mjs
//
// The pictures are made here: coloured blocks in groups. CULLD_MODEL=fake makes adding them quick, on embeddings of 64
// numbers instead of 1,280.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";

import { Daemon, launch, required, visit } from "./harness.mjs";

const IMAGES = Number(process.env.CULLD_IMAGES ?? 10_000);
const GROUPS = 40;
const SIDE = 24;
const BLOCK = 6;
const ANSWERS = 40;
const FIRST_MS = 1000;
const NEXT_MS = 100;

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
  const blocks = Array.from({ length: (SIDE / BLOCK) ** 2 }, () => [0, 1, 2].map(() => Math.floor(20 + group() * 190 + own() * 24)));
  const rows = Array.from({ length: SIDE }, (_, y) => {
    const row = Buffer.alloc(1 + SIDE * 3);
    for (let x = 0; x < SIDE; x += 1) row.set(blocks[Math.floor(y / BLOCK) * (SIDE / BLOCK) + Math.floor(x / BLOCK)], 1 + x * 3);
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

const folder = required("CULLD_FOLDER");
const pictures = join(folder, "pictures");
mkdirSync(pictures);
for (let number = 0; number < IMAGES; number += 1) writeFileSync(join(pictures, `${number}.png`), png(number));
const daemon = new Daemon(join(folder, "data"));
await daemon.start();
execFileSync(required("CULLD_BINARY"), ["--server", daemon.url, "add", pictures], { stdio: "inherit" });
const browser = await launch();
const page = await visit(browser, daemon);
const url = `${daemon.url}/#/default/review`;
const cold = await first(page, url);
const warm = await first(page, url);
const quick = [];
const calm = [];
for (let answer = 0; answer < ANSWERS; answer += 1) {
  const isCalm = answer % 2 === 0;
  // A person looks before answering; one who does not has to wait for the daemon.
  if (isCalm) await page.locator('main[aria-busy="false"]').waitFor();
  (isCalm ? calm : quick).push(await next(page, answer % 3 === 0 ? "k" : "d"));
}
await browser.close();
await daemon.kill();
const said = (values) => `median ${percentile(values, 0.5).toFixed(0)} ms, 95 % within ${percentile(values, 0.95).toFixed(0)} ms`;
console.log(`${IMAGES} pictures: first item ${cold.toFixed(0)} ms after the page is opened, ${warm.toFixed(0)} ms the next time (${FIRST_MS} is meant)`);
console.log(`next item after a key: ${said(calm)} (${NEXT_MS} is meant); pressed again at once: ${said(quick)}`);
