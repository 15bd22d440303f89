"""A result of run.py as one HTML page that needs nothing else: bars per net, arriving rows beside whole windows, the tables below.

    python3 bench/peers/chart.py bench/out/peers-....json [result.html]
"""

import html
import io
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tickfuse", "font.family": "sans-serif", "font.size": 9})
from matplotlib import pyplot  # noqa: E402  (the backend is chosen first)
from matplotlib.axes import Axes  # noqa: E402
from report import machine_line, sections  # noqa: E402

OWN = {"f32": "#0b6e4f", "bf16": "#58a98a", "i16": "#a3cf62"}
PEERS = ("#8c8c8c", "#5b7aa6", "#b08d57", "#b5555a", "#d9969a", "#6d6d9c")


def page(document: dict) -> str:
    """The whole page."""
    cases = [case for case in document["cases"] if case["id"] != "empty"]
    tables = "\n".join(_table(lines) for lines in sections(document) if lines)
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Tickfuse beside its peers</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "table{border-collapse:collapse;margin:1.2rem 0;font-size:13px}td,th{border-bottom:1px solid #ddd;padding:.25rem .6rem;"
        "text-align:right}td:first-child,th:first-child,td:nth-child(2){text-align:left}svg{max-width:100%;height:auto}"
        ".wide{overflow-x:auto}</style>"
        f"<h1>Tickfuse beside its peers</h1><p>{html.escape(machine_line(document))}</p>"
        f"<p>Made {html.escape(document['made'])}. Bars and points: p50; whiskers reach to p99. Peers in their own form of each net; "
        "“stacked” is the form with batched networks per variable. A row that arrives is answered by Tickfuse from a prepared stream; every "
        "peer computes the whole window again.</p>"
        f"{_windows(cases)}{_arrivals(cases)}{tables}</html>\n"
    )


def _windows(cases: list[dict]) -> str:
    """Whole windows: one panel per net."""
    columns = 2
    rows = -(-len(cases) // columns)
    figure, panels = pyplot.subplots(rows, columns, figsize=(11, 2.5 * rows), squeeze=False, layout="constrained")
    for case, axes in zip(cases, panels.flat, strict=False):
        bars = [(name, engine["p50_us"], engine["p99_us"]) for name, engine in case["engines"].items()]
        _bars(axes, f"{case['id']}: whole window, us", bars)
    for axes in panels.flat[len(cases) :]:
        axes.set_axis_off()
    return _svg(figure, "Whole windows")


def _arrivals(cases: list[dict]) -> str:
    """Arriving rows beside the fastest peer's window: points, since the scale is logarithmic."""
    points = []
    for case in (case for case in cases if case.get("arrivals")):
        for name, taken in case["arrivals"].items():
            points.append((f"{case['id']}, {name}, row", taken["warm"]["p50"], taken["warm"]["p99"]))
        peers = {name: e for name, e in case["engines"].items() if not name.startswith("Tickfuse")}
        rival = min(peers, key=lambda name: peers[name]["p50_us"])
        points.append((f"{case['id']}, {rival}, window", peers[rival]["p50_us"], peers[rival]["p99_us"]))
    if not points:
        return ""
    figure, axes = pyplot.subplots(figsize=(11, 0.3 * len(points) + 1), layout="constrained")
    names, p50, p99 = zip(*points, strict=True)
    colours = [_colour(name, "#5b7aa6") for name in names]
    axes.hlines(names, p50, p99, color="#222", linewidth=1)
    axes.scatter(p50, names, color=colours, zorder=2)
    axes.set_xscale("log")
    axes.set_xlim(min(p50) / 2, max(p99) * 3)
    axes.grid(axis="x", color="#ddd")
    _dress(axes, "A row that arrives (warm) beside the fastest peer's window, us, logarithmic", p50, p99)
    return _svg(figure, "Arriving rows")


def _bars(axes: Axes, title: str, bars: list[tuple[str, float, float]]) -> None:
    names, p50, p99 = zip(*bars, strict=True)
    fill = iter(PEERS * len(bars))
    colours = [_colour(name, None) or next(fill) for name in names]
    axes.barh(names, p50, color=colours, xerr=[[0.0] * len(p50), [max(b - a, 0.0) for a, b in zip(p50, p99, strict=True)]], capsize=2)
    axes.set_xlim(0, max(*p50, *p99) * 1.15)
    _dress(axes, title, p50, p99)


def _colour(name: str, other: str | None) -> str | None:
    if "Tickfuse" not in name:
        return other
    return next(colour for precision, colour in OWN.items() if precision in name)


def _dress(axes: Axes, title: str, p50: tuple[float, ...], p99: tuple[float, ...]) -> None:
    """Title, order from above, and each median as a number."""
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    for at, (median, tail) in enumerate(zip(p50, p99, strict=True)):
        label = f"{median:,.3g}" if median < 1000 else f"{median:,.0f}"
        axes.annotate(label, (max(median, tail), at), xytext=(5, 0), textcoords="offset points", va="center")


def _svg(figure: pyplot.Figure, title: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Title": title})
    pyplot.close(figure)
    body = text.getvalue()
    return f"<h2>{title}</h2>{body[body.index('<svg') :]}"


def _table(lines: list[str]) -> str:
    """A Markdown table as HTML."""
    rows = [[html.escape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows[2:])
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    source = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) == 3 else source.with_suffix(".html")
    target.write_text(page(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"written: {target}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
