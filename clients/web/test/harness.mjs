// A daemon, a browser, and what every page must keep to.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const BROWSERS = [process.env.CULLD_BROWSER, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const run = promisify(execFile);

/** Environment that a test can't do without. */
export function required(name) {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

const CULLD = required("CULLD_BINARY");

/** `culld serve` as a process of its own. */
export class Daemon {
  #child;
  #data;
  #more;
  address = "127.0.0.1:0";

  constructor(data, more = []) {
    this.#data = data;
    this.#more = more;
  }

  get url() {
    return `http://${this.address}`;
  }

  /** Starts it; after the first time at the address it had. */
  async start() {
    const settings = ["serve", "--data", this.#data, "--listen", this.address, "--json", ...this.#more];
    this.#child = spawn(CULLD, settings, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, RUST_LOG: "warn" } });
    for await (const line of createInterface({ input: this.#child.stdout })) {
      if (!line.startsWith("{")) continue;
      this.address = JSON.parse(line).address.replace("http://", "");
      return;
    }
    throw new Error("the daemon did not start");
  }

  /** Kills it as a failing machine would. */
  async kill() {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
  }

  /** What the command line answers. */
  async json(...words) {
    const { stdout } = await run(CULLD, ["--server", this.url, ...words, "--json"], { maxBuffer: 1 << 26 });
    return JSON.parse(stdout.trim().split("\n").at(-1));
  }
}

export async function launch() {
  const executablePath = BROWSERS.find((path) => path && existsSync(path));
  assert(executablePath, "no Chromium here: Debian's package is chromium");
  // A container's root has no sandbox to give, and the page is the project's own.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

/** What the pages of a test did that none may. */
export const offences = [];

/** A window of a person of its own, which is watched: it may reach no other host, and complain of nothing. */
export async function visit(browser, daemon, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  context.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && host !== daemon.address) offences.push(`asked ${request.url()}`);
  });
  page.on("pageerror", (error) => offences.push(`threw ${error}`));
  page.on("dialog", (dialog) => {
    if (dialog.type() !== "beforeunload") offences.push(`opened "${dialog.message()}"`);
    void dialog.accept();
  });
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) offences.push(message.text());
  });
  if (process.env.CULLD_TRACE) {
    context.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (response.request().method() === "POST") console.log(pathname.split("/").pop(), response.status(), response.headers()["grpc-message"] ?? "");
    });
  }
  await fromFolder(context, daemon);
  return page;
}

/** For work on the page: the files of this folder in place of those in the binary, with the daemon's own headers. */
async function fromFolder(context, daemon) {
  const folder = process.env.CULLD_PAGE_FOLDER;
  if (!folder) return;
  for (const [path, file] of [["/", "index.html"], ["/app.js", "app.js"], ["/app.css", "app.css"], ["/favicon.svg", "favicon.svg"]]) {
    await context.route(`${daemon.url}${path}`, async (route) => {
      const response = await route.fetch({ headers: {} });
      // What the daemon refuses stays refused.
      await route.fulfill({ response, ...(response.ok() ? { body: readFileSync(join(folder, file)) } : {}) });
    });
  }
}

/** Asserts that people with any senses can use what is shown. */
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3).join(" | ")}`);
  assert.deepEqual(told, [], `axe on ${what}`);
}

const LOOKS = [
  { name: "dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  { name: "light", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { name: "phone", viewport: { width: 390, height: 844 }, colorScheme: "dark" },
];

/** Pictures of a view as different people see it, and what axe says of each. */
export async function shown(page, name) {
  const folder = process.env.CULLD_SCREENSHOTS;
  if (folder) mkdirSync(folder, { recursive: true });
  for (const { name: look, viewport, colorScheme } of LOOKS) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(300);
    await settled(page);
    if (folder) await page.screenshot({ path: join(folder, `${name}-${look}.png`) });
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert(sideways <= 0, `${name} ${look}: it scrolls sideways by ${sideways} px`);
    await accessible(page, `${name}, ${look}`);
  }
  await page.setViewportSize(LOOKS[0].viewport);
  await page.emulateMedia({ colorScheme: "dark" });
}

/** What a phone is, to a page: it has no mouse and no keys. */
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

/** A picture of a view as it is in this very window, and what axe says of it. */
export async function seen(page, name) {
  const folder = process.env.CULLD_SCREENSHOTS;
  await page.waitForTimeout(300);
  await settled(page);
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
  await accessible(page, name);
}

/** Waits until the pictures in the window are there. */
export async function settled(page) {
  await page.waitForFunction(() =>
    [...document.images].every((image) => {
      const { top, bottom } = image.getBoundingClientRect();
      return image.complete || bottom < 0 || top > innerHeight;
    }),
  );
}
