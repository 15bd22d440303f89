"""Rows that an estimator is given: numbers by name, and whose they are and when, however they came."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickfuse import frames
from tickfuse._library import BAR_COLUMNS
from tickfuse.errors import SchemaError, ShapeError


@dataclass(frozen=True)
class Rows:
    """Rows of one symbol or several, each symbol's in order of time."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    """`[n_rows, len(names)]`."""
    symbols: NDArray[Any] | None
    times: NDArray[np.int64] | None
    """Nanoseconds since 1970; None where the rows are only numbered."""

    def __len__(self) -> int:
        return len(self.values)

    def of_symbols(self) -> Iterator[tuple[str | None, NDArray[np.intp]]]:
        """Each symbol with the places of its rows."""
        if self.symbols is None:
            yield None, np.arange(len(self))
            return
        for symbol in dict.fromkeys(self.symbols):
            yield symbol, np.flatnonzero(self.symbols == symbol)

    def stretches(self, max_step_ns: int | None) -> Iterator[tuple[str | None, NDArray[np.intp]]]:
        """The same, cut where neighbours lie further apart than `max_step_ns`."""
        for symbol, places in self.of_symbols():
            if self.times is None or max_step_ns is None:
                yield symbol, places
                continue
            gaps = np.flatnonzero(np.diff(self.times[places]) > max_step_ns) + 1
            for part in np.split(places, gaps):
                yield symbol, part


def of_array(values: NDArray[np.float64], is_bars: bool, times: Any, symbols: Any) -> Rows:
    """Columns x0, x1, ..., or the five of a bar."""
    n_columns = values.shape[1]
    if is_bars and n_columns != len(BAR_COLUMNS):
        raise ShapeError(f"X: expected the {len(BAR_COLUMNS)} columns {', '.join(BAR_COLUMNS)} of bars, found {n_columns}")
    names = BAR_COLUMNS if is_bars else tuple(f"x{i}" for i in range(n_columns))
    return _checked(names, values, _symbols(symbols, len(values)), _times(times, len(values)))


def of_frame(frame: Any, is_bars: bool, time: str | None, symbol: str | None, times: Any, symbols: Any) -> Rows:
    """Columns by name: those of a bar, or all but time and symbol."""
    found = frames.names("X", frame)
    names = BAR_COLUMNS if is_bars else tuple(n for n in found if n not in (time, symbol))
    if not names:
        raise SchemaError("X: expected a column beside time and symbol, found none")
    columns = [frames.column("X", frame, found.get(name, name)) for name in names]
    n = len(columns[0])
    if symbol is not None and symbols is None:
        symbols = frames.labels("X", frame, symbol)
    if times is None and time is not None:
        times = frames.nanoseconds("X", time, frames.raw("X", frame, time))
    elif times is None:
        index = frames.times_of_index(frame)
        times = None if index is None else frames.nanoseconds("X", "index", index)
    return _checked(names, np.column_stack(columns), _symbols(symbols, n), _times(times, n))


def _symbols(symbols: Any, n: int) -> NDArray[Any] | None:
    if symbols is None:
        return None
    found = np.array([str(s) for s in symbols], object)
    if len(found) != n:
        raise ShapeError(f"symbols: expected {n}, one per row, found {len(found)}")
    if not all(found):
        raise SchemaError(f"symbols: row {int(np.flatnonzero(found == '')[0])}: expected a name, found none")
    return found


def _times(times: Any, n: int) -> NDArray[np.int64] | None:
    if times is None:
        return None
    found = np.asarray(frames.nanoseconds("times", "ts_ns", times), np.int64)
    if len(found) != n:
        raise ShapeError(f"times: expected {n}, one per row, found {len(found)}")
    return found


def _checked(
    names: tuple[str, ...], values: NDArray[np.float64], symbols: NDArray[Any] | None, times: NDArray[np.int64] | None
) -> Rows:
    rows = Rows(names, values, symbols, times)
    if times is not None:
        for symbol, places in rows.of_symbols():
            _check_order(symbol, places, times[places])
    return rows


def _check_order(symbol: str | None, places: NDArray[np.intp], times: NDArray[np.int64]) -> None:
    wrong = np.flatnonzero(np.diff(times) <= 0)
    if len(wrong):
        row = int(wrong[0]) + 1
        found, before = (times[i].astype("datetime64[ns]") for i in (row, row - 1))
        whose = "" if symbol is None else f"{symbol}: "
        raise SchemaError(f"X: {whose}row {places[row]}: expected increasing times, found {found} behind {before}")
