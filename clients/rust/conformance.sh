#!/usr/bin/env bash
# The runner of the crate's own client in the conformance suite. CARGO names another cargo.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v "${CARGO:-cargo}" >/dev/null || { echo "no cargo here" >&2; exit 69; }
if [ "${1:-}" = --prepare ]; then
    exec "${CARGO:-cargo}" build --quiet --release --locked --example conformance
fi
exec "${CARGO_TARGET_DIR:-target}/release/examples/conformance" "$@"
