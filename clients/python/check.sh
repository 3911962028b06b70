#!/usr/bin/env bash
# What the Python client has to pass beside the conformance suite: stubs that are not stale, types, the sample's length,
# and the notebook on pictures that are made here.
#
# The daemon is the one that CULLD_BINARY names.
set -euo pipefail
cd "$(dirname "$0")"
binary=${CULLD_BINARY:-$PWD/../../target/release/culld}
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
tools=$(../../tests/python/venv.sh "$PWD/requirements.txt")

./generate.sh "$made/src"
diff -r src/culld/v1 "$made/src/culld/v1" -x __pycache__
diff src/culld/_sync.py "$made/src/culld/_sync.py"
echo "clients/python: the stubs are as proto/ gives them"
"$tools" -m black --quiet --check --line-length 120 --extend-exclude v1 src samples/*.py tests make_sync.py ../conformance
"$tools" -m mypy
MYPYPATH=src:../conformance "$tools" -m mypy ../conformance/*.py
[ "$(wc -l <samples/watch_folder.py)" -le 30 ]

PYTHONPATH=src "$tools" tests/features.py "$binary"
./conformance.sh --prepare
.venv/bin/python -m pip --disable-pip-version-check install --quiet -r samples/requirements.txt
.venv/bin/python tests/notebook.py "$binary" samples/study.ipynb
