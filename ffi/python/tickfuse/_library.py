"""The shared library: found, loaded once, checked, and every function of `tickfuse.h` declared.

No other module knows how the library is called. ctypes lets go of the interpreter's lock during each call.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from ctypes import POINTER, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from numpy.typing import NDArray

from tickfuse.errors import LibraryError, TickfuseError, kind_of

ABI_VERSION = 0x00010003
HASH_SIZE = 65
OPEN_COPIED, OPEN_DECLINE_HASH, OPEN_DECLINE_GOLDEN = 1, 2, 4
MAX_DIMS, NAME_SIZE = 4, 64
STEP_ANSWER = 1
BAR_COLUMNS = ("open", "high", "low", "close", "volume")
LEVELS = ("portable", "avx2", "avx512", "avx512bf16")

ENVIRONMENT = "TICKFUSE_LIBRARY"
FILE_NAME = {"win32": "tickfuse.dll", "darwin": "libtickfuse.dylib"}.get(sys.platform, "libtickfuse.so")


class OpenOptions(ctypes.Structure):
    """`tickfuse_open_options`."""

    _fields_ = [("size", c_size_t), ("level", c_char_p), ("flags", c_uint32), ("reserved", c_uint32)]


class Bar(ctypes.Structure):
    """`tickfuse_bar`."""

    _fields_ = [("size", c_size_t), ("ts_ns", c_int64), *((name, c_double) for name in BAR_COLUMNS)]


class Step(ctypes.Structure):
    """`tickfuse_step`."""

    _fields_ = [("size", c_size_t), ("kind", c_uint32), ("flags", c_uint32), ("remaining", c_size_t), ("ts_ns", c_int64)]


class Interpretation(ctypes.Structure):
    """`tickfuse_interpretation`."""

    _fields_ = [
        ("size", c_size_t),
        ("n_dims", c_size_t),
        ("shape", c_size_t * MAX_DIMS),
        ("n_values", c_size_t),
        ("name", c_char * NAME_SIZE),
    ]


_OPENED = [POINTER(OpenOptions), POINTER(c_void_p)]
_RUN = [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p]
_RUN_BATCH = [c_void_p, c_void_p, c_size_t, c_size_t, c_void_p, c_size_t, c_void_p]
_RUN_LENGTHS = [c_void_p, c_void_p, c_size_t, c_size_t, c_size_t, c_void_p, c_size_t, c_void_p]
_RUN_STRIDED = [c_void_p, c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_void_p, c_size_t, c_void_p]
_SLIDE = [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t]
_ENCODE = [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, POINTER(c_void_p)]
_PUSH = [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, POINTER(Step)]
_PUSH_OF = [c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t, POINTER(Step)]
_PUSH_BAR_OF = [c_void_p, c_size_t, POINTER(Bar), c_void_p, c_size_t, POINTER(Step)]
_PUSH_BAR = [c_void_p, POINTER(Bar), c_void_p, c_size_t, POINTER(Step)]

# Name without `tickfuse_`: what it returns, what it takes. Arrays are addresses.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "abi_version": (c_uint32, []),
    "status_text": (c_char_p, [c_int32]),
    "last_error": (c_size_t, [c_void_p, c_size_t]),
    "model_open": (c_int32, [c_char_p, *_OPENED]),
    "model_open_memory": (c_int32, [c_void_p, c_size_t, *_OPENED]),
    "model_free": (None, [c_void_p]),
    "model_lookback": (c_size_t, [c_void_p]),
    "model_n_rows": (c_size_t, [c_void_p]),
    "model_n_features": (c_size_t, [c_void_p]),
    "model_n_outputs": (c_size_t, [c_void_p]),
    "model_context_shape": (c_int32, [c_void_p, POINTER(c_size_t), POINTER(c_size_t), POINTER(c_size_t)]),
    "model_level": (c_char_p, [c_void_p]),
    "model_hash": (c_int32, [c_void_p, c_void_p, c_size_t]),
    "model_schema_json": (c_int32, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)]),
    "model_inputs_json": (c_int32, [c_void_p, c_void_p, c_size_t, POINTER(c_size_t)]),
    "model_n_bars": (c_size_t, [c_void_p]),
    "model_prefault": (c_size_t, [c_void_p]),
    "model_lock": (c_int32, [c_void_p]),
    "model_advise_huge_pages": (c_int32, [c_void_p]),
    "session_new": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p)]),
    "session_run": (c_int32, _RUN),
    "session_run_f64": (c_int32, _RUN),
    "session_run_batch": (c_int32, _RUN_BATCH),
    "session_run_batch_f64": (c_int32, _RUN_BATCH),
    "session_run_strided": (c_int32, _RUN_STRIDED),
    "session_run_strided_f64": (c_int32, _RUN_STRIDED),
    "session_run_lengths": (c_int32, _RUN_LENGTHS),
    "session_run_lengths_f64": (c_int32, _RUN_LENGTHS),
    "session_free": (None, [c_void_p]),
    "session_n_interpretations": (c_size_t, [c_void_p]),
    "session_interpretation": (c_int32, [c_void_p, c_size_t, POINTER(Interpretation), c_void_p, c_size_t]),
    "contexts_encode": (c_int32, _ENCODE),
    "contexts_encode_f64": (c_int32, _ENCODE),
    "contexts_free": (None, [c_void_p]),
    "session_set_contexts": (c_int32, [c_void_p, c_void_p]),
    "stream_new": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "stream_push": (c_int32, _PUSH),
    "stream_push_f64": (c_int32, _PUSH),
    "stream_peek": (c_int32, _PUSH),
    "stream_peek_f64": (c_int32, _PUSH),
    "stream_push_bar": (c_int32, _PUSH_BAR),
    "stream_peek_bar": (c_int32, _PUSH_BAR),
    "stream_prepare": (c_int32, [c_void_p]),
    "stream_prepare_some": (c_int32, [c_void_p, c_size_t, POINTER(c_uint32)]),
    "stream_reset": (c_int32, [c_void_p]),
    "stream_set_category": (c_int32, [c_void_p, c_char_p, c_char_p, POINTER(c_uint32)]),
    "stream_set_contexts": (c_int32, [c_void_p, c_void_p]),
    "stream_remaining": (c_size_t, [c_void_p]),
    "stream_set_max_missing_bars": (c_int32, [c_void_p, c_uint32]),
    "stream_max_missing_bars": (c_uint32, [c_void_p]),
    "stream_replay": (c_int32, [c_void_p, c_void_p, c_size_t]),
    "stream_replay_f64": (c_int32, [c_void_p, c_void_p, c_size_t]),
    "stream_replay_bar": (c_int32, [c_void_p, POINTER(Bar)]),
    "stream_saved_len": (c_size_t, [c_void_p]),
    "stream_save": (c_int32, [c_void_p, c_void_p, c_size_t]),
    "stream_restore": (c_int32, [c_void_p, c_void_p, c_size_t]),
    "stream_clone": (c_int32, [c_void_p, POINTER(c_void_p)]),
    "stream_clone_from": (c_int32, [c_void_p, c_void_p]),
    "stream_free": (None, [c_void_p]),
    "streams_new": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p)]),
    "streams_push": (c_int32, _PUSH_OF),
    "streams_push_f64": (c_int32, _PUSH_OF),
    "streams_peek": (c_int32, _PUSH_OF),
    "streams_peek_f64": (c_int32, _PUSH_OF),
    "streams_push_bar": (c_int32, _PUSH_BAR_OF),
    "streams_peek_bar": (c_int32, _PUSH_BAR_OF),
    "streams_push_all": (c_int32, _SLIDE),
    "streams_push_all_f64": (c_int32, _SLIDE),
    "streams_peek_all": (c_int32, _SLIDE),
    "streams_peek_all_f64": (c_int32, _SLIDE),
    "streams_prepare": (c_int32, [c_void_p]),
    "streams_prepare_some": (c_int32, [c_void_p, c_size_t, POINTER(c_uint32)]),
    "streams_reset": (c_int32, [c_void_p, c_size_t]),
    "streams_reset_all": (c_int32, [c_void_p]),
    "streams_remaining": (c_size_t, [c_void_p, c_size_t]),
    "streams_set_max_missing_bars": (c_int32, [c_void_p, c_uint32]),
    "streams_set_category": (c_int32, [c_void_p, c_size_t, c_char_p, c_char_p, POINTER(c_uint32)]),
    "streams_set_contexts": (c_int32, [c_void_p, c_void_p]),
    "streams_saved_len": (c_size_t, [c_void_p, c_size_t]),
    "streams_save": (c_int32, [c_void_p, c_size_t, c_void_p, c_size_t]),
    "streams_restore": (c_int32, [c_void_p, c_size_t, c_void_p, c_size_t]),
    "streams_free": (None, [c_void_p]),
    "sliding_new": (c_int32, [c_void_p, c_size_t, POINTER(c_void_p)]),
    "sliding_run": (c_int32, _SLIDE),
    "sliding_run_f64": (c_int32, _SLIDE),
    "sliding_set_contexts": (c_int32, [c_void_p, c_void_p]),
    "sliding_free": (None, [c_void_p]),
}


def path() -> Path:
    """The library that is, or would be, loaded: `TICKFUSE_LIBRARY`, or the one beside this file."""
    return Path(os.environ.get(ENVIRONMENT) or Path(__file__).with_name(FILE_NAME))


@functools.cache
def library() -> Any:
    """The loaded library; its functions go by their names in the header without `tickfuse_`."""
    file = path()
    try:
        loaded = ctypes.CDLL(str(file))
    except OSError as e:
        raise LibraryError(
            f"{file}: the shared library was not loaded ({e}); a wheel brings it along, and in a source tree "
            f"{ENVIRONMENT} names the one that `cargo build -p tickfuse-ffi` makes"
        ) from None
    _check_version(file, loaded)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(loaded, f"tickfuse_{name}")
        function.restype, function.argtypes = result, arguments
        setattr(loaded, name, function)
    return loaded


def prepared(name: str, handle: "Handle", values: NDArray[Any], out: NDArray[Any], about: Any) -> Callable[[], int]:
    """A call of a function on two arrays with every argument converted beforehand; the caller keeps all four alive."""
    function = library()[f"tickfuse_{name}"]
    function.restype = FUNCTIONS[name][0]
    pointer, size = c_void_p.from_param, c_size_t.from_param
    data = pointer(values.ctypes.data), size(values.size), pointer(out.ctypes.data), size(out.size)
    return partial(function, pointer(handle.pointer.value), *data, ctypes.byref(about))


def _check_version(file: Path, loaded: ctypes.CDLL) -> None:
    try:
        version = loaded.tickfuse_abi_version
    except AttributeError:
        raise LibraryError(f"{file}: expected the Tickfuse library, found none of its functions") from None
    version.restype, version.argtypes = FUNCTIONS["abi_version"]
    found, wanted = version(), ABI_VERSION
    if found >> 16 != wanted >> 16 or found & 0xFFFF < wanted & 0xFFFF:
        raise LibraryError(
            f"{file}: expected interface {wanted >> 16}.{wanted & 0xFFFF} or a later minor version, "
            f"found {found >> 16}.{found & 0xFFFF}"
        )


def failure(status: int) -> TickfuseError:
    """The last failure of this thread, which had `status`."""
    text = ctypes.create_string_buffer(2048)
    library().last_error(text, len(text))
    return kind_of(status)(text.value.decode(errors="replace"), status)


def check(status: int) -> None:
    """Raises unless `status` is success; to be called directly behind the call that gave it."""
    if status:
        raise failure(status)


class Handle:
    """What the library made, freed when nobody holds it any more.

    A call in progress holds it too, so that closing from another thread frees nothing in use. ctypes takes it as a
    pointer.
    """

    __slots__ = ("_as_parameter_", "_free")

    def __init__(self, pointer: c_void_p, free: Any) -> None:
        self._as_parameter_ = pointer
        self._free = free

    @property
    def pointer(self) -> c_void_p:
        """The pointer itself; good while the handle is held."""
        return self._as_parameter_

    def __del__(self) -> None:
        self._free(self._as_parameter_)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a handle of the library cannot be pickled")
