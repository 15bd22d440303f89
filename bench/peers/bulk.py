"""Every window of a long series: Tickfuse slides over its rows, the peers take stacked windows in batches. Agreement first.

    python bench/peers/bulk.py [--nets "M1,M3 stacked"] [--batches 1,8,64,256] [--rounds 5] [--cpu K]

The Python is the one of run.sh (bench/out/venv/bin/python). Times are processor time per window, one thread: the smallest of all rounds
and their median. Writes a Markdown table and a JSON file to bench/out/. How to read them: bench/README.md.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import family_bulk
import numpy as np
import openvino
import torch
from cases import Case, all_cases
from engines import Engine, OnnxRuntime, OpenVino, OpenVinoBf16, PyTorch, export_onnx
from report import column, machine, machine_words
from tickfuse_program import PRECISIONS, ProgramError, Tickfuse

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "bench" / "out"
NETS = ("M1", "M2", "M3", "M3 stacked", "M4", "M4 stacked", "LSTM_A")


def main() -> int:
    args = _arguments()
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {args.cpu})
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    work = OUT / "bulk"
    work.mkdir(parents=True, exist_ok=True)
    try:
        known = all_cases(work)
        cases = [_measure(_batched(known[name.strip()]()), args, work) for name in args.nets.split(",")]
    except ProgramError as error:
        print(f"bulk: {error}", file=sys.stderr)
        return 2
    made = datetime.now(UTC).isoformat(timespec="seconds")
    _write({"machine": machine(args.cpu), "made": made, "mode": "bulk", "rounds": args.rounds, "cases": cases})
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickfuse", type=Path, default=ROOT / "target/release/tickfuse", help="the program")
    parser.add_argument("--nets", default=",".join(NETS), help="which, with commas")
    parser.add_argument("--batches", default="1,8,64,256", help="windows per call of a peer")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="core for everything timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="processor time of one engine, batch and round, one call at least")
    return parser.parse_args()


def _batched(case: Case) -> Case:
    """The case with a module that takes any number of windows."""
    return replace(case, module=family_bulk.batched(case.module))


def _measure(case: Case, args: argparse.Namespace, work: Path) -> dict:
    own = [Tickfuse(args.tickfuse, precision, case.folder, work) for precision in PRECISIONS]
    facts = {column(engine): _own_agreement(case, engine, work) for engine in own}
    batches = [int(n) for n in args.batches.split(",")]
    peers = {}
    for n in batches:
        for engine in _peers(case, n, work):
            facts[f"{column(engine)}, {n}"] = _agreement(case, engine, n)
            peers[f"{column(engine)}, {n}"] = (engine, n)
    taken: dict[str, list[float]] = {name: [] for name in facts}
    for _ in range(args.rounds):
        for engine in own:
            taken[column(engine)].append(engine.latency(3, 1, args.cpu, "slide")["latency_ns"]["min"] / 1e3)
        for name, (engine, n) in peers.items():
            taken[name].append(_time(engine, args.seconds) / n)
    measured = {n: {"min_us": round(min(t), 3), "median_us": round(median(t), 3), "deviation": facts[n]} for n, t in taken.items()}
    print(f"{case.id}: {_ratios(measured)}", file=sys.stderr)
    return {"id": case.id, "shape": case.shape, "engines": measured, "ratios": _ratios(measured)}


def _peers(case: Case, n: int, work: Path) -> list[Engine]:
    windows = _stack(case.windows, n)
    file = export_onnx(case.module, windows, work / f"{case.id.lower().replace(' ', '-')}-{n}.onnx")
    kinds = [PyTorch, OnnxRuntime, OpenVino]
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        kinds.append(OpenVinoBf16)
    return [kind(case.module, file) for kind in kinds]


def _stack(windows: np.ndarray, n: int) -> np.ndarray:
    """`n` windows, those of the case in turn."""
    return np.ascontiguousarray(windows[np.arange(n) % len(windows)])


def _agreement(case: Case, engine: Engine, n: int) -> float:
    engine.load(_stack(case.windows, n))
    engine.call()
    expected = case.expected["f32"][np.arange(n) % len(case.windows)]
    found = float(np.abs(engine.output().reshape(n, -1) - expected).max())
    products = 2.0 * (case.tolerance["bf16_products"] + case.tolerance["bf16_to_f64"])
    return _checked(case, f"{column(engine)}, {n}", found, case.tolerance["f32"] if engine.precision == "f32" else products)


def _own_agreement(case: Case, engine: Tickfuse, work: Path) -> float:
    """The windows of the case as one series: the answers where they begin."""
    series, answers = work / "series.csv", work / "series.npz"
    rows = case.windows.reshape(-1, case.windows.shape[-1])
    names = [about["name"] for about in engine.inputs()]
    np.savetxt(series, rows.astype(np.float64), delimiter=",", header=",".join(names), comments="", fmt="%.9g")
    answers.unlink(missing_ok=True)
    engine.predict(series, answers)
    found = np.load(answers)["output"][:: case.windows.shape[1]]
    expected = case.expected[engine.precision]
    allowed = case.tolerance["bf16_products" if engine.precision == "bf16" else engine.precision]
    return _checked(case, column(engine), float(np.abs(found.reshape(expected.shape) - expected).max()), allowed)


def _checked(case: Case, name: str, found: float, allowed: float) -> float:
    if not found <= allowed:
        raise ProgramError(f"{case.id}, {name}: expected a deviation up to {allowed:g}, found {found:g}")
    return found


def _time(engine: Engine, seconds: float) -> float:
    """Smallest processor time of a call in us, all threads counted."""
    best, spent = float("inf"), 0.0
    while spent < seconds:
        start = time.process_time_ns()
        engine.call()
        taken = (time.process_time_ns() - start) / 1e3
        best, spent = min(best, taken), spent + taken / 1e6
    return best


def _ratios(measured: dict[str, dict]) -> dict[str, dict]:
    """Each Tickfuse column against the best peer of its precision, if any, at its best batch, and against the best of all."""
    found = {}
    for name in (name for name in measured if name.startswith("Tickfuse")):
        peers = {n: m for n, m in measured.items() if not n.startswith("Tickfuse")}
        same = {n: m for n, m in peers.items() if n.split(",")[0].endswith(name.split()[-1])}
        for group in filter(None, (same, peers)):
            rival = min(group, key=lambda n: group[n]["min_us"])
            found.setdefault(name, {})[rival] = round(group[rival]["min_us"] / measured[name]["min_us"], 2)
    return found


def _write(document: dict) -> None:
    lines = [
        f"{machine_words(document['machine'])}. One thread; processor time per window: the smallest of {document['rounds']} rounds, and their median.",
        "",
        *_overview(document["cases"]),
    ]
    for case in document["cases"]:
        lines += [f"**{case['id']}**: {case['shape']}", "", "| engine, batch | us per window: min | median | windows per second |", "|---|---|---|---|"]
        for name, m in sorted(case["engines"].items(), key=lambda item: item[1]["min_us"]):
            lines.append(f"| {name} | {m['min_us']:.1f} | {m['median_us']:.1f} | {1e6 / m['min_us']:,.0f} |")
        lines += ["", *(f"{own} against {rival}: {r:.2f}x" for own, all_ in case["ratios"].items() for rival, r in all_.items()), ""]
    stem = OUT / f"bulk-{document['made'].replace(':', '').replace('+0000', 'Z')}"
    Path(f"{stem}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    Path(f"{stem}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(f"written: {stem}.json, {stem}.md", file=sys.stderr)


def _overview(cases: list[dict]) -> list[str]:
    """The smallest figure of each of our precisions beside the peers' best batch of each type of weights."""
    own = [f"Tickfuse {p}" for p in PRECISIONS]
    lines = [f"| net, us | {' | '.join(own)} | best peer f32 | best peer bf16 |", "|---" * (len(own) + 3) + "|"]
    for case in cases:
        least = {name: m["min_us"] for name, m in case["engines"].items()}
        figures = [f"{least[name]:.1f}" for name in own]
        for kind in ("f32", "bf16"):
            rivals = {n: us for n, us in least.items() if n not in own and n.split(",")[0].endswith(kind)}
            best = min(rivals, key=rivals.__getitem__, default=None)
            figures.append(f"{rivals[best]:.1f} ({best})" if best else "-")
        lines.append(f"| {case['id']} | {' | '.join(figures)} |")
    return [*lines, ""]


if __name__ == "__main__":
    sys.exit(main())
