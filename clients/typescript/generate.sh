#!/usr/bin/env bash
# Makes the stubs in src/gen anew, or in the folder named, from the project's proto/ and from what culld says of errors.
set -euo pipefail
cd "$(dirname "$0")"
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund
out=${1:-.}
rm -rf "$out/src/gen"
npx --no-install buf generate --output "$out"
