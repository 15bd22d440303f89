"""Frames of pandas, polars and pyarrow, and mappings of columns, turned into rows by column name.

Nothing is guessed: a column that is missing, doubled or of another type is refused by name, and the order of a frame's columns
means nothing. None of the three libraries is imported, but for pyarrow where a frame of yet another library comes, which hands
its columns over as Arrow does (`__arrow_c_stream__`).
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickfuse.errors import SchemaError
from tickfuse.schema import Input, Schema


CAPSULE = "__arrow_c_stream__"


def is_frame(data: Any) -> bool:
    """Whether `rows` may be asked to read it."""
    return isinstance(data, Mapping) or _library_of(data) is not None or hasattr(data, CAPSULE)


def rows(name: str, frame: Any, schema: Schema) -> NDArray[Any]:
    """`[rows, n_features]` in the model's order, float32 where all columns are that, else float64; nulls are NaN."""
    columns = _Columns(name, frame)
    columns.require(schema)
    values = [_numbers(name, i, columns.values(i.name)) for i in schema.inputs]
    lengths = {i.name: len(v) for i, v in zip(schema.inputs, values, strict=True)}
    n = lengths[schema.inputs[0].name]
    for column, found in lengths.items():
        if found != n:
            raise SchemaError(f"{name}: column `{column}`: expected {n} rows as in the others, found {found}")
    dtype = np.float32 if all(v.dtype == np.float32 for v in values) else np.float64
    out = np.empty((n, len(values)), dtype)
    for i, column_values in enumerate(values):
        out[:, i] = column_values
    return out


def row(name: str, values: Mapping[str, Any], schema: Schema) -> NDArray[np.float64]:
    """`[n_features]` in the model's order from one value per column."""
    return np.asarray(rows(name, {key: [value] for key, value in values.items()}, schema)[0], np.float64)


def times(name: str, frame: Any, time: str | None) -> Any:
    """The column `time`, or the index of a pandas frame indexed by time; None where there is neither.

    Times must increase strictly: rows out of order or doubled would make windows that never were.
    """
    index = _time_index(frame) if time is None else _Columns(name, frame).raw(time)
    if index is None:
        return None
    what = f"{name}: column `{time}`" if time else f"{name}: index"
    _check_increasing(what, instants(index))
    return index


def instants(values: Any) -> NDArray[Any]:
    """Times as numpy has them: UTC where they had a zone, as they are where they had none."""
    dtype = getattr(values, "dtype", None)
    if getattr(dtype, "kind", "") == "M" and not isinstance(dtype, np.dtype):
        return np.asarray(values, "datetime64[ns]")
    return np.asarray(values)


def nanoseconds(name: str, column: str, values: Any) -> list[int]:
    """Times since 1970; whole numbers are that only in a column named `ts_ns`, for their unit would be a guess."""
    stamps = instants(values)
    if stamps.dtype.kind == "M":
        return [int(t) for t in stamps.astype("datetime64[ns]").astype(np.int64)]
    if stamps.dtype.kind in "iu" and column == "ts_ns":
        return [int(t) for t in stamps]
    raise SchemaError(f"{name}: column `{column}`: expected times, or nanoseconds named `ts_ns`, found {stamps.dtype}")


def names(name: str, frame: Any) -> dict[str, Any]:
    """Names of the columns in their order, each once, as text and as the frame knows them."""
    keys = _Columns(name, frame).names
    found = {str(key): key for key in keys}
    for text in found if len(found) < len(keys) else ():
        n = sum(str(key) == text for key in keys)
        if n > 1:
            raise SchemaError(f"{name}: expected one column `{text}`, found {n}")
    return found


def raw(name: str, frame: Any, wanted: str) -> Any:
    """A column as the frame's library gives it."""
    return _Columns(name, frame).raw(wanted)


def times_of_index(frame: Any) -> Any:
    """The index of a pandas frame indexed by time; None of any other."""
    return _time_index(frame)


def labels(name: str, frame: Any, wanted: str) -> NDArray[Any]:
    """A column of names, every cell as text."""
    values = _Columns(name, frame).values(wanted)
    return np.array([str(value) for value in values], object)


def column(name: str, frame: Any, wanted: str) -> NDArray[np.float64]:
    """A column of numbers by its name; nulls are NaN."""
    spec = Input(wanted, "observed", "reject", None, None, None, None)
    return _numbers(name, spec, _Columns(name, frame).values(wanted)).astype(np.float64)


def take(values: Any, places: NDArray[np.int64]) -> Any:
    """Those rows of a column."""
    return values.take(places) if hasattr(values, "take") else values[places]


def _library_of(data: Any) -> str | None:
    """The library whose frame `data` is; only one that is loaded can have made it."""
    frames = {"pandas": ("DataFrame",), "polars": ("DataFrame", "LazyFrame"), "pyarrow": ("Table", "RecordBatch")}
    for library, names in frames.items():
        module = sys.modules.get(library)
        types = tuple(getattr(module, n) for n in names if hasattr(module, n))
        if isinstance(data, types):
            return library
    return None


class _Columns:
    """The columns of a frame by name."""

    def __init__(self, name: str, frame: Any) -> None:
        self.name, self.frame, self.library = name, frame, _library_of(frame)
        if self.library is None and hasattr(frame, CAPSULE):
            self.frame, self.library = _table(name, frame), "pyarrow"
            frame = self.frame
        if hasattr(frame, "collect"):
            raise SchemaError(f"{name}: expected a frame, found a lazy one; collect() it")
        names = frame.column_names if self.library == "pyarrow" and hasattr(frame, "column_names") else None
        if self.library == "pyarrow" and names is None:
            names = frame.schema.names
        self.names = list(frame if isinstance(frame, Mapping) else frame.columns if names is None else names)

    def require(self, schema: Schema) -> None:
        """Every input is there once."""
        missing = [i for i in schema.inputs if i.name not in self.names]
        if missing:
            raise SchemaError(f"{self.name}: {_missing_text(missing)}, found {_listed(self.names)}")
        for i in schema.inputs:
            if self.names.count(i.name) > 1:
                raise SchemaError(f"{self.name}: expected one column `{i.name}`, found {self.names.count(i.name)}")

    def raw(self, column: str) -> Any:
        """A column as the frame's library gives it."""
        if column not in self.names:
            raise SchemaError(f"{self.name}: expected a column `{column}`, found {_listed(self.names)}")
        return self.frame.column(column) if self.library == "pyarrow" else self.frame[column]

    def values(self, column: str) -> NDArray[Any]:
        """A column as numpy has it, nulls among numbers being NaN."""
        raw = self.raw(column)
        if self.library == "pandas":
            return _of_pandas(raw)
        if self.library == "pyarrow":
            # Chunked columns have no parameter for what they always do.
            return np.asarray(raw.to_numpy() if hasattr(raw, "chunks") else raw.to_numpy(zero_copy_only=False))
        values = np.asarray(raw.to_numpy() if self.library == "polars" else raw)
        if values.ndim != 1:
            raise SchemaError(f"{self.name}: column `{column}`: expected one dimension, found {values.ndim}")
        return values


def _table(name: str, frame: Any) -> Any:
    """A frame of whatever library, as Arrow has it; nothing is copied."""
    try:
        import pyarrow
    except ImportError:
        raise SchemaError(f"{name}: a {type(frame).__qualname__} is read by pyarrow, which is not installed") from None
    return pyarrow.table(frame)


def _of_pandas(series: Any) -> NDArray[Any]:
    if isinstance(series.dtype, np.dtype):
        return np.asarray(series)
    if getattr(series.dtype, "kind", "O") in "fiub":
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(series.astype(object))


def _numbers(name: str, spec: Input, values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as they are; names of categories as their codes."""
    if values.dtype.kind in "fiub":
        return values
    if spec.categories is not None:
        return _codes(name, spec, values)
    if values.dtype.kind == "O" and all(v is None or isinstance(v, int | float | np.number) for v in values):
        return np.array([np.nan if v is None else v for v in values], np.float64)
    raise SchemaError(f"{name}: column `{spec.name}`: expected numbers, found {_kind(values)}")


def _codes(name: str, spec: Input, values: NDArray[Any]) -> NDArray[Any]:
    code_of = {label: code for code, label in enumerate(spec.categories or ())}
    codes = np.empty(len(values), np.float32)
    for row, value in enumerate(values):
        code = spec.unknown if value is None else code_of.get(str(value), spec.unknown)
        if code is None:
            raise SchemaError(
                f"{name}: column `{spec.name}`, row {row}: expected one of {_listed(list(code_of))}, found `{value}`"
            )
        codes[row] = code
    return codes


def _kind(values: NDArray[Any]) -> str:
    strange = (v for v in values if not (v is None or isinstance(v, int | float | np.number)))
    return str(values.dtype) if values.dtype.kind in "Mm" else type(next(strange)).__name__.removesuffix("_")


def _missing_text(missing: list[Input]) -> str:
    text = f"expected {_plural(missing)} {_listed([i.name for i in missing])}"
    if any(i.feature for i in missing):
        text += " (computed from bars: a Stream takes bars, a frame brings the columns ready)"
    return text


def _plural(items: list[Any]) -> str:
    return "a column" if len(items) == 1 else "columns"


def _listed(names: list[Any], limit: int = 20) -> str:
    listed = ", ".join(f"`{n}`" for n in names[:limit])
    return f"{listed} and {len(names) - limit} more" if len(names) > limit else listed or "none"


def _time_index(frame: Any) -> Any:
    index = getattr(frame, "index", None) if _library_of(frame) == "pandas" else None
    return index if index is not None and getattr(index.dtype, "kind", "") == "M" else None


def _check_increasing(what: str, values: NDArray[Any]) -> None:
    wrong = np.flatnonzero(~(values[1:] > values[:-1]))
    if len(wrong):
        row = int(wrong[0]) + 1
        raise SchemaError(f"{what}: expected increasing times, found {values[row]} in row {row} behind {values[row - 1]}")
