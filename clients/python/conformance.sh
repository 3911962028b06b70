#!/usr/bin/env bash
# The Python runner of the conformance suite: the wheel is built, installed into an environment of its own, and run.
set -euo pipefail
cd "$(dirname "$0")"
command -v python3 >/dev/null || { echo "no python3 here" >&2; exit 69; }
tools=$(../../tests/python/venv.sh "$PWD/requirements.txt")
venv=$PWD/.venv
sources=$(cat pyproject.toml README.md src/culld/*.py src/culld/v1/* | sha256sum | cut -c1-16)
if [ ! -e "$venv/$sources" ]; then
    {
        rm -rf "$venv" dist
        "$tools" -m build --wheel --no-isolation --outdir dist .
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip --disable-pip-version-check install --quiet dist/*.whl -c requirements.txt
        touch "$venv/$sources"
    } >&2
fi
[ "${1:-}" = --prepare ] && exit 0
exec "$venv/bin/python" tests/conformance.py "$@"
