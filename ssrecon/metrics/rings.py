"""The Fourier ring correlation tells up to which spatial frequency two images agree."""

import numpy as np
from jaxtyping import Float

from ssrecon.core.radius import radius
from ssrecon.metrics.checks import Array, as_array


def fourier_ring_correlation(first: Array, second: Array) -> Float[np.ndarray, " rings"]:
    r"""Return how alike two images are at each spatial frequency, from DC outwards in rings one sample wide, up to the edge of k-space:

    .. math:: \frac{|\sum_{k \in {\rm ring}} a_k \bar b_k|}{\sqrt{\sum |a_k|^2 \sum |b_k|^2}}

    Of two images made from disjoint halves of one scan it needs no reference; but it takes an error that both share for agreement. It is 0
    for rings in which an image has nothing.

    Saxton & Baumeister. The correlation averaging of a regularly arranged bacterial cell envelope protein. J Microsc 127:127-138 (1982).
    doi:10.1111/j.1365-2818.1982.tb00405.x
    """
    a, b = (np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(as_array(image)))) for image in (first, second))
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"images of shapes {a.shape} and {b.shape}: two of one slice, of one shape, are compared")
    ring = np.rint(radius(a.shape, reach=(1, 1))).astype(int)
    inside = ring <= min(a.shape) // 2

    def summed(values: np.ndarray) -> np.ndarray:
        parts = [np.bincount(ring[inside], part[inside]) for part in (values.real, values.imag)]
        return np.asarray(parts[0] + 1j * parts[1])

    power = np.sqrt(summed(abs(a) ** 2 + 0j).real * summed(abs(b) ** 2 + 0j).real)
    return np.abs(summed(a * b.conj())) / np.where(power > 0, power, 1)
