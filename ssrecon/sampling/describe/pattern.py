"""What a pattern of lines or points is called, with the numbers that say which lattice it is."""

from typing import NamedTuple

from torch import Tensor


class Pattern(NamedTuple):
    """A pattern has a name, one of `FAMILIES`; a lattice also has steps and offsets, as `SamplingDescription` explains them."""

    name: str
    step: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()


def most_frequent(values: Tensor) -> int:
    """Return the value that occurs most often, of several the smallest."""
    return int(values.mode().values)
