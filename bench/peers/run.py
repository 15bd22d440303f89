"""The same nets in Tickfuse, PyTorch, ONNX Runtime, OpenVINO and tract: agreement first, then latency, in turn on one core.

    bench/peers/run.sh [--no-venv] [--nets "M3,M3 stacked"] [--rounds 5] [--cpu K] [--compiled] [--peers-only]

An engine that misses a golden answer stops the run before anything is timed. Writes Markdown tables, a JSON file and a page with
charts to bench/out/. How to read them: bench/README.md.
"""

import argparse
import gc
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from cases import Case, all_cases, empty_case
from chart import page
from engines import Engine, open_engines
from report import column, machine, markdown, ratios, summary
from tickfuse_program import PRECISIONS, ProgramError, Tickfuse

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "bench" / "out"
MIN_CALLS = 200
COLD_CALLS = 100
PERCENTILES = ("p50", "p99", "p999", "max")
LEFT_OUT = {"LSTM_C"}  # minutes per round; run where it is named


def main() -> int:
    args = _arguments()
    _pin(args.cpu)
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    work = OUT / "peers"
    work.mkdir(parents=True, exist_ok=True)
    try:
        document = _compare(args, work)
    except ProgramError as error:
        print(f"peers: {error}", file=sys.stderr)
        return 2
    _write(document)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickfuse", type=Path, default=ROOT / "target/release/tickfuse", help="the program")
    parser.add_argument("--nets", help="which, as in the tables, with commas; all but LSTM_C if absent")
    parser.add_argument("--peers-only", action="store_true", help="leave Tickfuse out")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too: a minute or more per net before anything is timed")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="core for everything timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n", type=int, default=20_000, help="calls per engine and round")
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=4.0, help="calls of one engine and round end here, after 200 at least")
    return parser.parse_args()


def _pin(cpu: int) -> None:
    """Pins every thread of this process; threads and programs started later inherit it."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {cpu})


def _compare(args: argparse.Namespace, work: Path) -> dict:
    about = machine(args.cpu)
    cases = [make() for make in _makers(args, work)]
    opened = [(case, _engines(case, args, work)) for case in cases]
    empty = empty_case(cases[0])
    opened.append((empty, _peers(empty, args, work, {"f32"})))
    agreed = [(case, engines, [_agreement(case, e) for e in engines]) for case, engines in opened]
    print("all engines agree", file=sys.stderr)
    return {
        "machine": about,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "mode": "window",
        "rounds": args.rounds,
        "calls": {"n": args.n, "warmup": args.warmup, "seconds": args.seconds},
        "cases": [_measure(case, engines, facts, args) for case, engines, facts in agreed],
    }


def _makers(args: argparse.Namespace, work: Path) -> list:
    known = all_cases(work)
    names = [name.strip() for name in args.nets.split(",")] if args.nets else [name for name in known if name not in LEFT_OUT]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ProgramError(f"--nets: expected some of {', '.join(known)}; found {', '.join(unknown)}")
    return [known[name] for name in names]


def _engines(case: Case, args: argparse.Namespace, work: Path) -> list:
    own = [] if args.peers_only else [Tickfuse(args.tickfuse, p, case.folder, work) for p in PRECISIONS]
    return own + _peers(case, args, work, {"f32", "bf16"})


def _peers(case: Case, args: argparse.Namespace, work: Path, precisions: set[str]) -> list[Engine]:
    opened = open_engines(case.module, case.windows, work, case.id.lower().replace(" ", "-"), args.compiled)
    return [engine for engine in opened if engine.precision in precisions]


def _agreement(case: Case, engine: Engine | Tickfuse) -> dict:
    """Largest deviation over all golden windows; raises where it is beyond what the precision allows."""
    is_own = isinstance(engine, Tickfuse)
    expected = case.expected[engine.precision if is_own else "f32"]
    found = float(np.max(np.abs(engine.answers(case.windows) - expected)))
    allowed = _allowed(case, engine.precision, is_own)
    if not found <= allowed:
        raise ProgramError(f"{case.id}, {column(engine)}: expected a deviation up to {allowed:g}, found {found:g}")
    return {"deviation": found, "allowed": allowed}


def _allowed(case: Case, precision: str, is_own: bool) -> float:
    """f32, i16: the case's tolerance. Tickfuse bf16: against rounded weights. A peer's bf16 rounds where it likes: against
    float64, twice what rounding weights and products costs."""
    if precision != "bf16":
        return case.tolerance[precision]
    products = case.tolerance["bf16_products"]
    return products if is_own else 2.0 * (products + case.tolerance["bf16_to_f64"])


def _measure(case: Case, engines: list, facts: list[dict], args: argparse.Namespace) -> dict:
    rounds = {column(engine): [] for engine in engines}
    for turn in range(args.rounds):
        shift = turn % len(engines)
        for engine in engines[shift:] + engines[:shift]:
            rounds[column(engine)].append(_time(case, engine, args))
        print(f"{case.id}: round {turn + 1} of {args.rounds}", file=sys.stderr)
    measured = {column(e): f | _identity(rounds[column(e)]) for e, f in zip(engines, facts, strict=True)}
    return {
        "id": case.id,
        "shape": case.shape,
        "weights_sha256": case.weights_sha256,
        "engines": measured,
        "ratios": ratios(measured),
        "arrivals": _arrivals(case, [e for e in engines if isinstance(e, Tickfuse)], args),
    }


def _arrivals(case: Case, engines: list[Tickfuse], args: argparse.Namespace) -> dict:
    """Of arriving rows, where the net has a stream; where not, the program says why."""
    try:
        return {column(engine): _arrival(engine, args) for engine in engines}
    except ProgramError as error:
        print(f"{case.id}: no arrivals: {error}", file=sys.stderr)
        return {}


def _arrival(engine: Tickfuse, args: argparse.Namespace) -> dict:
    """Percentiles in us of a row that arrives at a prepared stream, with warm and with cold caches, of preparing, of the rows of a
    burst that find nothing prepared, and the stream's first answer."""
    n = _n_calls(engine, args)
    warm = engine.latency(n, min(args.warmup, n), args.cpu, "arrival")
    cold = engine.latency(COLD_CALLS, 5, args.cpu, "arrival", cold=True)
    taken = {"warm": warm["latency_ns"], "cold": cold["latency_ns"], "prepare": warm["prepare_ns"], "burst": warm["burst_ns"]}
    us = {name: {p: round(ns[p] / 1e3, 3) for p in PERCENTILES} for name, ns in taken.items()}
    return us | {"first": round(warm["first_ns"] / 1e3, 3)}


def _identity(rounds: list[dict]) -> dict:
    """Percentiles, and where the engine names them the level and the hash of its file."""
    named = {key: rounds[0][key] for key in ("level", "hash") if key in rounds[0]}
    return named | summary([{key: r[key] for key in (*PERCENTILES, "n")} for r in rounds])


def _time(case: Case, engine: Engine | Tickfuse, args: argparse.Namespace) -> dict:
    if isinstance(engine, Tickfuse):
        n = _n_calls(engine, args)
        document = engine.latency(n, min(args.warmup, n), args.cpu)
        return document["latency_ns"] | {"n": n, "level": document["level"], "hash": document["hash"]}
    engine.load(case.windows[:1])
    return _time_calls(engine.call, args)


def _n_calls(engine: Tickfuse, args: argparse.Namespace) -> int:
    """As many calls as a peer of the same speed would get."""
    once = engine.latency(10, 5, args.cpu)["latency_ns"]["p50"] / 1e9
    return int(min(args.n, max(MIN_CALLS, args.seconds / once)))


def _time_calls(call, args: argparse.Namespace) -> dict:
    """Percentiles in ns of single calls, the clock read around each, garbage collection off."""
    clock = time.perf_counter_ns
    end = clock() + int(args.seconds * 1e9 / 4)
    for i in range(args.warmup):
        call()
        if i >= 20 and clock() > end:
            break
    taken = []
    gc.collect()
    gc.disable()
    end = clock() + int(args.seconds * 1e9)
    while len(taken) < args.n and (len(taken) < MIN_CALLS or clock() < end):
        start = clock()
        call()
        taken.append(clock() - start)
    gc.enable()
    p50, p99, p999 = (int(ns) for ns in np.percentile(taken, [50, 99, 99.9], method="inverted_cdf"))
    return {"p50": p50, "p99": p99, "p999": p999, "max": max(taken), "n": len(taken)}


def _write(document: dict) -> None:
    text = markdown(document)
    stem = OUT / f"peers-{document['made'].replace(':', '').replace('+0000', 'Z')}"
    Path(f"{stem}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    Path(f"{stem}.md").write_text(text, encoding="utf-8")
    Path(f"{stem}.html").write_text(page(document), encoding="utf-8")
    print(text)
    print(f"written: {stem}.json, {stem}.md, {stem}.html", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
