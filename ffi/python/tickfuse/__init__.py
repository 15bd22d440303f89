"""Tickfuse: answers of sequence models for trading, inside your process.

    import tickfuse

    with tickfuse.Model("model.safetensors") as model:
        session = model.session()
        stream = model.stream()
    answer = session.predict(window)            # numpy [n_rows, n_features], or a frame with the model's columns
    answers = session.predict_series(frame)     # every window of a longer frame
    run = session.bind(window_array)            # prepared: run() answers what the array holds now
    step = stream.push_bar(bar)                 # one bar or row at a time: step.answer, then stream.prepare()
    steps = model.streams(["BTC", "ETH"]).push_all(rows)    # a row of every symbol
    what_if = stream.copy()                     # or stream.save(), which restore() takes here or elsewhere

`Model` is immutable and shared between threads; a `Session` or `Stream` belongs to one thread at a time. The library is
called through ctypes, which lets other threads run meanwhile. All can be used after `os.fork`, as long as no call was under
way in another thread.
"""

from tickfuse.answer import Answer, Answers, Flags
from tickfuse.contexts import Contexts, ContextShape
from tickfuse.errors import (
    ArrayError,
    BarError,
    BundleError,
    BundleReadError,
    BusyError,
    CategoryError,
    ClosedError,
    DefectError,
    LibraryError,
    NonFiniteError,
    OptionError,
    ProgramError,
    RunError,
    SchemaError,
    ShapeError,
    StateError,
    SystemRefusedError,
    TickfuseError,
)
from tickfuse.model import Model
from tickfuse.schema import Input, Output, Scaler, Schema
from tickfuse.session import Bound, Session
from tickfuse.step import Bar, Step
from tickfuse.stream import BoundStream, Stream
from tickfuse.streams import BoundStreams, Steps, StreamSet

__all__ = [
    "Answer",
    "Answers",
    "ArrayError",
    "Bar",
    "BarError",
    "Bound",
    "BoundStream",
    "BoundStreams",
    "BundleError",
    "BundleReadError",
    "BusyError",
    "CategoryError",
    "ClosedError",
    "ContextShape",
    "Contexts",
    "DefectError",
    "Flags",
    "Input",
    "LibraryError",
    "Model",
    "NonFiniteError",
    "OptionError",
    "Output",
    "ProgramError",
    "RunError",
    "Scaler",
    "Schema",
    "SchemaError",
    "Session",
    "ShapeError",
    "StateError",
    "Step",
    "Steps",
    "Stream",
    "StreamSet",
    "SystemRefusedError",
    "TickfuseError",
]
