"""A model's card for notebooks."""

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tickfuse.model import Model
    from tickfuse.schema import Input


def html(model: "Model") -> str:
    """The card: what the model is, what goes in, what comes out."""
    return (
        "<div><b>" + escape(model.name) + "</b>"
        + _table([], _facts(model))
        + _table(["input", "role", "missing", "centre", "scale", "from bars"], [_input(i) for i in model.inputs])
        + _table(["output", "unit"], zip(model.schema.output_names, model.schema.output_units, strict=True))
        + "</div>"
    )  # fmt: skip


def _facts(model: "Model") -> list[tuple[str, str]]:
    schema = model.schema
    past = f"{model.lookback} rows"
    facts = {
        "network": f"{schema.family}, {schema.precision}, on {model.level}",
        "window": past if model.n_rows == model.lookback else f"{past} and {model.n_rows - model.lookback} ahead",
        "target": schema.target,
        "horizon": None if schema.horizon is None else f"{schema.horizon} bars",
        "bar interval": None if schema.bar_interval_ns is None else f"{schema.bar_interval_ns / 1e9:g} s",
        "stream": schema.arrival.replace("_", " "),
        "hash": model.hash,
        "file": None if model.path is None else str(model.path),
        **{key: f"{value}" for key, value in schema.provenance.items() if not isinstance(value, dict | list)},
    }
    return [(key, value) for key, value in facts.items() if value is not None]


def _input(spec: "Input") -> tuple[str, ...]:
    scaler = ("", "") if spec.scaler is None else (f"{spec.scaler.center:g}", f"{spec.scaler.scale:g}")
    return spec.name, spec.role, spec.missing, *scaler, "" if spec.feature is None else f"{spec.feature}"


def _table(heads: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    cells = (f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{''.join(cells)}</table>"
