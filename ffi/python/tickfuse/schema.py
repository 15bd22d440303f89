"""What a model says about itself: inputs, outputs, units, where it comes from.

Read from the JSON document of the model file; `core/docs/format.md` is normative. Keys this package does not know are kept
in `Schema.document`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scaler:
    """(x - center) / scale, which the library applies."""

    center: float
    scale: float


@dataclass(frozen=True)
class Input:
    """One column of a window."""

    name: str
    role: str
    """`observed`, `known` (also read in the future) or `static` (read in the first row)."""
    missing: str
    """What happens to NaN: `reject`, or `center`: it is replaced and the answer flagged."""
    scaler: Scaler | None
    categories: tuple[str, ...] | None
    """Names by code, for a column whose values are codes."""
    unknown: int | None
    """Code for a name that is not listed."""
    feature: dict[str, Any] | None
    """How the column is computed from bars; None where the caller brings it."""


@dataclass(frozen=True)
class Output:
    """A group of columns of an answer."""

    name: str
    kind: str
    labels: tuple[str, ...]
    levels: tuple[float, ...]
    """Quantile levels, one per label of a group of quantiles."""
    unit: str


@dataclass(frozen=True)
class Schema:
    """Everything a model says about itself."""

    name: str
    family: str
    precision: str
    """Type of the weights: f32, bf16 or i16."""
    n_steps: int
    """Steps that an answer speaks of."""
    inputs: tuple[Input, ...]
    """Columns of a window in order."""
    outputs: tuple[Output, ...]
    output_names: tuple[str, ...]
    """One per number of an answer: `group.label`, or `group` where it has one column; `@k` behind it for step k."""
    output_units: tuple[str, ...]
    bar_interval_ns: int | None
    horizon: int | None
    """Bars between the last row of the window and the predicted one."""
    target: str | None
    """The label in words or formula."""
    arrival: str
    """`pre_rolled`, or `whole_window` where every answer of a stream needs the whole window."""
    provenance: dict[str, Any]
    document: dict[str, Any]
    """The whole document as it stands in the file."""

    @classmethod
    def from_json(cls, text: str, n_outputs: int) -> "Schema":
        """Reads the document of a model whose answers have `n_outputs` numbers."""
        document = json.loads(text)
        outputs = tuple(_output(o) for o in document["outputs"])
        target = document.get("target") or {}
        names, units = _columns(outputs)
        n_steps = n_outputs // len(names)
        return cls(
            name=document["name"],
            family=document["net"]["family"],
            precision=document["precision"],
            n_steps=n_steps,
            inputs=tuple(_input(i) for i in document["inputs"] if not i.get("derived")),
            outputs=outputs,
            output_names=_at_steps(names, n_steps),
            output_units=tuple(units) * n_steps,
            bar_interval_ns=document.get("bar_interval_ns"),
            horizon=target.get("horizon"),
            target=target.get("label"),
            arrival=document["arrival"],
            provenance=document["provenance"],
            document=document,
        )


def _input(entry: dict[str, Any]) -> Input:
    scaler, categories = entry.get("scaler"), entry.get("categories")
    return Input(
        name=entry["name"],
        role=entry.get("role", "observed"),
        missing=entry.get("missing", "reject"),
        scaler=Scaler(scaler["center"], scaler["scale"]) if scaler else None,
        categories=tuple(categories["labels"]) if categories else None,
        unknown=categories.get("unknown") if categories else None,
        feature=entry.get("feature"),
    )


def _output(entry: dict[str, Any]) -> Output:
    levels = tuple(entry.get("levels", ()))
    return Output(entry["name"], entry["kind"], tuple(entry["labels"]), levels, entry["unit"])


def _columns(outputs: Sequence[Output]) -> tuple[list[str], list[str]]:
    """Names and units of one step."""
    pairs = [(f"{o.name}.{label}" if len(o.labels) > 1 else o.name, o.unit) for o in outputs for label in o.labels]
    return [name for name, _ in pairs], [unit for _, unit in pairs]


def _at_steps(names: list[str], n_steps: int) -> tuple[str, ...]:
    if n_steps == 1:
        return tuple(names)
    return tuple(f"{name}@{k}" for k in range(1, n_steps + 1) for name in names)
