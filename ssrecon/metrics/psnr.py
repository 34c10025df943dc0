"""The peak signal-to-noise ratio."""

import math

from ssrecon.metrics.checks import Array, checked, positive_range


def psnr(estimate: Array, reference: Array, data_range: float, mask: Array | None = None) -> float:
    r"""Peak signal-to-noise ratio :math:`10 \log_{10}(d^2 / \mathrm{mean}|e - r|^2)` in dB (any shape); infinite for equal images."""
    e, r, m = checked(estimate, reference, mask)
    peak, mean = positive_range(data_range) ** 2, float(((e - r)[m] ** 2).mean())
    return 10 * math.log10(peak / mean) if mean else math.inf
