r"""Image quality against a reference, and the residual on held-out measurements without one: pure functions.

Images are real magnitudes, NumPy arrays or torch tensors, computed in float64. A number means nothing without its convention: data range of
the slice or of the volume, mean over the volume or over its slices, which SSIM. `Convention` names it, and `score_volume` puts it beside
every value. All functions raise ValueError, naming the shapes, for shapes that differ, non-finite values and empty references.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked

Array = np.ndarray | Tensor


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


@dataclass(frozen=True)
class Convention:
    """How values were made; `name` is what stands beside them in ``metrics.csv``."""

    name: str
    volume_range: bool
    """Data range: the maximum of the reference volume, or of each reference slice."""
    whole_volume: bool
    """A volume's NMSE, NRMSE, PSNR and HFEN over all its pixels at once, or as the mean of its slices'. SSIM always is such a mean."""
    metrics: tuple[str, ...] = ("nmse", "nrmse", "psnr", "ssim", "hfen")
    window: Window = Window()


FASTMRI = Convention("fastmri", volume_range=True, whole_volume=True)
"""fastMRI's evaluation. Zbontar et al. fastMRI: an open dataset and benchmarks for accelerated MRI. arXiv:1811.08839 (2018)."""
PER_SLICE = Convention("slice", volume_range=False, whole_volume=False)
"""Every slice on its own, in its own data range."""
PAPER = Convention("wang", volume_range=False, whole_volume=False, metrics=("ssim",), window=WANG)
"""SSIM as in the SSDU papers: Wang's Gaussian window, slice by slice."""
CONVENTIONS = (FASTMRI, PER_SLICE, PAPER)

UNITS = {"nmse": "", "nrmse": "", "psnr": "dB", "ssim": "", "hfen": ""}
HIGHER_IS_BETTER = {"nmse": False, "nrmse": False, "psnr": True, "ssim": True, "hfen": False}


@dataclass(frozen=True)
class Value:
    """One tidy row; `slice` is None for the whole volume."""

    slice: int | None
    metric: str
    convention: str
    value: float


def nmse(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""Normalised mean squared error :math:`\|e - r\|^2 / \|r\|^2` over everything given (any shape), or over `mask`."""
    e, r, m = _checked(estimate, reference, mask)
    return float(((e - r)[m] ** 2).sum() / _positive((r[m] ** 2).sum(), r))


def nrmse(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""Root of `nmse`: :math:`\|e - r\| / \|r\|`."""
    return math.sqrt(nmse(estimate, reference, mask))


def psnr(estimate: Array, reference: Array, data_range: float, mask: Array | None = None) -> float:
    r"""Peak signal-to-noise ratio :math:`10 \log_{10}(d^2 / \mathrm{mean}|e - r|^2)` in dB (any shape); infinite for equal images."""
    e, r, m = _checked(estimate, reference, mask)
    peak, mean = _range(data_range) ** 2, float(((e - r)[m] ** 2).mean())
    return 10 * math.log10(peak / mean) if mean else math.inf


def ssim(estimate: Array, reference: Array, data_range: float, window: Window | None = None, mask: Array | None = None) -> float:
    """Structural similarity of a slice ``(y, x)``, or the mean over the slices of a volume ``(slice, y, x)``.

    Averaged where the window lies inside the image and its centre in `mask`. `window` is by default fastMRI's and scikit-image's.

    Wang et al. Image quality assessment: from error visibility to structural similarity. IEEE Trans Image Process 13:600-612 (2004).
    doi:10.1109/TIP.2003.819861
    """
    e, r, m = _checked(estimate, reference, mask, slices=True)
    window = window or Window()
    if min(e.shape[-2:]) < window.size or window.size % 2 == 0:
        raise ValueError(f"an image of shape {e.shape} has no room for the {window.size} x {window.size} window of SSIM, or that is even")
    values = [_ssim_map(a, b, _range(data_range), window) for a, b in zip(e, r, strict=True)]
    edge = window.size // 2
    inside = m[:, edge : e.shape[1] - edge, edge : e.shape[2] - edge]
    means = [float(value[where].mean()) for value, where in zip(values, inside, strict=True) if where.any()]
    if not means:
        raise ValueError(f"the mask of shape {m.shape} holds no pixel where the window of SSIM fits")
    return float(np.mean(means))


def hfen(estimate: Array, reference: Array, mask: Array | None = None) -> float:
    r"""High-frequency error norm :math:`\|h * e - h * r\| / \|h * r\|` of a slice or, slice by slice filtered, of a volume.

    h is the rotationally symmetric Laplacian of Gaussian of 15 x 15 pixels and standard deviation 1.5; images are zero outside.

    Ravishankar & Bresler. MR image reconstruction from highly undersampled k-space data by dictionary learning. IEEE Trans Med Imaging
    30:1028-1041 (2011). doi:10.1109/TMI.2010.2090538
    """
    e, r, m = _checked(estimate, reference, mask, slices=True)
    filtered = _laplacian_of_gaussian(r)
    error = _laplacian_of_gaussian(e - r)
    return math.sqrt(float((error[m] ** 2).sum() / _positive((filtered[m] ** 2).sum(), r)))


def score_volume(
    estimate: Array,
    reference: Array,
    mask: Array | None = None,
    volume_max: float | None = None,
    conventions: Sequence[Convention] = CONVENTIONS,
) -> list[Value]:
    """All metrics in all conventions of a volume ``(slice, y, x)`` and of each of its slices, tidy.

    `mask` restricts everything to a foreground; `volume_max` is the data range of conventions that take the volume's, by default the
    maximum of `reference`. Slices whose reference is zero everywhere have no rows of their own; a convention that looks at the whole
    volume counts them.
    """
    e, r, m = _checked(estimate, reference, mask, slices=True)
    filled = [i for i in range(len(r)) if (r[i][m[i]] > 0).any()]
    if not filled:
        raise ValueError(f"the reference of shape {r.shape} is zero everywhere")
    top = float(r.max()) if volume_max is None else volume_max
    rows = []
    for convention in conventions:
        by_metric: dict[str, list[float]] = {name: [] for name in convention.metrics}
        for i in filled:
            data_range = top if convention.volume_range else float(r[i].max())
            for name, value in _measure(convention, e[i : i + 1], r[i : i + 1], data_range, m[i : i + 1]):
                by_metric[name].append(value)
                rows.append(Value(i, name, convention.name, value))
        means = {name: float(np.mean(values)) for name, values in by_metric.items()}
        whole = dict(_measure(convention, e, r, top, m)) if convention.whole_volume else means
        rows += [Value(None, name, convention.name, value) for name, value in whole.items()]
    return rows


@checked
def heldout_residual(
    predicted: Complex[Tensor, "batch frames coils *k"],
    measured: Complex[Tensor, "batch frames coils *k"],
    mask: Bool[Tensor, "batch frames 1 *k"],
    noise_std: Float[Tensor, " batch"] | None,
) -> Float[Tensor, " batch"]:
    r"""Quality without a reference: how well acquired samples that nothing has seen are predicted, one value a scan (float64).

    .. math:: \frac{1}{|\Gamma| C} \sum_{k \in \Gamma,\, c} \frac{|y_{kc} - (E \hat x)_{kc}|^2}{\sigma^2}

    with :math:`\sigma^2 = E|n|^2` of a complex sample. A perfect prediction scores 1 with a standard deviation of
    :math:`1 / \sqrt{|\Gamma| C}`; what exceeds 1 is the image's own error there. Where the noise is unknown (None) the residual is relative
    to :math:`\sum |y|^2` instead. What lies outside `mask` is ignored, be it NaN. Raises ValueError for an empty mask.
    """
    if predicted.shape != measured.shape or mask.shape != (*measured.shape[:2], 1, *measured.shape[3:]):
        raise ValueError(f"shapes {tuple(predicted.shape)}, {tuple(measured.shape)} and mask {tuple(mask.shape)} do not fit each other")
    count = mask.flatten(1).sum(1)
    if not bool((count > 0).all()):
        raise ValueError(f"nothing is held out for at least one scan: {count.tolist()} samples")
    error = _energy(torch.where(mask, predicted - measured, 0))
    if noise_std is None:
        return error / _energy(torch.where(mask, measured, 0))
    return error / (count * measured.shape[2] * noise_std.double() ** 2)


def fourier_ring_correlation(first: Array, second: Array) -> Float[np.ndarray, " rings"]:
    r"""How alike two images are at each spatial frequency, from DC outwards in rings one sample wide, up to the edge of k-space:

    .. math:: \frac{|\sum_{k \in {\rm ring}} a_k \bar b_k|}{\sqrt{\sum |a_k|^2 \sum |b_k|^2}}

    Of two images made from disjoint halves of one scan it needs no reference; and it takes an error that both share for agreement. 0 for
    rings in which an image has nothing.

    Saxton & Baumeister. The correlation averaging of a regularly arranged bacterial cell envelope protein. J Microsc 127:127-138 (1982).
    doi:10.1111/j.1365-2818.1982.tb00405.x
    """
    a, b = (np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(_array(image)))) for image in (first, second))
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"images of shapes {a.shape} and {b.shape}: two of one slice, of one shape, are compared")
    grid = np.meshgrid(*[np.arange(n) - n // 2 for n in a.shape], indexing="ij")
    ring = np.rint(np.hypot(*grid)).astype(int)
    inside = ring <= min(a.shape) // 2

    def summed(values: np.ndarray) -> np.ndarray:
        parts = [np.bincount(ring[inside], part[inside]) for part in (values.real, values.imag)]
        return np.asarray(parts[0] + 1j * parts[1])

    power = np.sqrt(summed(abs(a) ** 2 + 0j).real * summed(abs(b) ** 2 + 0j).real)
    return np.abs(summed(a * b.conj())) / np.where(power > 0, power, 1)


def _energy(kspace: Tensor) -> Tensor:
    return torch.view_as_real(kspace).double().square().flatten(1).sum(1)


def _measure(convention: Convention, e: np.ndarray, r: np.ndarray, data_range: float, m: np.ndarray) -> Iterator[tuple[str, float]]:
    for name in convention.metrics:
        if name == "psnr":
            yield name, psnr(e, r, data_range, m)
        elif name == "ssim":
            yield name, ssim(e, r, data_range, convention.window, m)
        else:
            yield name, {"nmse": nmse, "nrmse": nrmse, "hfen": hfen}[name](e, r, m)


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _checked(estimate: Array, reference: Array, mask: Array | None, slices: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Float64 arrays and a mask of one shape; with `slices`, of three axes."""
    e, r = _array(estimate), _array(reference)
    m = np.ones(r.shape, dtype=bool) if mask is None else _array(mask).astype(bool)
    if e.shape != r.shape or m.shape != r.shape:
        raise ValueError(f"estimate {e.shape}, reference {r.shape} and mask {m.shape} must have one shape")
    if np.iscomplexobj(e) or np.iscomplexobj(r):
        raise ValueError(f"magnitudes are compared: found {e.dtype} of shape {e.shape} and {r.dtype} of shape {r.shape}")
    if not (np.isfinite(e).all() and np.isfinite(r).all()):
        raise ValueError(f"estimate {e.shape} or reference {r.shape} holds values that are not finite")
    if not m.any():
        raise ValueError(f"the mask of shape {m.shape} is empty")
    if slices and r.ndim not in (2, 3):
        raise ValueError(f"a slice (y, x) or a volume (slice, y, x) is compared: found shape {r.shape}")
    shape = (-1, *r.shape[-2:]) if slices else r.shape
    return e.astype(np.float64).reshape(shape), r.astype(np.float64).reshape(shape), m.reshape(shape)


def _positive(norm: np.floating, reference: np.ndarray) -> float:
    if not norm > 0:
        raise ValueError(f"the reference of shape {reference.shape} has no energy to compare with")
    return float(norm)


def _range(data_range: float) -> float:
    if not (data_range > 0 and math.isfinite(data_range)):
        raise ValueError(f"the data range must be a positive number: found {data_range}")
    return float(data_range)


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


@lru_cache(maxsize=1)
def _log_profiles(size: int = 15, sigma: float = 1.5) -> tuple[np.ndarray, np.ndarray, float]:
    """The kernel is b(y) a(x) + a(y) b(x) - mean: three separable filters."""
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
