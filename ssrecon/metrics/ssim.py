"""Structural similarity, with the windows in use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ssrecon.metrics.checks import Array, checked, positive_range


@dataclass(frozen=True)
class Window:
    """The window and constants of SSIM; the default is scikit-image's and fastMRI's. With `sigma`: Gaussian of that width, as Wang's."""

    size: int = 7
    sigma: float | None = None
    k1: float = 0.01
    k2: float = 0.03
    sample_covariance: bool = True
    """Normalise covariances by one less than the number of pixels of the window."""

    def weights(self) -> Float[np.ndarray, " size"]:
        """One axis of the separable window; they sum to 1."""
        offset = np.arange(self.size) - self.size // 2
        profile = np.ones(self.size) if self.sigma is None else np.exp(-(offset**2) / (2 * self.sigma**2))
        return profile / profile.sum()


WANG = Window(size=11, sigma=1.5, sample_covariance=False)
"""Wang et al. (2004), as SSDU's published code uses it."""


def ssim(estimate: Array, reference: Array, data_range: float, window: Window | None = None, mask: Array | None = None) -> float:
    """Structural similarity of a slice ``(y, x)``, or the mean over the slices of a volume ``(slice, y, x)``.

    Averaged where the window lies inside the image and its centre in `mask`. `window` is by default fastMRI's and scikit-image's.

    Wang et al. Image quality assessment: from error visibility to structural similarity. IEEE Trans Image Process 13:600-612 (2004).
    doi:10.1109/TIP.2003.819861
    """
    e, r, m = checked(estimate, reference, mask, slices=True)
    window = window or Window()
    if min(e.shape[-2:]) < window.size or window.size % 2 == 0:
        raise ValueError(f"an image of shape {e.shape} has no room for the {window.size} x {window.size} window of SSIM, or that is even")
    values = [_ssim_map(a, b, positive_range(data_range), window) for a, b in zip(e, r, strict=True)]
    edge = window.size // 2
    inside = m[:, edge : e.shape[1] - edge, edge : e.shape[2] - edge]
    means = [float(value[where].mean()) for value, where in zip(values, inside, strict=True) if where.any()]
    if not means:
        raise ValueError(f"the mask of shape {m.shape} holds no pixel where the window of SSIM fits")
    return float(np.mean(means))


def _valid(image: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Separable filter, kept where the window lies inside the image."""
    from scipy.ndimage import correlate1d

    edge = len(profile) // 2
    filtered = correlate1d(correlate1d(image, profile, axis=0), profile, axis=1)
    return filtered[edge : image.shape[0] - edge, edge : image.shape[1] - edge]


def _ssim_map(e: np.ndarray, r: np.ndarray, data_range: float, window: Window) -> np.ndarray:
    profile = window.weights()
    pixels = window.size**2
    norm = pixels / (pixels - 1) if window.sample_covariance else 1.0
    mean_e, mean_r = _valid(e, profile), _valid(r, profile)
    var_e = norm * (_valid(e * e, profile) - mean_e**2)
    var_r = norm * (_valid(r * r, profile) - mean_r**2)
    covariance = norm * (_valid(e * r, profile) - mean_e * mean_r)
    c1, c2 = (window.k1 * data_range) ** 2, (window.k2 * data_range) ** 2
    return (2 * mean_e * mean_r + c1) * (2 * covariance + c2) / ((mean_e**2 + mean_r**2 + c1) * (var_e + var_r + c2))
