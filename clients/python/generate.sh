#!/usr/bin/env bash
# Makes the stubs of proto/, with their types, and the synchronous client.
#
#   generate.sh [FOLDER]    into this folder instead of this package's sources, to compare
set -euo pipefail
cd "$(dirname "$0")"
target=${1:-src}
python=$(../../tests/python/venv.sh "$PWD/requirements.txt")
PATH=$(dirname "$python"):$PATH
mkdir -p "$target/culld"
rm -rf "$target/culld/v1"
"$python" -m grpc_tools.protoc -I ../../proto --python_out="$target" --pyi_out="$target" \
    --grpc_python_out="$target" --mypy_grpc_out=quiet:"$target" ../../proto/culld/v1/*.proto
# Only services have calls.
for stub in "$target"/culld/v1/*_pb2_grpc.py; do
    case $stub in *_service_pb2_grpc.py) ;; *) rm "$stub" "${stub}i" ;; esac
done
echo '"""The messages and stubs of culld.v1, made by generate.sh."""' >"$target/culld/v1/__init__.py"
"$python" make_sync.py src/culld/aio.py | "$python" -m black --quiet --line-length 120 - >"$target/culld/_sync.py"
