"""A window that slides over one series: a row or bar arrives, the answer comes, the next one is prepared."""

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from tickfuse import _library, arrays, frames
from tickfuse._library import BAR_COLUMNS, STEP_ANSWER, Handle, check, library, prepared
from tickfuse.answer import Answers
from tickfuse.contexts import Contexts
from tickfuse.step import Bar, Step, Taker, new_step, text, whole

if TYPE_CHECKING:
    from tickfuse.model import Model


class Stream(Taker):
    """A window that slides over one series: one per symbol.

    A row is raw inputs `[n_features]`, float32 or float64, or a mapping with a value per column. Answers have the bits that
    `Session.predict` gives for the same window. A model that reads rows of the future wants those with each row: `future
    [n, n_features]`, of which only columns known in advance are read and n steps are answered. A second call while one is
    under way in another thread is refused with `BusyError`. A stream pickles as its model, with the path, and what it
    remembers; its contexts stay behind.
    """

    def __init__(self, model: "Model") -> None:
        pointer = ctypes.c_void_p()
        check(library().stream_new(model.handle(), ctypes.byref(pointer)))
        self._own(model, pointer, 0)

    def _own(self, model: "Model", pointer: ctypes.c_void_p, max_missing_bars: int | None) -> None:
        super().__init__(Handle(pointer, library().stream_free), model.inputs)
        self._model = model
        self._max_missing_bars = max_missing_bars

    @property
    def remaining(self) -> int:
        """Rows still to come before an answer, the one with the answer included; bars may need a few more."""
        return int(library().stream_remaining(self.handle()))

    @property
    def max_missing_bars(self) -> int | None:
        """Bars that may be missing between two neighbours before the series begins anew; 0 unless set.

        None behind `restore`, which takes the setting of the stream that was saved.
        """
        return self._max_missing_bars

    @max_missing_bars.setter
    def max_missing_bars(self, n: int) -> None:
        whole("max_missing_bars", n)
        check(library().stream_set_max_missing_bars(self.handle(), n))
        self._max_missing_bars = n

    def push(self, row: Any, out: NDArray[np.float32] | None = None, *, future: NDArray[Any] | None = None) -> Step:
        """Takes a row and answers the window it ends; a refused row is not taken."""
        return self._row("stream_push", (), row, out, future)

    def peek(self, row: Any, out: NDArray[np.float32] | None = None, *, future: NDArray[Any] | None = None) -> Step:
        """What pushing this row would give, such as one that is still forming; nothing is kept."""
        return self._row("stream_peek", (), row, out, future)

    def push_bar(self, bar: Bar, out: NDArray[np.float32] | None = None) -> Step:
        """Takes a bar: makes its row with the model's own features and pushes that.

        Rows of the future, where the model reads any, are made of the times at which bars are due. A bar behind too large a
        gap begins the series anew. One that is out of range or not later than the bar before
        is refused and leaves the stream as it was.
        """
        return self._bar("stream_push_bar", (), bar, out)

    def peek_bar(self, bar: Bar, out: NDArray[np.float32] | None = None) -> Step:
        """What pushing this bar would give, such as one that is still forming; nothing is kept."""
        return self._bar("stream_peek_bar", (), bar, out)

    def push_bars(self, bars: Any, time: str = "ts") -> Answers:
        """Takes the bars of a frame with the columns `open`, `high`, `low`, `close`, `volume` and one of times.

        Returns the answers there were, indexed by the times of their bars. Rows are bars of one symbol, oldest first; times
        without a zone are UTC, and whole numbers are nanoseconds if the column is named `ts_ns`.
        """
        times = frames.times("bars", bars, time)
        stamps = frames.nanoseconds("bars", time, times)
        columns = [frames.column("bars", bars, name).tolist() for name in BAR_COLUMNS]
        steps = [self.push_bar(Bar(*values)) for values in zip(stamps, *columns, strict=True)]
        answered = [i for i, step in enumerate(steps) if step.answer is not None]
        answers = [step.answer for step in steps if step.answer is not None]
        values = np.array([a.values for a in answers], np.float32).reshape(len(answers), self._model.n_outputs)
        flags = np.bitwise_or.reduce([int(a.flags) for a in answers]) if answers else 0
        return Answers(self._model.schema, values, int(flags), frames.take(times, np.array(answered, np.int64)))

    def prepare(self) -> None:
        """Does all that the next answer need not wait for; to be called while nothing arrives."""
        check(library().stream_prepare(self.handle()))

    def prepare_some(self, budget: int = 1) -> bool:
        """Does some of it: what the very next answer needs, then about `budget` steps of one window. Whether all is done."""
        whole("budget", budget)
        is_done = ctypes.c_uint32()
        check(library().stream_prepare_some(self.handle(), budget, ctypes.byref(is_done)))
        return bool(is_done.value)

    def reset(self) -> None:
        """Forgets every row and bar."""
        check(library().stream_reset(self.handle()))

    def save(self) -> bytes:
        """What the stream remembers, its settings included, its contexts not; the bytes mean the same on every machine."""
        lib, handle = library(), self.handle()
        state = (ctypes.c_char * lib.stream_saved_len(handle))()
        status = lib.stream_save(handle, state, len(state))
        if status:
            self.refuse(status)
        return bytes(state)

    def restore(self, state: bytes) -> None:
        """Becomes the stream that was saved: every answer from here on has the bits it would have had.

        What had been prepared is to be prepared again. `StateError` for bytes that `save` did not write, or of another
        model; the stream is then as it was.
        """
        check(library().stream_restore(self.handle(), bytes(state), len(state)))
        self._max_missing_bars = None

    def copy(self) -> Self:
        """A stream of its own with everything this one remembers and has prepared: to ask what would be if."""
        pointer, other = ctypes.c_void_p(), type(self).__new__(type(self))
        check(library().stream_clone(self.handle(), ctypes.byref(pointer)))
        other._own(self._model, pointer, self._max_missing_bars)
        return other

    __copy__ = copy

    def copy_from(self, source: "Stream") -> None:
        """Becomes a copy of a stream of the same model, without memory of its own: for asking again and again."""
        check(library().stream_clone_from(self.handle(), source.handle()))
        self._max_missing_bars = source._max_missing_bars

    def __reduce__(self) -> tuple[Callable[..., "Stream"], tuple["Model", bytes, int | None]]:
        """A stream travels as its model's path and hash beside what it remembers."""
        return _arrived, (self._model, self.save(), self._max_missing_bars)

    def set_category(self, name: str, label: str) -> bool:
        """Says which series the bars are of, such as "BTCUSDT" of "symbol", from the next bar on; whether the model knows it.

        `CategoryError` for a category that the model does not have, or an unlisted label that nothing stands in for.
        """
        is_known = ctypes.c_uint32()
        texts = [text(value) for value in (name, label)]
        check(library().stream_set_category(self.handle(), *texts, ctypes.byref(is_known)))
        return bool(is_known.value)

    def set_contexts(self, contexts: Contexts | None) -> None:
        """Attends to these contexts from the next answer on; None: to those of the model file."""
        check(library().stream_set_contexts(self.handle(), contexts and contexts.handle()))

    def bind(self, row: NDArray[Any], out: NDArray[np.float32] | None = None) -> "BoundStream":
        """A prepared `push` on two arrays, checked now: each call pushes what `row` then holds.

        Of a model that reads rows of the future it is `[1 + n, n_features]`, all n of them behind the row.
        """
        row = arrays.readable("row", row, self._row_shape)
        return _bound(self, row, self._out(out))

    def _title(self) -> str:
        return f"stream of `{self._model.name}`"


def _arrived(model: "Model", state: bytes, max_missing_bars: int | None) -> Stream:
    """What unpickling does."""
    stream = model.stream()
    stream.restore(state)
    stream._max_missing_bars = max_missing_bars
    return stream


class BoundStream(Protocol):
    """A prepared `push`: `bound()` pushes what `row` holds and says whether `out` holds an answer.

    The cheapest way in: nothing is allocated, converted or checked but the status.
    """

    row: NDArray[Any]
    out: NDArray[np.float32]
    step: _library.Step
    """What the last call came to: `flags` and `remaining`."""

    def __call__(self) -> bool:
        """Pushes, or raises what `push` would."""
        ...


def _bound(stream: Stream, row: NDArray[Any], out: NDArray[np.float32]) -> BoundStream:
    """A function, since calling an object takes longer than all else here."""
    step, handle = new_step(), stream.handle()
    push = prepared("stream_push" if row.dtype == arrays.F32 else "stream_push_f64", handle, row, out, step)

    def call() -> bool:
        if stream._handle is None:
            stream.handle()
        status = push()
        if status:
            stream.refuse(status)
        return bool(step.kind == STEP_ANSWER)

    call.__dict__.update(row=row, out=out, step=step, kept=handle)
    return cast(BoundStream, call)
