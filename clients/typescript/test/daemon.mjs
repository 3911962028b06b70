// A daemon of its own for the tests, and pictures to give it.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { crc32, deflateSync } from "node:zlib";

/** Where the daemon's binary is; tests that need one are skipped without it, and fail with CI=true. */
export const BINARY = process.env.CULLD_BINARY;
export const skip = BINARY || process.env.CI === "true" ? false : "CULLD_BINARY names no daemon";

/** Starts a daemon on a free port, with a store that is removed at the end. */
export async function startDaemon(...args) {
  const folder = await mkdtemp(join(tmpdir(), "culld-typescript-"));
  const daemon = {
    folder,
    address: undefined,
    async start() {
      const listen = daemon.address ?? "127.0.0.1:0";
      const child = spawn(BINARY, ["serve", "--data", join(folder, "data"), "--listen", listen, ...args], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      daemon.child = child;
      daemon.gone = new Promise((resolve) => child.on("exit", resolve));
      for await (const line of createInterface({ input: child.stdout })) {
        const found = /127\.0\.0\.1:\d+/.exec(line);
        if (found) {
          daemon.address = found[0];
          return;
        }
      }
      throw new Error("the daemon did not start");
    },
    async kill() {
      daemon.child.kill("SIGKILL");
      await daemon.gone;
    },
    async restart() {
      await daemon.kill();
      await daemon.start();
    },
    async [Symbol.asyncDispose]() {
      await daemon.kill();
      await rm(folder, { recursive: true });
    },
  };
  await daemon.start();
  return daemon;
}

/** A picture of its own for each number: `edge` pixels square, PNG. */
export function picture(number, edge = 32) {
  const rows = Buffer.alloc(edge * (edge * 3 + 1));
  let state = (number * 2654435761 + 1) >>> 0;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  const colours = [0, 1, 2, 3].map(() => [next(), next(), next()]);
  for (let y = 0; y < edge; y += 1) {
    for (let x = 0; x < edge; x += 1) {
      const colour = colours[(y * 2 < edge ? 0 : 2) + (x * 2 < edge ? 0 : 1)];
      rows.set(colour.map((value) => (value + (next() >> 4)) & 255), y * (edge * 3 + 1) + 1 + x * 3);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(edge, 0);
  header.writeUInt32BE(edge, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows, { level: 1 })), chunk("IEND", Buffer.alloc(0))]);
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
