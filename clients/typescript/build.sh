#!/usr/bin/env bash
# Builds the package as it is published, and installs it in build/consumer as a user of it would: what is tested and
# measured there is the tarball. Does nothing where that is done already for these sources.
set -euo pipefail
cd "$(dirname "$0")"
made=$(find src conformance package.json package-lock.json tsconfig*.json -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
[ "$(cat build/made 2>/dev/null)" = "$made" ] && exit 0

[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
rm -rf build
mkdir -p build/consumer
npm run --silent build
npm pack --silent --pack-destination build
cp conformance/*.mjs build/consumer
# The versions of the lock file, so that the same is tested everywhere.
node --input-type=module > build/consumer/package.json << 'JS'
import { readFileSync } from "node:fs";
const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
const { dependencies, version } = packages[""];
const overrides = Object.fromEntries(Object.keys(dependencies).map((name) => [name, packages[`node_modules/${name}`].version]));
console.log(JSON.stringify({ private: true, type: "module", dependencies: { culld: `file:../culld-${version}.tgz` }, overrides }));
JS
npm install --prefix build/consumer --prefer-offline --ignore-scripts --no-audit --no-fund --silent
echo "$made" > build/made
