"""Training steps of the Transformer families and of the LSTM in Tickfuse and PyTorch, in turn on one core.

    python3 bench/peers/train.py [--programs target/release/examples] [--rounds 3] [--steps 6] [--cpu K]

Runs family_step and train_step of both sides, PyTorch as installed and with each allocator this machine has. The table has the smallest
median over the rounds and the largest memory; a Markdown table and a JSON file go to bench/out/.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import report

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
KEPT = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "268435456"}
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
CASES = {
    "tft": ("family_step", ["tft", "64", "32"]),
    "quantile_tft": ("family_step", ["quantile_tft", "64", "32"]),
    "xtrend": ("family_step", ["xtrend", "64", "32"]),
    "lstm": ("train_step", ["128", "64", "64"]),
}


def main() -> int:
    args = _arguments()
    about = report.machine(args.cpu)
    environments = _environments()
    rounds = [{name: _round(args, name, environments) for name in args.families.split(",")} for _ in range(args.rounds)]
    cases = {name: _best([r[name] for r in rounds]) for name in rounds[0]}
    document = {"machine": about, "made": datetime.now(UTC).isoformat(timespec="seconds"), "rounds": rounds, "cases": cases}
    text = _markdown(document)
    stem = ROOT / "bench" / "out" / f"training-{document['made'].replace(':', '').replace('+0000', 'Z')}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{stem}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    Path(f"{stem}.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"written: {stem}.json, {stem}.md", file=sys.stderr)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, default=ROOT / "target/release/examples", help="folder of family_step and train_step")
    parser.add_argument("--families", default=",".join(CASES), help="which, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="core for everything timed")
    return parser.parse_args()


def _environments() -> dict[str, dict[str, str]]:
    """Allocators by the name of their column."""
    found = {"PyTorch": {}, "PyTorch, memory kept": KEPT}
    for name, file in [("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4")]:
        if (LIBRARIES / file).exists():
            found[f"PyTorch, {name}"] = {"LD_PRELOAD": str(LIBRARIES / file)}
    return found


def _round(args: argparse.Namespace, name: str, environments: dict[str, dict[str, str]]) -> dict[str, dict]:
    program, words = CASES[name]
    words = [*words, str(args.steps)]
    taken = {"Tickfuse": _run(args.cpu, [str(args.programs / program), *words], {})}
    for column, environment in environments.items():
        taken[column] = _run(args.cpu, [sys.executable, str(PEERS / f"{program}.py"), *words], environment)
    print(f"{name}: " + ", ".join(f"{column} {r['ms']:.1f} ms" for column, r in taken.items()), file=sys.stderr)
    return taken


def _run(cpu: int, command: list[str], environment: dict[str, str]) -> dict:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})
    )
    found = re.search(r"median ([\d.]+) ms/step.*peak RSS (\d+) kB(?:, (\d+) kB before the first step)?", done.stdout)
    if not found:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return {"ms": float(found[1]), "peak_kb": int(found[2]), "start_kb": int(found[3] or 0)}


def _best(rounds: list[dict[str, dict]]) -> dict[str, dict]:
    columns = rounds[0]
    return {
        column: {
            "ms": min(r[column]["ms"] for r in rounds),
            "peak_kb": max(r[column]["peak_kb"] for r in rounds),
            "start_kb": rounds[0][column]["start_kb"],
        }
        for column in columns
    }


def _markdown(document: dict) -> str:
    m, cases = document["machine"], document["cases"]
    columns = list(next(iter(cases.values())))
    best = [(min(v["ms"] for c, v in found.items() if c != "Tickfuse"), found) for found in cases.values()]
    times = [
        [name, *(f"{found[c]['ms']:.1f}" for c in columns), f"{found['PyTorch']['ms'] / found['Tickfuse']['ms']:.2f}x",
         f"{rival / found['Tickfuse']['ms']:.2f}x"]
        for name, (rival, found) in zip(cases, best, strict=True)
    ]  # fmt: skip
    memory = [[name, *(_memory(found[c]) for c in columns)] for name, found in cases.items()]
    lines = [
        f"{m['cpu']}, {m['n_cpus']} CPUs, pinned to CPU {m['pinned_to']}, load before {m['load_before']}; "
        f"torch {m['versions']['torch']}, Python {m['python']}; one thread, smallest median of {len(document['rounds'])} rounds.",
        "",
        "Milliseconds per step, and how many times as long PyTorch takes:",
        "",
        *report.table(["step", *columns, "as installed", "its best allocator"], times),
        "",
        "Peak resident memory in MB, and in brackets what the process already held before its first step:",
        "",
        *report.table(["step", *columns], memory),
    ]
    return "\n".join(lines) + "\n"


def _memory(found: dict) -> str:
    return f"{found['peak_kb'] / 1e3:.0f} ({found['start_kb'] / 1e3:.0f})"


if __name__ == "__main__":
    sys.exit(main())
