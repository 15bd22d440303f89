#!/usr/bin/env python3
"""Counts instructions of windows, arriving rows and preparations under valgrind's callgrind, and holds them against a record.

    bench/instructions.py [--update] [--nets M1,M2,LSTM_A,M3,M4]

Times vary with the machine and its other work; the instructions of one build do not. The counted level is avx2, the highest one that valgrind
runs. Exit code 1: some count rose by more than TOLERANCE over bench/records/instructions.json (or fell by more: then --update it, so that the next
rise is seen). Exit code 2: something is missing. Counts depend a little on the compiler's version, which the record names.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "bench" / "records" / "instructions.json"
NETS = ("M1", "M2")
PRECISIONS = ("f32", "bf16", "i16")
WORK = ("window", "prepare", "row")
LEVEL = "avx2"
TOLERANCE = 0.03


class Failure(Exception):
    """A program is missing or failed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write the record instead of comparing with it")
    parser.add_argument("--nets", default=",".join(NETS), help="which, with commas")
    args = parser.parse_args()
    try:
        found = _count_all(_build(), args.nets.split(","))
    except Failure as failure:
        print(f"instructions: {failure}", file=sys.stderr)
        return 2
    if args.update:
        RECORD.write_text(json.dumps({"compiler": _compiler(), "level": LEVEL, "counts": found}, indent=2) + "\n", encoding="utf-8")
        print(f"written: {RECORD.relative_to(ROOT)}", file=sys.stderr)
        return 0
    return _compare(found, json.loads(RECORD.read_text(encoding="utf-8")))


def _build() -> Path:
    """The example, in a profile like release's but for link-time optimisation, which would cost minutes and count the same."""
    build = ["cargo", "build", "--profile", "counted", "-p", "tickfuse-bench", "--example", "count", "--message-format=json"]
    for line in _run(build).splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "count" and message.get("executable"):
            return Path(message["executable"])
    raise Failure("cargo built no program `count`")


def _count_all(program: Path, nets: list[str]) -> dict[str, int]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for net in nets:
            for precision in PRECISIONS:
                model = Path(folder) / f"{net}-{precision}.safetensors"
                _run([program, "write", net, precision, model])
                for work in WORK:
                    found[f"{net}/{precision}/{work}"] = _count(program, model, work)
                    print(f"{net}/{precision}/{work}: {found[f'{net}/{precision}/{work}']:,}", file=sys.stderr)
    return found


def _count(program: Path, model: Path, work: str) -> int:
    """Instructions between entering and leaving `counted_<work>`, everything it calls included."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--toggle-collect=*counted_{work}*"]
    text = _run([*valgrind, program, "run", model, LEVEL, work], errors=True)
    collected = re.search(r"Collected : (\d+)", text)
    if not collected or int(collected[1]) == 0:
        raise Failure(f"valgrind counted nothing for {model.stem} {work}: {text[-300:]}")
    return int(collected[1])


def _compare(found: dict[str, int], record: dict) -> int:
    worse = 0
    for name, count in found.items():
        before = record["counts"].get(name)
        if before is None:
            print(f"{name}: not in the record; run with --update", file=sys.stderr)
            worse += 1
            continue
        change = count / before - 1
        if abs(change) > TOLERANCE:
            print(f"{name}: {count:,} instructions, {before:,} in the record ({change:+.1%})", file=sys.stderr)
            worse += 1
    print(f"{len(found) - worse} of {len(found)} counts within {TOLERANCE:.0%} of the record ({record['compiler']}; now {_compiler()})")
    return 1 if worse else 0


def _compiler() -> str:
    return _run(["rustc", "--version"]).strip()


def _run(words: list, errors: bool = False) -> str:
    try:
        done = subprocess.run([str(w) for w in words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failure(f"{words[0]}: {error}") from error
    if done.returncode != 0:
        raise Failure(f"{words[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stderr if errors else done.stdout


if __name__ == "__main__":
    sys.exit(main())
