#!/usr/bin/env bash
# Java's stubs are made of proto/ with each build, and are not committed: this only shows that they can be.
set -euo pipefail
cd "$(dirname "$0")"
mvn -q -B generate-sources
echo "clients/java: stubs in target/generated-sources/protobuf, made anew with each build"
