"""The noise level of a scan that came without a noise measurement, from the smallest singular values of its calibration matrix."""

import math

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.calibrate.espirit import calibration_matrix
from ssrecon.core.shapes import checked

KERNELS = (6, 5, 4, 3, 2)
"""Sides of the windows that are tried, until signal fills little enough of the calibration matrix."""
WHITENING_STEPS = 8
RANK_STEPS = 20
"""Steps, at most, in which the number of noise singular vectors is found."""
TRAILING_FRACTION = 0.3
"""The part of the noise singular vectors, the smallest, that is measured: weak signal hides among the larger ones."""
SHORTEST_SIDE = 18
"""Side of the smallest region that is judged: below it few samples are left and signal passes for noise (by more than 10 % at 16)."""
LARGEST_DEVIATION = 0.25
"""Slices whose level differs from the median one's by more than this part of it are left out."""
LARGEST_SIGNAL_RANK = 0.7
"""Where signal fills more of the calibration matrix's columns than this, too little is left to measure noise in."""
CORNER_MARGIN = 2.0
"""Noise may have so many times the power of the region's corners: few samples tell that power, and an estimate errs by a fifth."""


@checked
def estimated_covariance(calibration: Complex[Tensor, "scans coils *c"], seed: int = 0) -> Complex[Tensor, "coils coils"] | None:
    r"""Return the noise covariance :math:`\Sigma = E[n n^H]` of one k-space sample, from fully sampled k-space about DC.

    The result is None where it cannot be told. That is so too where the estimate has more power than the corners of the region, in which
    noise has as much power as anywhere: then the object is so smooth that signal passed for noise, as it may of a single coil.

    The calibration matrix A (one window of all coils a row, m rows) of noiseless data has low rank, because sensitivities are smooth. Its
    trailing right singular vectors, which span a space with projector Q, hold noise alone: :math:`Q A^H A Q = m\, Q (\Sigma \otimes I) Q`
    on average. Correlated and unequal coils tilt the singular vectors, so :math:`\Sigma` is found by whitening again and again, until the
    sum of that over the window's places is what it is for white noise, that of Q. Where signal ends is found by comparison with a simulated
    matrix of noise alone of the same shape; what is lost because the signal's singular vectors fit some noise too is measured on a
    simulated scan (the signal found here and known noise) and divided out. Both simulations are drawn from `seed`.

    `scans` are slices or frames of one volume, which share their noise: those near the median level are averaged. A coil that is zero in
    every scan has no noise either: its rows and columns are zero. A scan in which a coil is zero that is not so in all is left out.

    The level read from the trailing spectrum against random matrices: Veraart et al. Denoising of diffusion MRI using random matrix theory.
    NeuroImage 142:394-406 (2016). doi:10.1016/j.neuroimage.2016.08.016. Here the matrices have the calibration matrix's own structure, and
    the correction is a parametric bootstrap.
    """
    heard = (calibration != 0).flatten(2).any(dim=2)
    live = heard.any(dim=0)
    # Of coils and scans that are zero nothing can be measured, and zeros are no noise: either would make the level too small.
    whole = calibration[(heard == live).all(dim=1)][:, live]
    if not len(whole) or not bool(live.any()):
        return None
    found = [covariance for scan in whole if (covariance := _plausible_covariance(scan.to(torch.complex128), seed)) is not None]
    if 2 * len(found) < max(2, len(whole)):
        return None
    estimates = torch.stack(found)
    level = estimates.diagonal(dim1=1, dim2=2).real.sum(dim=1)
    near = (level / level.median() - 1).abs() < LARGEST_DEVIATION
    covariance = estimates.new_zeros(len(live), len(live))
    covariance[live.nonzero(), live.nonzero().T] = estimates[near].mean(dim=0)
    return covariance


def _plausible_covariance(data: Tensor, seed: int) -> Tensor | None:
    try:
        covariance = _scan_covariance(data, seed)
    except torch.linalg.LinAlgError:  # data that are partly zero, or copies of one another, leave nothing to factorise
        return None
    if covariance is None or float(covariance.diagonal().real.sum()) > CORNER_MARGIN * _corner_power(data):
        return None
    return covariance


def _corner_power(data: Tensor) -> float:
    """Return the mean power, summed over the coils, of the samples that lie in the outer quarters along every axis."""
    for axis, n in enumerate(data.shape[1:], start=1):
        outer = torch.tensor([*range(n // 4), *range(n - n // 4, n)], device=data.device)
        data = data.index_select(axis, outer)
    return float(data.abs().square().flatten(1).mean(dim=1).sum())


def _scan_covariance(data: Tensor, seed: int) -> Tensor | None:
    magnitude = float(data.abs().amax())
    if not 0 < magnitude < float("inf") or min(data.shape[1:]) < SHORTEST_SIDE:
        return None
    data = data / magnitude
    for kernel in KERNELS:
        rows = math.prod(n - kernel + 1 for n in data.shape[1:])
        if rows < 1.2 * data.shape[0] * kernel ** (data.ndim - 1):
            continue
        edge = torch.linalg.eigvalsh(_window_covariance(_white_noise_like(data, seed), kernel))  # where pure noise of variance 1 ends
        found = _uncorrected_covariance(data, kernel, edge)
        if found is None:
            continue
        covariance, signal = found
        factor = torch.linalg.cholesky(covariance)
        again = _uncorrected_covariance(signal + _mix_coils(factor, _white_noise_like(data, seed + 1)), kernel, edge)
        if again is None:
            return None
        lost = torch.linalg.solve(covariance, again[0]).diagonal().real.mean()
        return magnitude**2 * covariance / lost
    return None


def _mix_coils(matrix: Tensor, data: Tensor) -> Tensor:
    return torch.tensordot(matrix, data, dims=([1], [0]))


def _white_noise_like(like: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)


def _window_covariance(data: Tensor, kernel: int) -> Tensor:
    A = calibration_matrix(data[None], kernel)
    return A.mH @ A / len(A)


def _uncorrected_covariance(data: Tensor, kernel: int, edge: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the noise covariance, before the correction of `_scan_covariance`, and the data's low-rank part."""
    coils = data.shape[0]
    factor = torch.eye(coils, dtype=data.dtype, device=data.device)
    for _ in range(WHITENING_STEPS):
        whitened = _mix_coils(torch.linalg.inv(factor), data)
        values, vectors = torch.linalg.eigh(_window_covariance(whitened, kernel))
        noise = _noise_dimension(values, edge)
        if noise is None:
            return None
        # eigh of A^H A gives conj(data) x data; the conjugate is E[n n^H].
        space = vectors[:, :noise].conj()
        held = _sum_over_window((space * values[:noise]) @ space.mH, coils)
        # For noise that is white by now the same sum is that of the projector itself.
        white = torch.linalg.cholesky(_sum_over_window(space @ space.mH, coils))
        step = torch.linalg.solve_triangular(white, torch.linalg.solve_triangular(white, held, upper=False).mH, upper=False)
        step = (step + step.mH) / 2
        factor, last = torch.linalg.cholesky(factor @ step @ factor.mH), factor
    # The coils are equal now, and their common level can be read where there is least signal.
    assert noise is not None
    trailing = max(1, round(TRAILING_FRACTION * noise))
    level = values[:trailing].sum() / edge[:trailing].sum()
    return level * last @ last.mH, _mix_coils(last, _low_rank(whitened, kernel, vectors[:, noise:]))


def _sum_over_window(matrix: Tensor, coils: int) -> Complex[Tensor, "coils coils"]:
    """Sum the coil-by-coil blocks on the diagonal over a window's places."""
    window = len(matrix) // coils
    return matrix.reshape(coils, window, coils, window).diagonal(dim1=1, dim2=3).sum(dim=-1)


def _noise_dimension(values: Tensor, edge: Tensor) -> int | None:
    """Count the ascending eigenvalues that are noise: those not above the largest that noise of the kept ones' level would have."""
    n = len(values)
    kept = n // 4
    for _ in range(RANK_STEPS):
        # The kept smallest values are noise; their level is read against the same number of the noise-only matrix's smallest values.
        level = float(values[:kept].sum() / edge[:kept].sum())
        inside = int((values <= level * edge[-1]).sum())
        if inside <= kept:
            break
        kept = inside
    return kept if kept >= (1 - LARGEST_SIGNAL_RANK) * n else None


def _low_rank(data: Tensor, kernel: int, space: Tensor) -> Tensor:
    """Project every window onto `space`, and average the overlapping windows back into samples."""
    dims = data.ndim - 1
    sides = [n - kernel + 1 for n in data.shape[1:]]
    A = calibration_matrix(data[None], kernel)
    windows = (A @ space @ space.mH).reshape(*sides, data.shape[0], *(kernel,) * dims)
    total, count = torch.zeros_like(data), torch.zeros(data.shape[1:], dtype=torch.float64, device=data.device)
    offsets = torch.cartesian_prod(*[torch.arange(kernel)] * dims).reshape(-1, dims).tolist()
    for offset in offsets:
        where = tuple(slice(o, o + side) for o, side in zip(offset, sides, strict=True))
        total[(slice(None), *where)] += torch.movedim(windows[(..., *offset)], -1, 0)
        count[where] += 1
    return total / count
