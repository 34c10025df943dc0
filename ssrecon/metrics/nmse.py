"""The normalised mean squared error and its root."""

import math

from ssrecon.metrics.checks import Array, checked, positive


def nmse(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""Normalised mean squared error :math:`\|e - r\|^2 / \|r\|^2` over everything given (any shape), or over `mask`."""
    e, r, m = checked(estimate, reference, mask)
    return float(((e - r)[m] ** 2).sum() / positive((r[m] ** 2).sum(), r))


def nrmse(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""Root of `nmse`: :math:`\|e - r\| / \|r\|`."""
    return math.sqrt(nmse(estimate, reference, mask))
