import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const HEAD = `What the review page is made of beside culld itself, and on what terms.\n`;
const PACKAGE = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//;

/** Writes licenses.txt: the licence texts of every package that has code in the page. */
export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_options, bundle) {
      const folders = new Map<string, string>();
      for (const file of Object.values(bundle)) {
        for (const id of file.type === "chunk" ? Object.keys(file.modules) : []) {
          const [, folder, name] = PACKAGE.exec(id) ?? [];
          if (folder && name) folders.set(name, folder);
        }
      }
      const texts = [...folders].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, folder]) => text(name, folder));
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: [HEAD, ...texts].join("\n") });
    },
  };
}

function text(name: string, folder: string): string {
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
  const texts = files.map((file) => readFileSync(join(folder, file), "utf8").trim());
  const rule = "=".repeat(78);
  return [rule, `${name} ${version} (${license})`, rule, ...(texts.length ? texts : [`SPDX: ${license}`]), ""].join("\n");
}
