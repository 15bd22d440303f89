"""What the answers of an X-Trend attend to: other markets' recent windows, encoded beside the thread that answers."""

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from numpy.typing import NDArray

from tickfuse import arrays
from tickfuse._library import Handle, check, library
from tickfuse._owner import Owner

if TYPE_CHECKING:
    from tickfuse.model import Model


class ContextShape(NamedTuple):
    """At most `n_contexts`, each of `n_rows` rows of `n_columns` values."""

    n_contexts: int
    n_rows: int
    n_columns: int


class Contexts(Owner):
    """Encoded contexts: immutable, shareable, of use to sessions of the model that encoded them.

    `rows` is `[n, n_rows, n_columns]` of raw values, the oldest row first, float32 or float64: the real inputs in the model's
    order and, in the form of the X-Trend paper, the scaled return of the next step behind them. `entities` is the
    code of each context's entity.
    """

    def __init__(self, model: "Model", rows: NDArray[Any], entities: NDArray[Any]) -> None:
        shape, lib, pointer = shape_of(model), library(), ctypes.c_void_p()
        rows = arrays.readable("rows", rows, ("n", shape.n_rows, shape.n_columns))
        codes = arrays.codes("entities", entities, len(rows))
        encode = lib.contexts_encode if rows.dtype == arrays.F32 else lib.contexts_encode_f64
        address = arrays.address(rows), arrays.address(codes)
        check(encode(model.handle(), address[0], rows.size, address[1], len(rows), ctypes.byref(pointer)))
        super().__init__(Handle(pointer, lib.contexts_free))
        self._name = model.name

    def _title(self) -> str:
        return f"contexts of `{self._name}`"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self._title()}: cannot be pickled; encode them where they are needed")


def shape_of(model: "Model") -> ContextShape:
    """What contexts of a model look like."""
    sizes = [ctypes.c_size_t() for _ in range(3)]
    check(library().model_context_shape(model.handle(), *map(ctypes.byref, sizes)))
    return ContextShape(*(s.value for s in sizes))
