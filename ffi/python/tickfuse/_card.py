"""Cards for notebooks: a model, answers; plain HTML that takes the page's own colours."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickfuse.model import Model
    from tickfuse.schema import Input

N_INPUTS = 24
"""Inputs shown before the rest is only counted."""
N_ENDS = 5
"""Answers shown of each end of a long list."""

CARD = "border:1px solid;border-color:color-mix(in srgb,currentColor 25%,transparent);border-radius:6px;padding:10px 14px"
TABLE = "color:inherit;font:inherit;border-collapse:collapse;margin:6px 0 2px 0"
HEAD = "text-align:left;padding:1px 14px 1px 0;font-weight:600;border-bottom:1px solid;opacity:.75"
CELL = "text-align:left;padding:1px 14px 1px 0;vertical-align:top"
NUMBER = "text-align:right;padding:1px 14px 1px 0;font-variant-numeric:tabular-nums"


def of_model(model: "Model") -> str:
    """What the model is, what goes in, what comes out."""
    schema, shown = model.schema, model.inputs[:N_INPUTS]
    outputs = zip(schema.output_names, schema.output_units, strict=True)
    more = len(model.inputs) - len(shown)
    heads = ["input", "role", "missing", "centre", "scale", "from bars"]
    return (
        f"<div style='display:inline-block;{CARD}'><b style='font-size:110%'>{escape(model.name)}</b>"
        f"<span style='opacity:.7'> · {escape(_size(model))}</span>"
        + table([], _facts(model))
        + table(heads, [_input(i) for i in shown])
        + (f"<span style='opacity:.7'>and {more} more</span>" if more else "")
        + table(["output", "unit"], outputs)
        + "</div>"
    )


def of_answers(names: Sequence[str], units: Sequence[str], rows: Any, index: Any, note: str) -> str:
    """The first and last rows of answers, each with its place or time, and a note below."""
    n = len(rows)
    places = range(n) if n <= 2 * N_ENDS else [*range(N_ENDS), *range(n - N_ENDS, n)]
    labels = [str(i if index is None else index[i]) for i in places]
    cells = [(label, *(f"{v:.6g}" for v in rows[i])) for label, i in zip(labels, places, strict=True)]
    if n > 2 * N_ENDS:
        cells.insert(N_ENDS, ("…",) + ("",) * len(names))
    heads = ["", *(f"{name} [{unit}]" for name, unit in zip(names, units, strict=True))]
    return table(heads, cells, numbers=True) + f"<span style='opacity:.7'>{escape(note)}</span>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    """A table; the first column is text, the others are numbers where `numbers` says so."""
    head = "".join(f"<th style='{HEAD}'>{escape(h)}</th>" for h in heads)

    def line(row: Sequence[str]) -> str:
        styles = [CELL, *([NUMBER if numbers else CELL] * (len(row) - 1))]
        return "".join(f"<td style='{style}'>{escape(cell)}</td>" for style, cell in zip(styles, row, strict=True))

    body = "".join(f"<tr>{line(row)}</tr>" for row in rows)
    return f"<table style='{TABLE}'>{f'<tr>{head}</tr>' if heads else ''}{body}</table>"


def _size(model: "Model") -> str:
    return f"{model.schema.family}, {model.n_rows} rows of {model.n_features} in, {model.n_outputs} out"


def _facts(model: "Model") -> list[tuple[str, str]]:
    schema = model.schema
    past = f"{model.lookback} rows"
    facts = {
        "weights": f"{schema.precision}, run on {model.level}",
        "window": past if model.n_rows == model.lookback else f"{past} and {model.n_rows - model.lookback} ahead",
        "target": schema.target,
        "horizon": None if schema.horizon is None else f"{schema.horizon} bars",
        "bar interval": None if schema.bar_interval_ns is None else f"{schema.bar_interval_ns / 1e9:g} s",
        "stream": schema.arrival.replace("_", " "),
        "hash": model.hash,
        "file": None if model.path is None else str(model.path),
        **{
            key: f"{value}"
            for key, value in schema.provenance.items()
            if value is not None and not isinstance(value, dict | list)
        },
    }
    return [(key, value) for key, value in facts.items() if value is not None]


def _input(spec: "Input") -> tuple[str, ...]:
    scaler = ("", "") if spec.scaler is None else (f"{spec.scaler.center:.6g}", f"{spec.scaler.scale:.6g}")
    return spec.name, spec.role, spec.missing, *scaler, _feature(spec.feature)


def _feature(feature: Any) -> str:
    """A definition in short: `log_ret(lag=5)`."""
    if not isinstance(feature, dict):
        return "" if feature is None else str(feature)
    name, options = next(iter(feature.items()))
    given = ", ".join(f"{key}={value}" for key, value in options.items()) if isinstance(options, dict) else str(options)
    return f"{name}({given})"
