"""What models, sessions, streams and contexts share: a handle of the library with an end, and refusals that name columns."""

import re
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn, Self

from tickfuse._library import Handle, failure
from tickfuse.errors import ClosedError
from tickfuse.schema import Input

# How the library's text names a value.
PLACE = re.compile(r"window (\d+), row (\d+), column (\d+)")


class Owner:
    """Holds a handle until it is closed."""

    _handle: Handle | None

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def _title(self) -> str:
        """What messages call it."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle is None

    def close(self) -> None:
        """Lets go of the library's memory; a call under way in another thread still ends well. A second call does nothing."""
        self._handle = None

    def handle(self) -> Handle:
        """What the library knows it by; an error once it is closed."""
        handle = self._handle
        if handle is None:
            raise ClosedError(f"{self._title()}: used after it was closed")
        return handle

    def __enter__(self) -> Self:
        self.handle()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Worker(Owner):
    """An owner that runs inputs of a model, in one thread at a time."""

    def __init__(self, handle: Handle, inputs: Sequence[Input]) -> None:
        super().__init__(handle)
        self._inputs = inputs

    def refuse(self, status: int, first: int = 0) -> NoReturn:
        """Raises the last failure; the place in its text counts windows from `first` on and gets the column's name."""
        error = failure(status)

        def named(found: re.Match[str]) -> str:
            window, row, column = (int(n) for n in found.groups())
            return f"window {first + window}, row {row}, column {column} (`{self._inputs[column].name}`)"

        raise type(error)(PLACE.sub(named, str(error)), status)

    def __reduce__(self) -> Any:
        raise TypeError(f"{self._title()}: cannot be pickled; pickle its model and make one where it is needed")
