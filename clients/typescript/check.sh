#!/usr/bin/env bash
# What this client has to pass: types, stubs that are what proto/ gives, tests, and the package built and installed from
# its tarball. The tests that need a daemon start the one that CULLD_BINARY names.
set -euo pipefail
cd "$(dirname "$0")"
./build.sh
stubs=$(mktemp -d)
trap 'rm -rf "$stubs"' EXIT
./generate.sh "$stubs"
diff -r src/gen "$stubs/src/gen"
npx --no-install tsc --noEmit
# What a user's own strict code sees of the package.
cp test/consumer.ts build/consumer/
npx --no-install tsc --ignoreConfig --noEmit --strict --exactOptionalPropertyTypes --target es2022 --lib es2023,esnext.disposable,dom --module nodenext --skipLibCheck false --types node \
  --typeRoots node_modules/@types build/consumer/consumer.ts
[ "$(wc -l < samples/upload.mjs)" -le 30 ]
node --test test/*.test.mjs
