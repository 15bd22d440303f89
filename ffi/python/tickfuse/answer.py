"""What comes out: numbers with their names, units and flags."""

import enum
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tickfuse import _card
from tickfuse.schema import Schema

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


class Flags(enum.IntFlag):
    """What an answer should be read with; bits of later libraries are kept."""

    IMPUTED = 1
    """A missing input was replaced by its scaler's centre."""
    OVERFLOW = 2
    """An output is NaN or infinite: inputs far out of range."""
    UNKNOWN_CATEGORY = 4
    """A category that is not listed was replaced by the unknown one."""


class Answer:
    """The answer for one window: `values [n_outputs]`, in the units that `units` names."""

    __slots__ = ("_flags", "schema", "values")

    def __init__(self, schema: Schema, values: NDArray[np.float32], flags: int) -> None:
        self.schema, self.values, self._flags = schema, values, flags

    @property
    def flags(self) -> Flags:
        """What the answer should be read with."""
        return Flags(self._flags)

    @property
    def names(self) -> tuple[str, ...]:
        """One per value; an answer for fewer steps than the schema's has the first ones."""
        return self.schema.output_names[: len(self.values)]

    @property
    def units(self) -> tuple[str, ...]:
        """One per value."""
        return self.schema.output_units[: len(self.values)]

    def __getitem__(self, name: str) -> float:
        return float(self.values[_place(self.names, name)])

    def __float__(self) -> float:
        """The value of a model that gives one."""
        if len(self.values) != 1:
            raise TypeError(f"expected one output, found {len(self.values)}: {', '.join(self.names)}")
        return float(self.values[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype, copy=copy)

    def to_dict(self) -> dict[str, float]:
        """Values by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    def __repr__(self) -> str:
        values = ", ".join(f"{n}={v:g}" for n, v in self.to_dict().items())
        return f"Answer({values}{_flags_text(self.flags)})"

    def _repr_html_(self) -> str:
        cells = zip(self.names, self.values.tolist(), self.units, strict=True)
        return _card.table([], [(n, f"{v:.6g}", u) for n, v, u in cells]) + escape(_flags_text(self.flags))


class Answers:
    """The answers for several windows: `values [n_windows, n_outputs]`."""

    __slots__ = ("each", "flags", "index", "schema", "values")

    def __init__(
        self,
        schema: Schema,
        values: NDArray[np.float32],
        flags: int,
        index: Any = None,
        each: NDArray[np.uint32] | None = None,
    ) -> None:
        self.schema, self.values, self.flags = schema, values, Flags(flags)
        """`flags` holds for all answers together."""
        self.each = each
        """The flags of each answer as numbers, of a series; None of windows that were answered together."""
        self.index = index
        """Time of each window's last past row, where the input was a frame with times."""

    @property
    def names(self) -> tuple[str, ...]:
        """One per column."""
        return self.schema.output_names

    @property
    def units(self) -> tuple[str, ...]:
        """One per column."""
        return self.schema.output_units

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return iter(self.values)

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        column: NDArray[np.float32] = self.values[:, _place(self.names, name)]
        return column

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype, copy=copy)

    def to_pandas(self) -> "pandas.DataFrame":
        """A column per output, indexed by `index`."""
        import pandas as pd

        index = None if self.index is None else pd.Index(self.index)
        return pd.DataFrame(self.values, columns=list(self.names), index=index)

    def to_polars(self) -> "polars.DataFrame":
        """A column per output, behind a column `time` where there is an index."""
        import polars as pl

        return pl.DataFrame(self._columns())

    def to_arrow(self) -> "pyarrow.Table":
        """A column per output, behind a column `time` where there is an index; units are the fields' metadata."""
        import pyarrow as pa

        table = pa.table(self._columns())
        for name, unit in zip(self.names, self.units, strict=True):
            place = table.column_names.index(name)
            table = table.set_column(place, table.field(place).with_metadata({"unit": unit}), table.column(place))
        return table

    def _columns(self) -> dict[str, Any]:
        times = {} if self.index is None else {"time": self.index}
        return times | {n: np.ascontiguousarray(self.values[:, i]) for i, n in enumerate(self.names)}

    def __repr__(self) -> str:
        return f"Answers({len(self)} windows of {', '.join(self.names)}{_flags_text(self.flags)})"

    def _repr_html_(self) -> str:
        return _card.of_answers(
            self.names, self.units, self.values, self.index, f"{len(self)} answers{_flags_text(self.flags)}"
        )


def _place(names: tuple[str, ...], name: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise KeyError(f"expected one of {', '.join(names)}, found {name}") from None


def _flags_text(flags: Flags) -> str:
    return f"; {'|'.join(f.name or '' for f in flags)}" if flags else ""
