"""Distances from the centre of k-space, for whoever draws, protects, classifies or scores by them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def radius(
    shape: Sequence[int],
    reach: Sequence[float] | None = None,
    centre: Sequence[float] | None = None,
    mean: bool = False,
) -> Float[np.ndarray, "*k"]:
    r"""Return the distance of each location of a grid from DC, or from `centre`.

    .. math:: \sqrt{\textstyle\sum_a \big((k_a - c_a) / r_a\big)^2}

    c is ``N // 2`` where no `centre` is given. r, the `reach`, is the distance along an axis that counts as 1; where none is given it is
    ``N // 2``, so that the distance is 1 at the low end of every axis. With `mean` the sum is divided by the number of axes.
    """
    squares = sum(axis**2 for axis in _offsets(shape, reach, centre))
    return np.sqrt(squares / (len(shape) if mean else 1)) * np.ones(tuple(shape))


def largest_offset(shape: Sequence[int]) -> Float[np.ndarray, "*k"]:
    """Return, for each location of a grid, the largest of its distances from DC along the axes. Each is 1 at the low end of its axis."""
    largest = np.zeros(tuple(shape))
    for axis in _offsets(shape):
        largest = np.maximum(largest, np.abs(axis))
    return largest


def _offsets(
    shape: Sequence[int], reach: Sequence[float] | None = None, centre: Sequence[float] | None = None
) -> list[Float[np.ndarray, "*k"]]:
    """Return the signed distances along each axis, to be broadcast against each other."""
    centre = [n // 2 for n in shape] if centre is None else centre
    reach = [max(1, n // 2) for n in shape] if reach is None else reach
    axes = [(np.arange(n) - c) / r for n, c, r in zip(shape, centre, reach, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))
