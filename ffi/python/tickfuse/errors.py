"""What can go wrong, by kind; the text is the library's own wherever the library refused.

Every exception of the package is a `TickfuseError`. `status` is the number of `tickfuse.h` where the library refused,
None where the package did so before calling it.
"""


class TickfuseError(Exception):
    """Base of all errors of this package."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status

    def __reduce__(self) -> tuple[type["TickfuseError"], tuple[str, int | None]]:
        return type(self), (str(self), self.status)


class LibraryError(TickfuseError, ImportError):
    """The shared library is missing or of another version."""


class ProgramError(TickfuseError, RuntimeError):
    """The program `tickfuse` is missing, or refused what it was asked; `exit_code` is its exit code."""

    def __init__(self, text: str, status: int | None = None, exit_code: int | None = None) -> None:
        super().__init__(text, status)
        self.exit_code = exit_code


class OptionError(TickfuseError, ValueError):
    """A parameter that is no array: an option, a level, a path, a size."""


class BusyError(TickfuseError, RuntimeError):
    """A session or stream is running another call: use one per thread."""


class ClosedError(TickfuseError, ValueError):
    """Used after it was closed."""


class BundleError(TickfuseError, ValueError):
    """A model file was refused, or is not the one that was expected."""


class BundleReadError(BundleError, OSError):
    """A model file could not be read."""

    # OSError would otherwise format itself from errno.
    __str__ = Exception.__str__


class ArrayError(TickfuseError, TypeError):
    """An array of another type or memory layout than the library reads without a copy."""


class ShapeError(TickfuseError, ValueError):
    """Data of another shape than the model takes or gives."""


class SchemaError(TickfuseError, ValueError):
    """Columns of a frame do not serve the model's inputs."""


class RunError(TickfuseError, ValueError):
    """Data was not answered."""


class NonFiniteError(RunError):
    """An input is NaN or infinite and the model refuses that."""


class CategoryError(RunError):
    """An input is no code of its categories."""


class BarError(RunError):
    """A bar's field is out of range, or its time is not later than the one before."""


class StateError(RunError):
    """What should be a stream's saved state is none, was changed, or is of another model."""


class SystemRefusedError(TickfuseError, OSError):
    """The operating system refused; everything serves as before."""

    # OSError would otherwise format itself from errno.
    __str__ = Exception.__str__


class DefectError(TickfuseError, RuntimeError):
    """The library or this package has a defect; the handle it struck is of no more use."""


BY_STATUS: dict[int, type[TickfuseError]] = {
    100: DefectError,
    101: ArrayError,
    102: OptionError,
    103: DefectError,
    104: OptionError,
    105: OptionError,
    106: BusyError,
    107: DefectError,
    108: DefectError,
    109: SystemRefusedError,
    200: BundleReadError,
    300: ShapeError,
    301: ShapeError,
    302: NonFiniteError,
    303: ShapeError,
    304: CategoryError,
    305: ShapeError,
    306: ShapeError,
    311: BarError,
    312: BarError,
    313: StateError,
    314: StateError,
}
BY_HUNDRED: dict[int, type[TickfuseError]] = {
    1: OptionError,
    2: BundleError,
    3: RunError,
    9: DefectError,
}


def kind_of(status: int) -> type[TickfuseError]:
    """The exception for a status that is not 0; a number that is not known goes by its hundred."""
    return BY_STATUS.get(status) or BY_HUNDRED.get(status // 100, TickfuseError)
