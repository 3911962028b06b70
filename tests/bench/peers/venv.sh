#!/usr/bin/env bash
# Makes the Python environment of the benchmarks, once per set of requirements, and prints its interpreter.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${CULLD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/culld}
digest=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()[:16])' \
    "$here/requirements.txt")
venv=$cache/bench-venv-$digest
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet -r "$here/requirements.txt" >&2
    touch "$venv/complete"
fi
echo "$venv/bin/python"
