#!/usr/bin/env bash
# Runs the scenarios of clients/conformance through this client, used as a module of another one; see the README there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v go > /dev/null; then
  echo "clients/go: go is needed" >&2
  exit 69
fi
mkdir -p "$here/build"
(cd "$here/conformance" && go build -o ../build/conformance .) >&2
[ "${1:-}" = --prepare ] && exit 0
exec "$here/build/conformance" "$@"
