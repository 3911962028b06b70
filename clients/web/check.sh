#!/usr/bin/env bash
# Builds the page from its sources into a folder of its own, and compares it byte for byte with what is committed; so
# for the stubs that are generated from proto/. Needs `npm ci --ignore-scripts` and the Node that .nvmrc names.
set -euo pipefail
cd "$(dirname "$0")"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

npx --no-install buf generate --output "$made"
diff -r src/gen "$made/src/gen"
npx --no-install tsc --noEmit
npx --no-install vite build --logLevel warn --emptyOutDir --outDir "$made/dist"
diff -r dist "$made/dist"
script=$(gzip -9c dist/app.js | wc -c)
echo "clients/web: as its sources give it; script $((script / 1000)) KB gzipped"
[ "$script" -le 250000 ]
