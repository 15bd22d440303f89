"""The machine in words, the Markdown tables, the ratios."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

LEVELS = (  # highest first; the flags each level needs
    ("Avx512Bf16", {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16"}),
    ("Avx512", {"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    ("Avx2", {"avx2", "fma"}),
)


def machine(cpu: int) -> dict:
    """Processor, level its flags allow, kernel, load before the run, versions of all engines."""
    facts = _cpuinfo()
    flags = set(facts.get("flags", "").split())
    return {
        "cpu": facts.get("model name", platform.processor()),
        "level": next((name for name, needed in LEVELS if needed <= flags), "Portable"),
        "n_cpus": os.cpu_count(),
        "pinned_to": cpu,
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("torch", "onnxruntime", "openvino", "tract", "onnx", "numpy")},
    }


def _cpuinfo() -> dict[str, str]:
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def column(engine: object) -> str:
    """Heading of an engine, such as `OpenVINO bf16`."""
    return f"{engine.name} {engine.precision}"


def summary(rounds: list[dict]) -> dict:
    """Medians over rounds of each percentile, in microseconds, beside the rounds themselves."""
    us = {f"{p}_us": round(median(r[p] for r in rounds) / 1e3, 3) for p in ("p50", "p99", "p999", "max")}
    return us | {"rounds_ns": rounds}


def ratios(engines: dict[str, dict]) -> list[dict]:
    """Each Tickfuse column against the best peer of its precision, if any, and against the best of all, by p50."""
    peers = {name: e for name, e in engines.items() if not name.startswith("Tickfuse")}
    found = []
    for name, own in ((n, e) for n, e in engines.items() if n.startswith("Tickfuse")):
        same = {n: e for n, e in peers.items() if n.split()[-1] == name.split()[-1]}
        for rival in sorted({_fastest(group) for group in (same, peers) if group}):
            found.append(_ratio(name, own, rival, peers[rival]))
    return found


def _fastest(engines: dict[str, dict]) -> str:
    return min(engines, key=lambda name: engines[name]["p50_us"])


def _ratio(name: str, own: dict, rival: str, other: dict) -> dict:
    by_round = [b["p50"] / a["p50"] for a, b in zip(own["rounds_ns"], other["rounds_ns"], strict=True)]
    return {
        "engine": name,
        "against": rival,
        "p50": round(other["p50_us"] / own["p50_us"], 2),
        "p99": round(other["p99_us"] / own["p99_us"], 2),
        "p50_by_round": [round(min(by_round), 2), round(max(by_round), 2)],
    }


def machine_words(m: dict) -> str:
    """The machine and the versions of all engines."""
    versions = ", ".join(f"{name} {v}" for name, v in m["versions"].items() if v)
    return (
        f"{m['cpu']}, level {m['level']}, {m['n_cpus']} CPUs, pinned to CPU {m['pinned_to']}, load before {m['load_before']}; "
        f"{versions}, Python {m['python']}"
    )


def machine_line(document: dict) -> str:
    """The machine and how the figures came about."""
    return (
        f"{machine_words(document['machine'])}. Batch 1, one thread, whole window in memory; medians over {document['rounds']} alternating "
        "rounds; p50 / p99 in us."
    )


def sections(document: dict) -> list[list[str]]:
    """The tables, each as lines of Markdown; empty where there is nothing to say."""
    tables = (_latency_table, _deviation_table, _ratio_table, _form_table, _arrival_table, _tail_table)
    return [make(document["cases"]) for make in tables]


def markdown(document: dict) -> str:
    """The whole result as people read it."""
    lines = [machine_line(document)]
    for section in filter(None, sections(document)):
        lines += ["", *section]
    return "\n".join(lines) + "\n"


def _latency_table(cases: list[dict]) -> list[str]:
    names = list(dict.fromkeys(name for case in cases for name in case["engines"]))
    rows = [[case["id"], case["shape"], *(_cell(case["engines"].get(n)) for n in names)] for case in cases]
    return table(["net", "shape", *names], rows)


def _cell(engine: dict | None) -> str:
    return f"{engine['p50_us']:.1f} / {engine['p99_us']:.1f}" if engine else "-"


def _deviation_table(cases: list[dict]) -> list[str]:
    rows = [
        [case["id"], name, f"{e['deviation']:.1e}", f"{e['allowed']:.1e}", e.get("level", ""), e.get("hash", "")]
        for case in cases
        for name, e in case["engines"].items()
    ]
    return table(["net", "engine", "largest deviation from the golden", "allowed", "level", "bundle"], rows)


def _ratio_table(cases: list[dict]) -> list[str]:
    rows = [
        [case["id"], r["engine"], r["against"], f"{r['p50']:.2f}x", f"{r['p99']:.2f}x", "{:.2f} to {:.2f}".format(*r["p50_by_round"])]
        for case in cases
        for r in case["ratios"]
    ]
    return table(["net", "engine", "against", "p50", "p99", "p50, by round"], rows) if rows else []


def _form_table(cases: list[dict]) -> list[str]:
    """Nets that peers run in two forms: Tickfuse against the fastest peer of its precision, or of all where none has it, in whichever
    form suits it."""
    forms = {case["id"]: case["engines"] for case in cases}
    rows = []
    for plain, stacked in ((i, f"{i} stacked") for i in forms if f"{i} stacked" in forms):
        both = [(form, name, e["p50_us"]) for form in (plain, stacked) for name, e in forms[form].items()]
        for own in dict.fromkeys(name for _, name, _ in both if name.startswith("Tickfuse")):
            time = min(us for _, name, us in both if name == own)
            peers = [b for b in both if not b[1].startswith("Tickfuse")]
            same = [b for b in peers if b[1].split()[-1] == own.split()[-1]]
            form, rival, us = min(same or peers, key=lambda b: b[2])
            rows.append([plain, own, f"{rival}, {'stacked' if form == stacked else 'plain'}", f"{us / time:.2f}x"])
    return table(["net", "engine", "against the faster form", "p50"], rows) if rows else []


def _arrival_table(cases: list[dict]) -> list[str]:
    """Rows arriving at a prepared stream, beside the fastest peer's whole window."""
    rows = []
    for case in cases:
        peers = {name: e["p50_us"] for name, e in case["engines"].items() if not name.startswith("Tickfuse")}
        rival = min(peers, key=peers.__getitem__)
        for name, taken in case.get("arrivals", {}).items():
            cells = [f"{taken[part]['p50']:.2f} / {taken[part]['p99']:.2f}" for part in ("warm", "cold", "prepare")]
            rows.append([case["id"], name, *cells, rival, f"{peers[rival] / taken['warm']['p50']:.0f}x"])
    return table(["net", "engine", "row, warm", "row, cold", "prepare", "fastest peer's window", "its p50 to a warm row's"], rows) if rows else []


def _tail_table(cases: list[dict]) -> list[str]:
    """Tickfuse's tails: p50 / p99 / p99.9 / max of windows, arriving rows and bursts, and the first answer of a stream."""
    rows = []
    for case in cases:
        for name, taken in case.get("arrivals", {}).items():
            engine = case["engines"][name]
            window = {p: engine[f"{p}_us"] for p in ("p50", "p99", "p999", "max")}
            cells = [" / ".join(f"{part[p]:.2f}" for p in ("p50", "p99", "p999", "max")) for part in (window, taken["warm"], taken["burst"])]
            rows.append([case["id"], name, *cells, f"{taken['first']:.2f}"])
    return table(["net", "p50 / p99 / p99.9 / max, us", "window", "row, warm", "row of a burst", "first row"], rows) if rows else []


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
