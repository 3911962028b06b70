#!/usr/bin/env bash
# Makes the stubs in culldpb anew from the project's proto/, or in the folder named. Needs Go and npx (for buf).
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-.}
rm -rf "$out/culldpb"
npx --yes @bufbuild/buf@1.75.0 generate --output "$out"
