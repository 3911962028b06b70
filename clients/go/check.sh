#!/usr/bin/env bash
# What this client has to pass: format, vet, stubs that are what proto/ gives, tests, and a consumer's module that is built
# against it. The tests that need a daemon start the one that CULLD_BINARY names.
set -euo pipefail
cd "$(dirname "$0")"
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { echo "gofmt: $unformatted"; exit 1; }
go vet ./...
(cd conformance && go vet ./...)
for module in . conformance; do (cd "$module" && go mod tidy -diff); done
stubs=$(mktemp -d)
trap 'rm -rf "$stubs"' EXIT
./generate.sh "$stubs"
diff -r culldpb "$stubs/culldpb"
[ "$(wc -l < samples/folder/main.go)" -le 30 ]
./conformance.sh --prepare
go test -count=1 ./...
