"""The noise level of a scan that came without a noise measurement, from the smallest singular values of its calibration matrix."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.calibrate.espirit import calibration_matrix

KERNELS = (6, 5, 4, 3, 2)
WHITENINGS = 6
ROUNDS = 20
TRAILING = 0.3
"""Of the noise singular vectors these, the smallest, are measured: weak signal hides among the larger ones."""
SHORTEST = 16
"""Side of the smallest region that is judged: below it few samples are left and signal passes for noise."""
MOST_SIGNAL = 0.7
"""Where signal fills more of the calibration matrix's columns than this, too little is left to measure noise in."""


def noise_per_coil(calibration: Complex[Tensor, "scans coils *c"], seed: int = 0) -> Float[Tensor, " coils"] | None:
    r"""sqrt(E|n|^2) of one complex k-space sample of each coil, from fully sampled k-space about DC; None where it cannot be told.

    The calibration matrix A (one window of all coils a row, m rows) of noiseless data has low rank, because sensitivities are smooth. With
    independent noise of variance :math:`d_c` its trailing right singular vectors, which span a space with projector Q, hold
    :math:`\|A Q\|^2 = m\, \mathrm{tr}(Q D Q)`: one linear equation a coil for D. Unequal coils tilt the singular vectors, so this is
    repeated on data divided by the last one. Where signal ends is found by comparison with a simulated matrix of noise alone of the
    same shape; what is lost because the signal's singular vectors fit some noise too is measured on a simulated scan (the signal found
    here and known noise) and divided out. Both simulations are drawn from `seed`.

    `scans` are slices or frames of one volume, which share their noise: the median over them is returned.

    The level read from the trailing spectrum against random matrices: Veraart et al. Denoising of diffusion MRI using random matrix theory.
    NeuroImage 142:394-406 (2016). doi:10.1016/j.neuroimage.2016.08.016. Here the matrices have the calibration matrix's own structure, and
    the correction is a parametric bootstrap.
    """
    estimates = [std for scan in calibration if (std := _one(scan.to(torch.complex128), seed)) is not None]
    if 2 * len(estimates) < max(2, len(calibration)):
        return None
    return torch.stack(estimates).median(dim=0).values.to(torch.float32)


def _one(data: Tensor, seed: int) -> Tensor | None:
    magnitude = float(data.abs().amax())
    if not 0 < magnitude < float("inf") or min(data.shape[1:]) < SHORTEST:
        return None
    data = data / magnitude
    for kernel in KERNELS:
        rows = torch.tensor([n - kernel + 1 for n in data.shape[1:]]).clamp_min(0).prod()
        columns = data.shape[0] * kernel ** (data.ndim - 1)
        if rows < 1.2 * columns:
            continue
        noise = _white(data, seed)
        edge = torch.linalg.eigvalsh(_gram(noise, kernel))  # of noise of variance 1: where pure noise ends
        found = _variances(data, kernel, edge)
        if found is None:
            continue
        variance, signal = found
        again = _variances(signal + variance.sqrt().reshape(-1, *(1,) * (data.ndim - 1)) * _white(data, seed + 1), kernel, edge)
        if again is None:
            return None
        return magnitude * variance / again[0].sqrt()
    return None


def _white(like: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)


def _gram(data: Tensor, kernel: int) -> Tensor:
    A = calibration_matrix(data[None], kernel)
    return A.mH @ A / len(A)


def _variances(data: Tensor, kernel: int, edge: Tensor) -> tuple[Tensor, Tensor] | None:
    """Noise variance of each coil, before the correction of `_one`, and the data's low-rank part."""
    coils, window = data.shape[0], kernel ** (data.ndim - 1)
    variance = torch.ones(coils, dtype=torch.float64, device=data.device)
    shape = (-1, *(1,) * (data.ndim - 1))
    for _ in range(WHITENINGS):
        whitened = data / variance.sqrt().reshape(shape)
        values, vectors = torch.linalg.eigh(_gram(whitened, kernel))
        noise = _noise_dimension(values, edge)
        if noise is None:
            return None
        noise_space = vectors[:, :noise]
        Q = noise_space @ noise_space.mH
        residual = (noise_space.abs().square() @ values[:noise]).reshape(coils, window).sum(dim=1)
        shared = Q.abs().square().reshape(coils, window, coils, window).sum(dim=(1, 3))
        step = torch.linalg.solve(shared, residual)
        if not bool((step > 0).all()):
            step = residual / shared.sum(dim=1)
        if not bool((step > 0).all()):
            return None
        variance = variance * step
    # The coils are equal now, and their common level can be read where there is least signal.
    trailing = max(1, round(TRAILING * noise))
    signal = _low_rank(whitened, kernel, vectors[:, noise:]) * (variance / step).sqrt().reshape(shape)
    return variance / step * values[:trailing].sum() / edge[:trailing].sum(), signal


def _noise_dimension(values: Tensor, edge: Tensor) -> int | None:
    """How many of the ascending eigenvalues are noise: those not above the largest that noise of the kept ones' level would have."""
    n = len(values)
    kept = n // 4
    for _ in range(ROUNDS):
        # The kept smallest values are noise; their level is read against the same number of the noise-only matrix's smallest values.
        level = float(values[:kept].sum() / edge[:kept].sum())
        inside = int((values <= level * edge[-1]).sum())
        if inside <= kept:
            break
        kept = inside
    return kept if kept >= (1 - MOST_SIGNAL) * n else None


def _low_rank(data: Tensor, kernel: int, space: Tensor) -> Tensor:
    """Every window projected onto `space`, and the overlapping windows averaged back into samples."""
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
