"""The high-frequency error norm tells how well edges and fine detail are kept."""

import math
from functools import lru_cache

import numpy as np

from ssrecon.metrics.checks import Array, comparable_arrays, positive_norm


def hfen(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""Return the high-frequency error norm :math:`\|h * e - h * r\| / \|h * r\|` of a slice or, slice by slice filtered, of a volume.

    h is the rotationally symmetric Laplacian of Gaussian of 15 x 15 pixels and standard deviation 1.5; images are zero outside.

    Ravishankar & Bresler. MR image reconstruction from highly undersampled k-space data by dictionary learning. IEEE Trans Med Imaging
    30:1028-1041 (2011). doi:10.1109/TMI.2010.2090538
    """
    e, r, m = comparable_arrays(estimate, reference, mask, slices=True)
    filtered = _laplacian_of_gaussian(r)
    error = _laplacian_of_gaussian(e - r)
    return math.sqrt(float((error[m] ** 2).sum() / positive_norm((filtered[m] ** 2).sum(), r)))


@lru_cache(maxsize=1)
def _log_profiles(size: int = 15, sigma: float = 1.5) -> tuple[np.ndarray, np.ndarray, float]:
    """Return a, b and mean of the kernel b(y) a(x) + a(y) b(x) - mean, which is three separable filters."""
    offset = np.arange(size) - size // 2
    a = np.exp(-(offset**2) / (2 * sigma**2))
    a /= a.sum()
    b = a * (offset**2 - sigma**2) / sigma**4
    return a, b, float(2 * a.sum() * b.sum() / size**2)


def _laplacian_of_gaussian(volume: np.ndarray) -> np.ndarray:
    from scipy.ndimage import correlate1d

    a, b, mean = _log_profiles()

    def along(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(image, y, axis=1, mode="constant"), x, axis=2, mode="constant")

    ones = np.ones_like(a)
    return along(volume, b, a) + along(volume, a, b) - mean * along(volume, ones, ones)
