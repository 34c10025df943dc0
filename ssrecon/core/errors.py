"""The errors that a user meets. Each names the file or the thing, what was found and what was expected."""


class SsreconError(Exception):
    """Every error that this package raises on purpose is one of these. The command line prints its text without a traceback."""

    exit_code = 1


class BadInput(SsreconError):
    """A file, scan or argument cannot be used as it is.

    ``BadInput("file.h5", found="no dataset 'kspace'", expected="a fastMRI file with (slice, coil, readout, phase) k-space")``
    """

    exit_code = 2

    def __init__(self, where: object, found: str, expected: str):
        self.where, self.found, self.expected = str(where), found, expected
        super().__init__(f"{where}: found {found}; expected {expected}")

    def __reduce__(self):
        return type(self), (self.where, self.found, self.expected)


class BadShape(BadInput, ValueError):
    """An array is not as an annotation states it: it has other axes, another size, or real values where complex ones belong."""


class BadRecipe(BadInput):
    """A recipe, override or checkpoint description has an unknown field, a wrong type or a value out of range."""

    exit_code = 3


def at_least(owner: object, **least: float) -> None:
    """Raise BadRecipe, naming class and field, for a field of a description that is below its least value or not finite.

    None passes, and so does what is no number: another check names its type.
    """
    for name, bound in least.items():
        value = getattr(owner, name)
        if isinstance(value, (int, float)) and not bound <= value < float("inf"):
            raise BadRecipe(f"{type(owner).__name__}.{name}", found=repr(value), expected=f"{bound:g} or more")


def positive(owner: object, name: str) -> None:
    """Raise BadRecipe, naming class and field, for a field of a description that is not a positive, finite number."""
    value = getattr(owner, name)
    if not 0 < value < float("inf"):
        raise BadRecipe(f"{type(owner).__name__}.{name}", found=repr(value), expected="a positive number")


def below_one(owner: object, name: str) -> None:
    """Raise BadRecipe, naming class and field, for a field of a description that is 1 or more: a fraction that leaves nothing."""
    value = getattr(owner, name)
    if isinstance(value, (int, float)) and value >= 1:
        raise BadRecipe(f"{type(owner).__name__}.{name}", found=repr(value), expected="a fraction below 1")


class NoCalibration(BadInput):
    """A scan has no calibration region large enough for its coil sensitivities."""

    exit_code = 4


class OutputInUse(BadInput):
    """An output folder holds something that this run must not overwrite."""

    exit_code = 5


class TrainingDiverged(SsreconError):
    """A loss or gradient is not finite. The error names step, scan and term; the last good checkpoint is kept."""

    exit_code = 6
