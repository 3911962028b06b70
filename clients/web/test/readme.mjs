// The pictures of the page that the README shows, made with pictures that are drawn here.
//
//   CULLD_BINARY=../../target/release/culld CULLD_FOLDER=$(mktemp -d) node test/readme.mjs

import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { drawn } from "./drawn.mjs";
import { Daemon, launch, required, settled, visit } from "./harness.mjs";

const OUT = fileURLToPath(new URL("../../../docs/", import.meta.url));
const EACH = 60;
/** Answers before the picture of the review is made. */
const BEFORE_REVIEW = 2;
/** What is circled on the map: the middle, and half of its width and height. */
const CIRCLED = { x: 0.5, y: 0.5, across: 0.18, down: 0.25 };
const BYTES_MAX = 200_000;
/** The reviewer needs these kinds. */
const NEEDED = ["flower", "fish"];

async function picture(page, name) {
  await settled(page);
  const path = join(OUT, name);
  await page.screenshot({ path, type: "jpeg", quality: 82 });
  assert(statSync(path).size <= BYTES_MAX, `${name} has ${statSync(path).size} bytes`);
  console.log(`${name}: ${statSync(path).size} bytes`);
}

/** Answers as one who needs some kinds; what shows both is mixed. */
async function answer(page) {
  await page.waitForFunction(() => {
    const looks = [...document.querySelectorAll(".board .look")];
    return looks.length > 0 && looks.every((look) => look.title && look.querySelector("img").complete);
  });
  const titles = await page.locator(".board .look").evaluateAll((looks) => looks.map((look) => look.title.split("/").pop()));
  const needed = titles.filter((title) => NEEDED.includes(title.split("-")[0])).length;
  await page.locator('main[aria-busy="false"]').waitFor();
  await page.evaluate(() => document.querySelectorAll(".board .look").forEach((look) => (look.dataset.seen = "yes")));
  await page.keyboard.press(needed === titles.length ? "k" : needed === 0 ? "d" : "m");
  await page.waitForFunction(() => !document.querySelector(".board .look[data-seen]"));
}

/** Waits until something is there, and nothing on its way. */
async function shows(page, what) {
  await page.locator(what).first().waitFor();
  await page.locator('main[aria-busy="true"]').waitFor({ state: "detached" });
  await page.locator(".notice").first().waitFor({ state: "detached" });
}

/** Draws a circle on the map, so that pictures are selected. */
async function circle(page) {
  const box = await page.locator(".atlas canvas").boundingBox();
  const at = (turn) => [box.x + box.width * (CIRCLED.x + CIRCLED.across * Math.cos(turn)), box.y + box.height * (CIRCLED.y + CIRCLED.down * Math.sin(turn))];
  await page.mouse.move(...at(0));
  await page.mouse.down();
  for (let step = 1; step <= 40; step += 1) await page.mouse.move(...at((step / 40) * 2 * Math.PI));
  await page.mouse.up();
  await page.locator(".selection img").first().waitFor();
}

mkdirSync(OUT, { recursive: true });
const folder = required("CULLD_FOLDER");
const daemon = new Daemon(join(folder, "data"));
await daemon.start();
const browser = await launch();
try {
  const page = await visit(browser, daemon, { colorScheme: "light", viewport: { width: 1280, height: 800 } });
  await page.goto(`${daemon.url}/#/default/run`);
  await page.evaluate(() => localStorage.setItem("culld.reviewer", "Ada"));
  await page.reload();
  const files = await drawn(page, EACH);
  mkdirSync(join(folder, "pictures"));
  for (const { name, buffer } of files) writeFileSync(join(folder, "pictures", name), buffer);
  await page.getByTestId("files").setInputFiles(files.map(({ name }) => join(folder, "pictures", name)));
  await page.getByText(`${files.length} of ${files.length} files`).waitFor({ timeout: 400_000 });
  await page.goto(`${daemon.url}/#/default/review`);
  for (let given = 0; given < BEFORE_REVIEW; given += 1) await answer(page);
  await shows(page, ".board .look img");
  await picture(page, "review.jpg");
  while (!(await page.locator(".banner").isVisible())) await answer(page);
  await page.goto(`${daemon.url}/#/default/map`);
  await shows(page, ".atlas canvas");
  await circle(page);
  await picture(page, "map.jpg");
} finally {
  await browser.close();
  await daemon.kill();
}
