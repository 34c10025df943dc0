"""Whether k-space was acquired line by line along its last axis, and which encoding a mask tells of."""

import numpy as np
from jaxtyping import Bool

from ssrecon.core.encoding import Encoding, GridPoints, WholeLines
from ssrecon.core.shapes import checked


@checked
def any_along(mask: Bool[np.ndarray, "*any"], axis: int | tuple[int, ...]) -> Bool[np.ndarray, "*rest"]:
    """True where anything along `axis` is: of samples, the lines that hold one."""
    return np.asarray(mask.any(axis=axis))


@checked
def line_by_line(omega: Bool[np.ndarray, "*any"]) -> bool:
    """Whether whole lines along the last axis were acquired, all of one extent without a gap (an asymmetric echo is shorter than the
    matrix)."""
    lines, extent = any_along(omega, -1), any_along(omega, tuple(range(omega.ndim - 1)))
    places = np.flatnonzero(extent)
    unbroken = len(places) == 0 or int(places[-1] - places[0]) + 1 == len(places)
    return unbroken and bool((omega == (lines[..., None] & extent)).all())


@checked
def encoding_of(omega: Bool[np.ndarray, "*any"]) -> Encoding:
    """The encoding of a Cartesian scan whose mask is `omega`, as a reader finds it in the samples: `WholeLines` where they are whole
    readouts along the last axis, and else `GridPoints`. A `HybridSlice` cannot be told from a mask: the reader knows it."""
    return WholeLines() if line_by_line(omega) else GridPoints()
