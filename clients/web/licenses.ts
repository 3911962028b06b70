import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const HEAD = "What the review page is made of beside culld itself, and on what terms.\n";
const PACKAGE = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//;
/** Some files carry terms of their own at their head. */
const OWN_TERMS = /^(?:\/\/.*\n)+/;
const RULE = "=".repeat(78);
/** The text that packages without one of their own are under: it is the same for all. */
const APACHE = new URL("../../LICENSE-APACHE", import.meta.url);

interface Package {
  folder: string;
  /** Terms at the head of single files. */
  heads: Set<string>;
}

/** Writes licenses.txt: the licence texts of every package that has code in the page. */
export function licenses(): Plugin {
  return {
    name: "licenses",
    generateBundle(_options, bundle) {
      const packages = new Map<string, Package>();
      for (const file of Object.values(bundle)) {
        for (const id of file.type === "chunk" ? Object.keys(file.modules) : []) {
          const [, folder, name] = PACKAGE.exec(id) ?? [];
          if (!folder || !name) continue;
          const known = packages.get(name) ?? { folder, heads: new Set() };
          packages.set(name, known);
          const [head = ""] = OWN_TERMS.exec(readFileSync(id, "utf8")) ?? [];
          if (/Redistribution and use/.test(head)) known.heads.add(head.replaceAll(/^\/\/ ?/gm, "").trim());
        }
      }
      const texts = [...packages].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, known]) => terms(name, known));
      const apache = [RULE, "The Apache License, Version 2.0", RULE, readFileSync(APACHE, "utf8").trim(), ""].join("\n");
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: [HEAD, ...texts, apache].join("\n") });
    },
  };
}

function terms(name: string, { folder, heads }: Package): string {
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file)).sort();
  const own = files.map((file) => readFileSync(join(folder, file), "utf8").trim());
  if (own.length === 0 && !/Apache-2\.0/.test(license)) throw new Error(`${name} comes without its licence, ${license}`);
  const texts = own.length > 0 ? own : ["Under the Apache License, whose text is at the end."];
  return [RULE, `${name} ${version} (${license})`, RULE, ...texts, ...[...heads].sort(), ""].join("\n");
}
