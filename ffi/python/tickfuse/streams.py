"""Streams of many symbols of one model: rows that arrive together are answered in one call."""

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tickfuse import _card, arrays
from tickfuse._library import STEP_ANSWER, Handle, check, library
from tickfuse.answer import Answer, Flags
from tickfuse.contexts import Contexts
from tickfuse.errors import OptionError, TickfuseError
from tickfuse.schema import Schema
from tickfuse.step import Bar, Step, Taker, text, whole

if TYPE_CHECKING:
    from tickfuse.model import Model

# `tickfuse_step`, many of them.
STEP = np.dtype(
    {
        "names": ["size", "kind", "flags", "remaining", "ts_ns"],
        "formats": [np.uintp, np.uint32, np.uint32, np.uintp, np.int64],
    },
    align=True,
)


class Steps(NamedTuple):
    """What a row of every symbol came to."""

    schema: Schema
    symbols: tuple[str, ...]
    values: NDArray[np.float32]
    """`[n_symbols, n_outputs]`; where a symbol has no answer yet NaN, or what the caller's `out` held."""
    has_answer: NDArray[np.bool_]
    flags: NDArray[np.uint32]
    """`Flags` of each answer as numbers."""
    remaining: NDArray[np.uintp]
    """Rows still to come before an answer; 0 with one."""

    @property
    def names(self) -> tuple[str, ...]:
        """One per column of `values`."""
        return self.schema.output_names

    @property
    def units(self) -> tuple[str, ...]:
        """One per column of `values`."""
        return self.schema.output_units

    def answer(self, symbol: str) -> Answer | None:
        """One symbol's answer; None while too little was seen."""
        at = _number(self.symbols, symbol)
        return Answer(self.schema, self.values[at], Flags(int(self.flags[at]))) if self.has_answer[at] else None

    def _repr_html_(self) -> str:
        waiting = len(self.symbols) - int(self.has_answer.sum())
        note = f"{len(self.symbols)} symbols" + (f", of which {waiting} wait for rows" if waiting else "")
        return _card.of_answers(self.names, self.units, self.values, self.symbols, note)


class StreamSet(Taker):
    """The streams of many symbols: each as a `Stream` of its own, whatever happens to the others.

    `symbols` is their number, which names them "0", "1", ..., or their names in the order of the rows. `category` names the
    model's category that tells series apart, such as "symbol": every stream is then told its own name. Rows of an LSTM stack
    that arrive together share its weights, which is faster than one after the other. A second call while one is under
    way in another thread is refused with `BusyError`.
    """

    def __init__(self, model: "Model", symbols: int | Sequence[str], category: str | None = None) -> None:
        names = tuple(map(str, range(symbols))) if isinstance(symbols, int) else tuple(symbols)
        if isinstance(symbols, str) or not names or len(set(names)) < len(names):
            raise OptionError(f"symbols: expected a number from 1, or different names, found {symbols!r}")
        lib, pointer = library(), ctypes.c_void_p()
        check(lib.streams_new(model.handle(), len(names), ctypes.byref(pointer)))
        super().__init__(Handle(pointer, lib.streams_free), model.inputs)
        self._model, self._symbols, self._max_missing_bars = model, names, 0
        self._places = {name: place for place, name in enumerate(names)}
        self._steps = np.zeros(len(names), STEP)
        self._steps["size"] = STEP.itemsize
        for name in names if category is not None else ():
            self.set_category(name, cast(str, category), name)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names in the order of the rows."""
        return self._symbols

    @property
    def max_missing_bars(self) -> int:
        """As of a `Stream`, of every symbol; what a restored state brought along counts for its symbol instead."""
        return self._max_missing_bars

    @max_missing_bars.setter
    def max_missing_bars(self, n: int) -> None:
        whole("max_missing_bars", n)
        check(library().streams_set_max_missing_bars(self.handle(), n))
        self._max_missing_bars = n

    def push_all(self, rows: NDArray[Any], out: NDArray[np.float32] | None = None) -> Steps:
        """Takes a row of every symbol, `[n_symbols, n_features]`; if one is refused, none is taken.

        Of a model that reads rows of the future `[n_symbols, 1 + n, n_features]`, all n of them behind each row.
        """
        return self._all("streams_push_all", rows, out)

    def peek_all(self, rows: NDArray[Any], out: NDArray[np.float32] | None = None) -> Steps:
        """What pushing these rows would give; nothing is kept."""
        return self._all("streams_peek_all", rows, out)

    def push(
        self, symbol: str, row: Any, out: NDArray[np.float32] | None = None, *, future: NDArray[Any] | None = None
    ) -> Step:
        """As `Stream.push`, of one symbol."""
        return self._row("streams_push", (self._at(symbol),), row, out, future)

    def peek(
        self, symbol: str, row: Any, out: NDArray[np.float32] | None = None, *, future: NDArray[Any] | None = None
    ) -> Step:
        """As `Stream.peek`, of one symbol."""
        return self._row("streams_peek", (self._at(symbol),), row, out, future)

    def push_bar(self, symbol: str, bar: Bar, out: NDArray[np.float32] | None = None) -> Step:
        """As `Stream.push_bar`, of one symbol."""
        return self._bar("streams_push_bar", (self._at(symbol),), bar, out)

    def peek_bar(self, symbol: str, bar: Bar, out: NDArray[np.float32] | None = None) -> Step:
        """As `Stream.peek_bar`, of one symbol."""
        return self._bar("streams_peek_bar", (self._at(symbol),), bar, out)

    def prepare(self) -> None:
        """Does all that the next answers need not wait for."""
        check(library().streams_prepare(self.handle()))

    def prepare_some(self, budget: int = 1) -> bool:
        """Does some of it for every symbol, as `Stream.prepare_some`. Whether all is done."""
        whole("budget", budget)
        is_done = ctypes.c_uint32()
        check(library().streams_prepare_some(self.handle(), budget, ctypes.byref(is_done)))
        return bool(is_done.value)

    def reset(self, symbol: str | None = None) -> None:
        """Forgets every row and bar of one symbol, or of all."""
        lib, handle = library(), self.handle()
        check(lib.streams_reset_all(handle) if symbol is None else lib.streams_reset(handle, self._at(symbol)))

    def remaining(self, symbol: str) -> int:
        """Rows of a symbol still to come before an answer, the one with the answer included."""
        return int(library().streams_remaining(self.handle(), self._at(symbol)))

    def set_category(self, symbol: str, name: str, label: str) -> bool:
        """As `Stream.set_category`, of one symbol."""
        is_known, at = ctypes.c_uint32(), self._at(symbol)
        check(library().streams_set_category(self.handle(), at, text(name), text(label), ctypes.byref(is_known)))
        return bool(is_known.value)

    def set_contexts(self, contexts: Contexts | None) -> None:
        """Attends to these contexts from the next answers on; None: to those of the model file."""
        check(library().streams_set_contexts(self.handle(), contexts and contexts.handle()))

    def save(self, symbol: str) -> bytes:
        """What one symbol's stream remembers; a `Stream` and a set restore each other's."""
        lib, handle, at = library(), self.handle(), self._at(symbol)
        state = (ctypes.c_char * lib.streams_saved_len(handle, at))()
        check(lib.streams_save(handle, at, state, len(state)))
        return bytes(state)

    def restore(self, symbol: str, state: bytes) -> None:
        """One symbol's stream becomes the one that was saved, as `Stream.restore` has it."""
        check(library().streams_restore(self.handle(), self._at(symbol), bytes(state), len(state)))

    def bind(self, rows: NDArray[Any], out: NDArray[np.float32] | None = None) -> "BoundStreams":
        """A prepared `push_all` on two arrays, checked now: each call pushes what `rows` then holds."""
        rows, out = self._rows(rows), self._all_out(out)
        steps, handle = self._steps.copy(), self.handle()
        push = self._prepared("streams_push_all", handle, rows, out, steps)

        def call() -> int:
            if self._handle is None:
                self.handle()
            status = push()
            if status:
                self.refuse(status)
            return int((steps["kind"] == STEP_ANSWER).sum())

        call.__dict__.update(rows=rows, out=out, steps=steps, kept=handle)
        return cast(BoundStreams, call)

    def __len__(self) -> int:
        return len(self._symbols)

    def __reduce__(self) -> tuple[Callable[..., "StreamSet"], tuple["Model", tuple[str, ...], int, list[bytes]]]:
        states = [self.save(symbol) for symbol in self._symbols]
        return _arrived, (self._model, self._symbols, self._max_missing_bars, states)

    def _title(self) -> str:
        return f"{len(self._symbols)} streams of `{self._model.name}`"

    def refuse(self, status: int, first: int = 0) -> NoReturn:
        """Raises the last failure with the symbol's name behind its number."""

        def named(found: re.Match[str]) -> str:
            return f"symbol {found[1]} (`{self._symbols[int(found[1])]}`): "

        try:
            super().refuse(status, first)
        except TickfuseError as e:
            raise type(e)(re.sub(r"symbol (\d+): ", named, str(e)), status) from None

    def _at(self, symbol: str) -> int:
        place = self._places.get(symbol)
        return _number(self._symbols, symbol) if place is None else place

    def _rows(self, rows: NDArray[Any]) -> NDArray[Any]:
        return arrays.readable("rows", rows, (len(self._symbols), *self._row_shape))

    def _all_out(self, out: NDArray[np.float32] | None) -> NDArray[np.float32]:
        shape = len(self._symbols), self._model.n_outputs
        return np.full(shape, np.nan, np.float32) if out is None else arrays.writable("out", out, shape)

    def _all(self, name: str, rows: NDArray[Any], out: NDArray[np.float32] | None) -> Steps:
        rows, out, steps = self._rows(rows), self._all_out(out), self._steps.copy()
        status = self._prepared(name, self.handle(), rows, out, steps)()
        if status:
            self.refuse(status)
        has = steps["kind"] == STEP_ANSWER
        return Steps(self._model.schema, self._symbols, out, has, steps["flags"], steps["remaining"])

    def _prepared(
        self, name: str, handle: Handle, rows: NDArray[Any], out: NDArray[np.float32], steps: NDArray[Any]
    ) -> Callable[[], int]:
        call = getattr(library(), name if rows.dtype == arrays.F32 else f"{name}_f64")
        where = arrays.address(rows), rows.size, arrays.address(out), out.size, arrays.address(steps), steps.size
        return lambda: int(call(handle, *where))


class BoundStreams(Protocol):
    """A prepared `push_all`: `bound()` pushes what `rows` holds and says how many symbols `out` holds answers of."""

    rows: NDArray[Any]
    out: NDArray[np.float32]
    steps: NDArray[Any]
    """What each symbol's row came to: the fields `kind`, `flags` and `remaining`; `kind` is 1 for an answer."""

    def __call__(self) -> int:
        """Pushes, or raises what `push_all` would."""
        ...


def _number(symbols: tuple[str, ...], symbol: str) -> int:
    try:
        return symbols.index(symbol)
    except ValueError:
        shown = ", ".join(symbols[:20]) + (", ..." if len(symbols) > 20 else "")
        raise OptionError(f"symbol: expected one of {shown}, found {symbol!r}") from None


def _arrived(model: "Model", symbols: tuple[str, ...], max_missing_bars: int, states: list[bytes]) -> StreamSet:
    """What unpickling does."""
    streams = model.streams(symbols)
    streams.max_missing_bars = max_missing_bars
    for symbol, state in zip(symbols, states, strict=True):
        streams.restore(symbol, state)
    return streams
