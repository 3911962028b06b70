#!/usr/bin/env bash
# Runs the scenarios of clients/conformance through this client, installed from its tarball; see the README there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
  echo "clients/typescript: node and npm are needed" >&2
  exit 69
fi
wanted=$(cat "$here/.nvmrc")
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt "$wanted" ]; then
  echo "clients/typescript: Node $wanted or newer is needed, this is $(node --version)" >&2
  exit 69
fi
"$here/build.sh" >&2
[ "${1:-}" = --prepare ] && exit 0
exec node "$here/build/consumer/runner.mjs" "$@"
