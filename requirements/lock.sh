#!/bin/sh
# Writes the locked requirement files beside this script from pyproject.toml: versions and hashes,
# no addresses. Needs uv (`.venv/bin/pip install uv`); run it by `make lock`. A release must be a
# week old before it is taken, so that a bad upload is noticed by somebody else first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
uv=${UV:-.venv/bin/uv}
cutoff=$(python3 -c 'import datetime as d; print((d.datetime.now(d.timezone.utc) - d.timedelta(days=7)).strftime("%Y-%m-%dT00:00:00Z"))')
lock() {
    out=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
        --exclude-newer "$cutoff" --output-file "requirements/$out.txt" "$@"
}
lock agent pyproject.toml --group build
lock server pyproject.toml --extra server --group build --constraints requirements/agent.txt
lock test pyproject.toml --extra server --group build --group test --constraints requirements/server.txt
