"""Whole windows: one, a batch, or every window of a series."""

import ctypes
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tickfuse import arrays, frames
from tickfuse._library import Handle, Interpretation, check, library, prepared
from tickfuse._owner import Worker
from tickfuse.answer import Answer, Answers
from tickfuse.contexts import Contexts
from tickfuse.errors import OptionError, ShapeError

if TYPE_CHECKING:
    from tickfuse.model import Model


class Session(Worker):
    """The working memory for whole windows of one model: one per thread.

    Windows are raw (unscaled) inputs `[n_rows, n_features]`, the oldest row first: numpy arrays of float32 or float64,
    which are used where they lie, or frames with the model's columns. A second call while one is under way in
    another thread is refused with `BusyError`.
    """

    def __init__(self, model: "Model", max_batch: int = 1024) -> None:
        lib, pointer = library(), ctypes.c_void_p()
        if not isinstance(max_batch, int) or max_batch < 1:
            raise OptionError(f"max_batch: expected a number from 1, found {max_batch!r}")
        source = model.handle()
        check(lib.session_new(source, max_batch, ctypes.byref(pointer)))
        super().__init__(Handle(pointer, lib.session_free), model.inputs)
        self._model = model
        self._max_batch = max_batch
        self._window_shape = (model.n_rows, model.n_features)
        self._run_one = {arrays.F32: lib.session_run, arrays.F64: lib.session_run_f64}
        self._run_strided = {arrays.F32: lib.session_run_strided, arrays.F64: lib.session_run_strided_f64}
        self._slide = {arrays.F32: lib.sliding_run, arrays.F64: lib.sliding_run_f64}
        # What series are answered with: the model, contexts, and the working memory of the last stride.
        self._source: Handle | None = source
        self._contexts: Handle | None = None
        self._sliding: dict[int, Handle] = {}
        self._run_batch = {arrays.F32: lib.session_run_batch, arrays.F64: lib.session_run_batch_f64}

    @property
    def model(self) -> "Model":
        """The model it was made for."""
        return self._model

    @property
    def max_batch(self) -> int:
        """Windows answered in one call of the library."""
        return self._max_batch

    def close(self) -> None:
        """Lets go of the library's memory; a call under way in another thread still ends well. A second call does nothing."""
        super().close()
        self._source, self._contexts, self._sliding = None, None, {}

    def predict(self, window: Any, out: NDArray[np.float32] | None = None) -> Answer:
        """Answers one window; `out`, float32 `[n_outputs]`, becomes the answer's values."""
        window = self._window(window)
        out = self._out(out, (self._model.n_outputs,))
        return Answer(self._model.schema, out, self._run(window, out))

    def predict_batch(self, windows: NDArray[Any], out: NDArray[np.float32] | None = None) -> Answers:
        """Answers windows `[n, n_rows, n_features]`, each with the bits it has alone.

        Windows that are contiguous one by one but not together, such as overlapping views of a series, are used where
        they lie too; `predict_series` works on what they share only once.
        """
        windows = arrays.readable_windows("windows", windows, ("n", *self._window_shape))
        out = self._out(out, (len(windows), self._model.n_outputs))
        return Answers(self._model.schema, out, self._run_all(windows, out))

    def predict_series(
        self, series: Any, out: NDArray[np.float32] | None = None, time: str | None = None, stride: int = 1
    ) -> Answers:
        """Answers every window of a series `[n, n_features]` or frame, whose rows lie an equal time apart, oldest first.

        Answer i is for the window that begins with row `i * stride`, with the bits it has alone; `Answers.each` has the flags
        of each. What windows share is worked on once, so that a back-test takes far less time than its windows.
        `time` names a frame's column of times, which become the answers' `index`; a pandas frame indexed by time needs
        no name. Rows of several symbols are several series.
        """
        rows = self._rows("series", series, ("n", self._window_shape[1]))
        if len(rows) < self._window_shape[0]:
            raise ShapeError(f"series: expected at least {self._window_shape[0]} rows, found {len(rows)}")
        if not isinstance(stride, int) or stride < 1:
            raise OptionError(f"stride: expected a number from 1, found {stride!r}")
        n_windows = (len(rows) - self._window_shape[0]) // stride + 1
        out = self._out(out, (n_windows, self._model.n_outputs))
        each = self._run_series(rows, out, stride)
        flags = int(np.bitwise_or.reduce(each))
        index = self._index(series, time, n_windows, stride) if frames.is_frame(series) else None
        return Answers(self._model.schema, out, flags, index, each)

    def predict_lengths(
        self, window: NDArray[Any], n_encoder: int, n_decoder: int, out: NDArray[np.float32] | None = None
    ) -> Answer:
        """Answers `[n_encoder + n_decoder, n_features]`: fewer rows of the past or future, which the family `tft` takes."""
        window = arrays.readable("window", window, (n_encoder + n_decoder, self._window_shape[1]))
        n_columns = self._model.n_outputs // self._model.schema.n_steps
        out = self._out(out, (n_columns * max(n_decoder, 1),))
        flags, lib = ctypes.c_uint32(), library()
        run = lib.session_run_lengths if window.dtype == arrays.F32 else lib.session_run_lengths_f64
        data, sizes = arrays.address(window), (n_encoder, n_decoder)
        status = run(self.handle(), data, window.size, *sizes, arrays.address(out), out.size, ctypes.byref(flags))
        if status:
            self.refuse(status)
        return Answer(self._model.schema, out, flags.value)

    def interpretations(self) -> dict[str, NDArray[np.float32]]:
        """What the last window's answer rested on: weights of the variable selections and of attention, by name.

        Nothing is computed again. Empty before the first window and for an LSTM stack; of no use after a refused window.
        Windows of `predict_series` are none of these.
        """
        n = library().session_n_interpretations(self.handle())
        return dict(self._interpretation(i) for i in range(n))

    def set_contexts(self, contexts: Contexts | None) -> None:
        """Attends to these contexts from the next window on; None: to those of the model file."""
        found = None if contexts is None else contexts.handle()
        check(library().session_set_contexts(self.handle(), found))
        self._contexts, self._sliding = found, {}

    def bind(self, window: NDArray[Any], out: NDArray[np.float32] | None = None) -> "Bound":
        """A prepared call on two arrays, checked now: each call answers what `window` then holds."""
        window = arrays.readable("window", window, self._window_shape)
        out = self._out(out, (self._model.n_outputs,))
        return _bound(self, window, out)

    def _title(self) -> str:
        return f"session of `{self._model.name}`"

    def _window(self, window: Any) -> NDArray[Any]:
        rows = self._rows("window", window, self._window_shape)
        if len(rows) != self._window_shape[0]:
            raise ShapeError(
                f"window: expected {self._window_shape[0]} rows, found {len(rows)}; "
                f"predict_series answers every window of a longer frame"
            )
        return rows

    def _rows(self, name: str, data: Any, shape: arrays.Shape) -> NDArray[Any]:
        if isinstance(data, np.ndarray) or not frames.is_frame(data):
            return arrays.readable(name, data, shape)
        frames.times(name, data, None)
        return frames.rows(name, data, self._model.schema)

    def _out(self, out: NDArray[np.float32] | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return np.empty(shape, np.float32) if out is None else arrays.writable("out", out, shape)

    def _run(self, window: NDArray[Any], out: NDArray[np.float32]) -> int:
        flags = ctypes.c_uint32()
        run = self._run_one[window.dtype]
        status = run(self.handle(), arrays.address(window), window.size, arrays.address(out), out.size, ctypes.byref(flags))
        if status:
            self.refuse(status)
        return flags.value

    def _run_all(self, windows: NDArray[Any], out: NDArray[np.float32]) -> int:
        self.handle()
        if not windows.flags.c_contiguous:
            return (self._run_views if windows.strides[0] >= 0 else self._run_apart)(windows, out)
        together = 0
        for i in range(0, len(windows), self._max_batch):
            together |= self._run_piece(windows[i : i + self._max_batch], out[i : i + self._max_batch], i)
        return together

    def _run_piece(self, windows: NDArray[Any], out: NDArray[np.float32], first: int) -> int:
        flags = ctypes.c_uint32()
        run = self._run_batch[windows.dtype]
        n_values, n_windows = windows.size, len(windows)
        pointers = arrays.address(windows), arrays.address(out)
        status = run(self.handle(), pointers[0], n_values, n_windows, pointers[1], out.size, ctypes.byref(flags))
        if status:
            self.refuse(status, first)
        return flags.value

    def _run_views(self, windows: NDArray[Any], out: NDArray[np.float32]) -> int:
        """Windows that each begin where the one before does or behind it."""
        together, flags, step = 0, ctypes.c_uint32(), windows.strides[0] // windows.itemsize
        run, n_columns = self._run_strided[windows.dtype], windows.shape[2]
        for i in range(0, len(windows), self._max_batch):
            some, to = windows[i : i + self._max_batch], out[i : i + self._max_batch]
            where = arrays.address(some), (len(some) - 1) * step + some[0].size, len(some), step, n_columns
            status = run(self.handle(), *where, arrays.address(to), to.size, ctypes.byref(flags))
            if status:
                self.refuse(status, i)
            together |= flags.value
        return together

    def _run_series(self, rows: NDArray[Any], out: NDArray[np.float32], stride: int) -> NDArray[np.uint32]:
        """Every window; returns the flags of each."""
        each, sliding = np.empty(len(out), np.uint32), self._sliding_handle(stride)
        where, to = (arrays.address(rows), rows.size), (arrays.address(out), out.size)
        status = self._slide[rows.dtype](sliding, *where, *to, arrays.address(each), each.size)
        if status:
            self.refuse(status)
        return each

    def _sliding_handle(self, stride: int) -> Handle:
        """Working memory for series, made when it is first needed."""
        self.handle()
        found = self._sliding.get(stride)
        if found is None:
            lib, pointer = library(), ctypes.c_void_p()
            check(lib.sliding_new(self._source, stride, ctypes.byref(pointer)))
            found = Handle(pointer, lib.sliding_free)
            if self._contexts is not None:
                check(lib.sliding_set_contexts(found, self._contexts))
            self._sliding = {stride: found}
        return found

    def _run_apart(self, windows: NDArray[Any], out: NDArray[np.float32]) -> int:
        """Windows at any distance, a call each."""
        together, flags = 0, ctypes.c_uint32()
        run, flags_pointer = self._run_one[windows.dtype], ctypes.byref(flags)
        window, step, n_values = arrays.address(windows), windows.strides[0], windows[0].size
        answer, answer_step, n_out = arrays.address(out), out.strides[0], out.shape[1]
        for i in range(len(windows)):
            handle = self.handle()
            status = run(handle, window + i * step, n_values, answer + i * answer_step, n_out, flags_pointer)
            if status:
                self.refuse(status, i)
            together |= flags.value
        return together

    def _interpretation(self, index: int) -> tuple[str, NDArray[np.float32]]:
        about, read = Interpretation(ctypes.sizeof(Interpretation)), library().session_interpretation
        check(read(self.handle(), index, ctypes.byref(about), None, 0))
        values = np.empty(about.shape[: about.n_dims], np.float32)
        check(read(self.handle(), index, ctypes.byref(about), arrays.address(values), values.size))
        return about.name.decode(), values

    def _index(self, frame: Any, time: str | None, n_windows: int, stride: int) -> Any:
        index = frames.times("series", frame, time)
        return None if index is None else frames.take(index, self._model.lookback - 1 + stride * np.arange(n_windows))


class Bound(Protocol):
    """A prepared call: `bound()` answers what `window` holds into `out` and returns the flags as a number.

    The cheapest way in: nothing is allocated, converted or checked but the status.
    """

    window: NDArray[Any]
    out: NDArray[np.float32]

    def __call__(self) -> int:
        """Answers, or raises what `predict` would."""
        ...


def _bound(session: Session, window: NDArray[Any], out: NDArray[np.float32]) -> Bound:
    """A function, since calling an object takes longer than all else here."""
    flags, handle = ctypes.c_uint32(), session.handle()
    name = "session_run" if window.dtype == arrays.F32 else "session_run_f64"
    run = prepared(name, handle, window, out, flags)

    def call() -> int:
        if session._handle is None:
            session.handle()
        status = run()
        if status:
            session.refuse(status)
        return flags.value

    call.__dict__.update(window=window, out=out, kept=(handle, flags))
    return cast(Bound, call)
