"""How a row or bar becomes a step, of one stream or of one symbol of many."""

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tickfuse import _library, arrays, frames
from tickfuse._library import STEP_ANSWER, library
from tickfuse._owner import Worker
from tickfuse.answer import Answer
from tickfuse.errors import OptionError

if TYPE_CHECKING:
    from tickfuse.model import Model


class Bar(NamedTuple):
    """One record of one symbol's prices; `ts_ns` is its open time in nanoseconds since 1970, UTC."""

    ts_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Step(NamedTuple):
    """What a row or bar came to."""

    answer: Answer | None
    """None while too little was seen."""
    remaining: int
    """Rows or bars still to come, the one with the first answer included; 0 with an answer."""
    ts_ns: int | None
    """The bar's own time; None for a row."""


class Taker(Worker):
    """What takes rows and bars of a model."""

    _model: "Model"

    @property
    def model(self) -> "Model":
        """The model it was made for."""
        return self._model

    @property
    def _row_shape(self) -> tuple[int, ...]:
        """A row with all rows of the future that the model reads."""
        n_ahead, n_features = self._model.n_rows - self._model.lookback, self._model.n_features
        return (1 + n_ahead, n_features) if n_ahead else (n_features,)

    def _out(self, out: NDArray[np.float32] | None, n_outputs: int | None = None) -> NDArray[np.float32]:
        n_outputs = self._model.n_outputs if n_outputs is None else n_outputs
        return np.empty(n_outputs, np.float32) if out is None else arrays.writable("out", out, (n_outputs,))

    def _row(
        self, name: str, which: tuple[int, ...], row: Any, out: NDArray[np.float32] | None, future: NDArray[Any] | None
    ) -> Step:
        """Calls the function `name` of floats, or its sister of doubles, about `which` symbol, if there are several."""
        if isinstance(row, Mapping):
            row = frames.row("row", row, self._model.schema)
        n_outputs = None
        if future is None:
            row = arrays.readable("row", row, (self._model.n_features,))
        else:
            row, n_steps = self._ahead(row, future), self._model.schema.n_steps
            n_outputs = self._model.n_outputs // n_steps * min(max(len(future), 1), n_steps)
        out = self._out(out, n_outputs)
        call, step = getattr(library(), name if row.dtype == arrays.F32 else f"{name}_f64"), new_step()
        data = arrays.address(row), row.size, arrays.address(out), out.size
        status = call(self.handle(), *which, *data, ctypes.byref(step))
        return self._step(status, step, out, None)

    def _ahead(self, row: Any, future: NDArray[Any]) -> NDArray[Any]:
        """A row with rows of the future behind it."""
        n_features = self._model.n_features
        row = arrays.readable("row", row, (n_features,))
        return np.vstack([row[None], arrays.readable("future", future, ("rows", n_features))])

    def _bar(self, name: str, which: tuple[int, ...], bar: Bar, out: NDArray[np.float32] | None) -> Step:
        out, step = self._out(out), new_step()
        data = ctypes.byref(_bar(bar)), arrays.address(out), out.size
        status = getattr(library(), name)(self.handle(), *which, *data, ctypes.byref(step))
        return self._step(status, step, out, step.ts_ns)

    def _step(self, status: int, step: _library.Step, out: NDArray[np.float32], ts_ns: int | None) -> Step:
        if status:
            self.refuse(status)
        answer = Answer(self._model.schema, out, step.flags) if step.kind == STEP_ANSWER else None
        return Step(answer, step.remaining, ts_ns)


def whole(name: str, n: Any) -> None:
    """Refuses what is no number of 32 bits."""
    if not isinstance(n, int) or not 0 <= n < 1 << 32:
        raise OptionError(f"{name}: expected a number from 0 to {(1 << 32) - 1}, found {n!r}")


def text(value: str) -> bytes:
    """Text as the library takes it."""
    if "\0" in value:
        raise OptionError(f"expected text without a zero byte, found {value!r}")
    return value.encode()


def new_step() -> _library.Step:
    """A step to be filled in."""
    return _library.Step(ctypes.sizeof(_library.Step))


def _bar(bar: Bar) -> _library.Bar:
    try:
        ts_ns, *values = Bar(*bar)
        if not -(1 << 63) <= ts_ns < 1 << 63:
            raise ValueError("ts_ns is beyond 64 bits")
        return _library.Bar(ctypes.sizeof(_library.Bar), ts_ns, *values)
    except (TypeError, ValueError) as e:
        raise OptionError(f"bar: expected a Bar of a whole number and five numbers, found {bar!r}: {e}") from None
