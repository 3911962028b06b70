#!/usr/bin/env bash
# Makes the stubs in src/gen anew, from the project's proto/ and from what culld says of errors. Needs
# `npm ci --ignore-scripts`.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf src/gen
npx --no-install buf generate
