"""Which lines hold samples, whether k-space was acquired line by line, and which encoding a mask tells of."""

import numpy as np
from jaxtyping import Bool

from ssrecon.core.encoding import Encoding, GridPoints, WholeLines
from ssrecon.core.shapes import checked


@checked
def any_along(mask: Bool[np.ndarray, "*any"], axis: int | tuple[int, ...]) -> Bool[np.ndarray, "*rest"]:
    """Return where anything along `axis` is true: of a mask of samples, the lines that hold one."""
    return np.asarray(mask.any(axis=axis))


@checked
def line_by_line(omega: Bool[np.ndarray, "*any"]) -> bool:
    """Tell whether whole lines along the last axis were acquired, all of one extent without a gap.

    An asymmetric echo is shorter than the matrix, and whole.
    """
    lines, extent = any_along(omega, -1), any_along(omega, tuple(range(omega.ndim - 1)))
    places = np.flatnonzero(extent)
    unbroken = len(places) == 0 or int(places[-1] - places[0]) + 1 == len(places)
    return unbroken and bool((omega == (lines[..., None] & extent)).all())


@checked
def encoding_of(omega: Bool[np.ndarray, "*any"]) -> Encoding:
    """Return the encoding of a Cartesian scan whose mask is `omega`.

    It is `WholeLines` where the samples are whole readouts along the last axis, and else `GridPoints`. A mask cannot tell of a
    `HybridSlice`: the reader knows it.
    """
    return WholeLines() if line_by_line(omega) else GridPoints()
