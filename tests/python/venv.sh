#!/usr/bin/env bash
# Makes a Python environment, once per set of requirements, and prints its interpreter.
#
#   venv.sh [REQUIREMENTS.txt]    those of the full lane of the tests where none are named
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
requirements=${1:-$here/requirements.txt}
cache=${CULLD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/culld}
digest=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()[:16])' \
    "$requirements")
venv=$cache/tests-venv-$digest
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet -r "$requirements" >&2
    touch "$venv/complete"
fi
echo "$venv/bin/python"
