"""An opened model file: immutable, shareable between threads."""

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from tickfuse import _card, _library
from tickfuse._library import Handle, OpenOptions, check, library
from tickfuse._owner import Owner
from tickfuse.contexts import Contexts, ContextShape, shape_of
from tickfuse.errors import BundleError, OptionError
from tickfuse.schema import Input, Output, Schema
from tickfuse.session import Session
from tickfuse.stream import Stream
from tickfuse.streams import StreamSet

FILE_NAME = "model.safetensors"


class Model(Owner):
    """A model file, checked and ready to run.

    `path` is a file, or a version's folder with a `model.safetensors` in it; links are followed once, so that an alias
    moved later changes nothing here. `level` asks for a CPU level by name, None takes the best of this machine.
    `copied` reads the file instead of mapping it, for files that may be shortened or overwritten. The checks of the
    content hash and of the golden windows can be declined.

    Sessions and streams keep what they need of it after `close`, and what the model says about itself can still be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        level: str | None = None,
        copied: bool = False,
        check_hash: bool = True,
        check_golden: bool = True,
    ) -> None:
        if "\0" in os.fsdecode(path):
            raise OptionError("path: expected no zero byte, found one")
        file = Path(os.path.realpath(path))
        file = file / FILE_NAME if file.is_dir() else file
        options = _options(level, copied, check_hash, check_golden)
        lib = library()
        try:
            name = os.fsencode(file) if os.name != "nt" else str(file).encode()
        except UnicodeEncodeError as e:
            raise OptionError(f"path: {e}") from None
        self._open(lambda out: lib.model_open(name, ctypes.byref(options), out), file)
        self._wishes = {"level": level, "copied": copied, "check_hash": check_hash, "check_golden": check_golden}

    @classmethod
    def from_bytes(
        cls,
        data: bytes | bytearray | memoryview,
        *,
        level: str | None = None,
        check_hash: bool = True,
        check_golden: bool = True,
    ) -> Self:
        """Opens a model file that lies in memory; it is copied."""
        try:
            raw = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        except TypeError as e:
            raise OptionError(f"data: expected contiguous bytes: {e}") from None
        content = bytes(raw)
        options = _options(level, False, check_hash, check_golden)
        lib, self = library(), cls.__new__(cls)
        self._open(lambda out: lib.model_open_memory(content, len(content), ctypes.byref(options), out), None)
        self._wishes = {}
        return self

    def _open(self, call: Callable[[Any], int], file: Path | None) -> None:
        lib, pointer = library(), ctypes.c_void_p()
        check(call(ctypes.byref(pointer)))
        handle = Handle(pointer, lib.model_free)
        super().__init__(handle)
        self._path = file
        self._lookback = int(lib.model_lookback(handle))
        self._n_rows = int(lib.model_n_rows(handle))
        self._n_outputs = int(lib.model_n_outputs(handle))
        self._hash = _hash(handle)
        self._level = str(lib.model_level(handle).decode())
        self._schema = Schema.from_json(_schema_json(handle), self._n_outputs)

    @property
    def path(self) -> Path | None:
        """The file, links followed; None for a model opened from memory."""
        return self._path

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._schema.name

    @property
    def schema(self) -> Schema:
        """Everything the model says about itself."""
        return self._schema

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Columns of a window in order."""
        return self._schema.inputs

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Groups of columns of an answer."""
        return self._schema.outputs

    @property
    def hash(self) -> str:
        """Content hash, 64 hexadecimal digits: equal hashes, equal models."""
        return self._hash

    @property
    def level(self) -> str:
        """CPU level in use."""
        return self._level

    @property
    def lookback(self) -> int:
        """Rows of a window that lie in the past."""
        return self._lookback

    @property
    def n_rows(self) -> int:
        """Rows of a whole window, those of the future included."""
        return self._n_rows

    @property
    def n_features(self) -> int:
        """Values of a row."""
        return len(self._schema.inputs)

    @property
    def n_outputs(self) -> int:
        """Values of an answer."""
        return self._n_outputs

    @property
    def context_shape(self) -> ContextShape:
        """What contexts of this model look like; `RunError` for a model that attends to none."""
        return shape_of(self)

    def encode_contexts(self, rows: NDArray[Any], entities: NDArray[Any]) -> Contexts:
        """Contexts for `Session.set_contexts`, fresher than the file's; see `Contexts`."""
        return Contexts(self, rows, entities)

    def stream(self) -> Stream:
        """A window that slides over one series: one per symbol."""
        return Stream(self)

    def streams(self, symbols: int | Sequence[str], category: str | None = None) -> StreamSet:
        """Streams of many symbols, a number of them or their names; see `StreamSet`."""
        return StreamSet(self, symbols, category)

    def session(self, max_batch: int = 1024) -> Session:
        """Working memory for whole windows: one per thread. Larger batches are answered in pieces of `max_batch`."""
        return Session(self, max_batch)

    def prefault(self) -> int:
        """Touches every page of the weights, and returns their bytes: after a long rest, when the system may have given pages away."""
        return int(library().model_prefault(self.handle()))

    def lock_in_memory(self) -> None:
        """Keeps the weights in memory while the model or a session of it lives.

        Raises `SystemRefusedError` where the system does not, such as by its limit of locked memory; the model serves as before.
        """
        check(library().model_lock(self.handle()))

    def advise_huge_pages(self) -> None:
        """Asks the system to lay the weights of a model opened with `copied` on large pages.

        Raises `SystemRefusedError` where it does not.
        """
        check(library().model_advise_huge_pages(self.handle()))

    def _title(self) -> str:
        return f"model `{self.name}`"

    def __reduce__(self) -> tuple[Callable[..., "Model"], tuple[str, str, dict[str, Any]]]:
        self.handle()
        if self._path is None:
            raise TypeError(f"model `{self.name}`: opened from memory, so there is no path to pickle; pickle its bytes")
        return _reopen, (str(self._path), self._hash, self._wishes)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        where = f"{self._path}" if self._path else "from memory"
        state = ", closed" if self.closed else ""
        return f"<tickfuse.Model {self.name!r} {self.schema.family} {self._hash[:8]} on {self._level}, {where}{state}>"

    def _repr_html_(self) -> str:
        return _card.of_model(self)


def _reopen(path: str, hash_: str, wishes: dict[str, Any]) -> Model:
    """What unpickling does: the same path must hold the same model."""
    model = Model(path, **wishes)
    if model.hash != hash_:
        raise BundleError(f"{path}: expected the model with hash {hash_}, found {model.hash}")
    return model


def _options(level: str | None, copied: bool, check_hash: bool, check_golden: bool) -> OpenOptions:
    if level is not None and level not in _library.LEVELS:
        raise OptionError(f"level: expected one of {', '.join(_library.LEVELS)} or None, found {level!r}")
    flags = _library.OPEN_COPIED * copied
    flags |= _library.OPEN_DECLINE_HASH * (not check_hash) | _library.OPEN_DECLINE_GOLDEN * (not check_golden)
    return OpenOptions(ctypes.sizeof(OpenOptions), level.encode() if level else None, flags, 0)


def _hash(handle: Handle) -> str:
    text = ctypes.create_string_buffer(_library.HASH_SIZE)
    check(library().model_hash(handle, text, len(text)))
    return text.value.decode()


def _schema_json(handle: Handle) -> str:
    needed = ctypes.c_size_t()
    check(library().model_schema_json(handle, None, 0, ctypes.byref(needed)))
    text = ctypes.create_string_buffer(needed.value)
    check(library().model_schema_json(handle, text, len(text), ctypes.byref(needed)))
    return text.value.decode()
