"""Whether k-space was acquired line by line along its last axis."""

import numpy as np
from jaxtyping import Bool

from ssrecon.core.shapes import checked


@checked
def any_along(mask: Bool[np.ndarray, "*any"], axis: int | tuple[int, ...]) -> Bool[np.ndarray, "*rest"]:
    """True where anything along `axis` is: of samples, the lines that hold one."""
    return np.asarray(mask.any(axis=axis))


@checked
def line_by_line(omega: Bool[np.ndarray, "*any"]) -> bool:
    """Whether whole lines along the last axis were acquired, all of one extent (an asymmetric echo is shorter than the matrix)."""
    lines, extent = any_along(omega, -1), any_along(omega, tuple(range(omega.ndim - 1)))
    return bool((omega == (lines[..., None] & extent)).all())
