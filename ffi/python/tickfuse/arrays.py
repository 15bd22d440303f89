"""numpy arrays at the border: used where they lie or refused with what was expected and what was found; never copied."""

import ctypes
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tickfuse.errors import ArrayError, ShapeError

Shape = tuple[int | str, ...]
"""Sizes; a word stands for any number of that."""

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def readable(name: str, array: Any, shape: Shape) -> NDArray[Any]:
    """`array`, if the library can read it in place: float32 or float64, C-contiguous, of that shape."""
    return _checked(name, array, shape, (F32, F64))


def readable_windows(name: str, array: Any, shape: Shape) -> NDArray[Any]:
    """As `readable`, but only each window `array[i]` need be contiguous: windows may overlap or lie apart."""
    return _checked(name, array, shape, (F32, F64), outer=1)


def writable(name: str, array: Any, shape: Shape) -> NDArray[np.float32]:
    """`array`, if the library can write answers to it in place."""
    checked = _checked(name, array, shape, (F32,))
    if not checked.flags.writeable:
        raise ArrayError(f"{name}: expected an array that can be written to, found a read-only one")
    return checked


def codes(name: str, array: Any, n: int) -> NDArray[np.uint32]:
    """`n` whole numbers from 0 that the library can read; unlike windows they are copied where their type differs."""
    values = np.asarray(array)
    if values.shape != (n,) or values.dtype.kind not in "iu" or (values < 0).any() or (values >= 1 << 32).any():
        found = f"{values.dtype} of shape {_text(values.shape)}"
        raise ArrayError(f"{name}: expected {n} whole numbers from 0, found {found}")
    return np.ascontiguousarray(values, np.uint32)


def address(array: NDArray[Any]) -> int:
    """Where the values lie; far quicker than `array.ctypes.data` for arrays that can be written to."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(cast(Any, array)))
    except (TypeError, ValueError, BufferError):
        return array.ctypes.data


def _checked(name: str, array: Any, shape: Shape, dtypes: tuple[Any, ...], outer: int = 0) -> NDArray[Any]:
    if isinstance(array, np.ndarray) and array.dtype in dtypes and (array.shape == shape or fits(array.shape, shape)):
        flags = array.flags
        if flags.aligned and (flags.c_contiguous or (outer and _is_contiguous_behind(array, outer))):
            return array
    raise _refusal(name, array, shape, dtypes)


def _refusal(name: str, array: Any, shape: Shape, dtypes: tuple[Any, ...]) -> ArrayError | ShapeError:
    """What is wrong with an array that was not taken."""
    wanted = f"{' or '.join(d.name for d in dtypes)} array of shape {_text(shape)}"
    if not isinstance(array, np.ndarray):
        return ArrayError(f"{name}: expected a {wanted}, found {type(array).__module__}.{type(array).__qualname__}")
    if array.dtype not in dtypes:
        fix = "; its byte order is foreign" if not array.dtype.isnative else ""
        return ArrayError(f"{name}: expected a {wanted}, found {array.dtype} of shape {_text(array.shape)}{fix}")
    if not fits(array.shape, shape):
        return ShapeError(f"{name}: expected a {wanted}, found shape {_text(array.shape)}")
    if not array.flags.aligned:
        return ArrayError(f"{name}: expected an aligned {wanted}, found address {array.ctypes.data:#x}")
    return ArrayError(
        f"{name}: expected a C-contiguous {wanted}, found strides {_text(array.strides)} in bytes; "
        f"np.ascontiguousarray copies it into that form"
    )


def fits(found: tuple[int, ...], shape: Shape) -> bool:
    """Whether sizes are as wanted."""
    return len(found) == len(shape) and all(isinstance(w, str) or f == w for f, w in zip(found, shape, strict=True))


def _is_contiguous_behind(array: NDArray[Any], outer: int) -> bool:
    return array.size == 0 or bool(array[(0,) * outer].flags.c_contiguous)


def _text(shape: Shape) -> str:
    return f"[{', '.join(str(n) for n in shape)}]"
