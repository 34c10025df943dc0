"""MATLAB writes MATLAB 5 files unless it is told ``-v7.3`` (those are HDF5). SciPy reads them here, variable by variable."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssrecon.core.errors import BadInput

NUMBERS = re.compile(r"double|single|logical|u?int(8|16|32|64)")
"""Classes of variables that are arrays of numbers."""

HEADER = 128
WHOLE = "a whole MATLAB file"


class Variable(NamedTuple):
    """A variable of a file, as what is written before its values describes it."""

    shape: tuple[int, ...]
    """As HDF5 has it: MATLAB's first axis is the last."""
    kind: str
    """MATLAB's class."""

    @property
    def is_number(self) -> bool:
        return NUMBERS.fullmatch(self.kind) is not None


def is_matlab5(path: Path) -> bool:
    """Tell whether a file is a MATLAB 5 file, by its header. Nothing is raised."""
    header = matlab5_header(path)
    return header.startswith(b"MATLAB 5.0 MAT-file") and header[124:] in (b"\x00\x01IM", b"\x01\x00MI")


def matlab5_header(path: Path) -> bytes:
    """Return the first bytes of a file, none where there is no file.

    Of a MATLAB 5 file they are a text of 124, and 4 that say how numbers are written.
    """
    try:
        with path.open("rb") as file:
            return file.read(HEADER)
    except OSError:
        return b""


def matlab5_variables(path: Path) -> Mapping[str, Variable]:
    """Return what a MATLAB 5 file holds, without reading the values. Raises `BadInput` where it is damaged."""
    from scipy.io import whosmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that occurs twice
            return {name: Variable(tuple(reversed(shape)), kind) for name, shape, kind in whosmat(path)}
    except Exception as error:  # what SciPy raises on damaged files has no common kind
        raise _damaged(path, error) from None


def matlab5_array(path: Path, name: str) -> np.ndarray:
    """Return all values of one variable, its axes as HDF5 has them. Raises `BadInput` where they cannot be read, or are no numbers."""
    from scipy.io import loadmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = np.asarray(loadmat(path, variable_names=[name])[name])
    except Exception as error:
        raise _damaged(path, error) from None
    if values.dtype.kind not in "buifc":
        raise BadInput(path, found=f"{name} of {values.dtype}", expected="numbers")
    return values.T


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(path, found=f"a truncated or damaged MATLAB 5 file ({type(error).__name__}: {error})", expected=WHOLE)
