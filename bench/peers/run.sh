#!/bin/sh
# Compares Tickfuse with other engines on this machine: `bench/peers/run.sh [--no-venv] [options of run.py]`.
# Without --no-venv the engines are installed into bench/out/venv first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
if [ "${1:-}" = "--no-venv" ]; then
    shift
else
    venv="$here/../out/venv"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
    python="$venv/bin/python"
fi
exec "$python" "$here/run.py" "$@"
