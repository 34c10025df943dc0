"""The normalised mean squared error, and its root, compare images of any number of axes."""

import math

from ssrecon.metrics.checks import Array, comparable_arrays, positive_norm


def nmse(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""Return the normalised mean squared error :math:`\|e - r\|^2 / \|r\|^2` over everything given (any shape), or over `mask`."""
    e, r, m = comparable_arrays(estimate, reference, mask)
    return float(((e - r)[m] ** 2).sum() / positive_norm((r[m] ** 2).sum(), r))


def nrmse(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""Return the root of `nmse`: :math:`\|e - r\| / \|r\|`."""
    return math.sqrt(nmse(estimate, reference, mask))
