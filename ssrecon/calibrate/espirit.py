"""Coil sensitivities from a calibration region: ESPIRiT, in a form whose cost hardly depends on the number of kernels."""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.calibrate.phase import relative_phase, virtual_coil
from ssrecon.core.errors import BadShape
from ssrecon.core.per_scan import per_scan
from ssrecon.core.shapes import checked

CPU_BLOCK_BYTES = 1 << 22
"""On a CPU pixels are worked through in blocks whose matrices take about this much, so that a block stays in the core's own cache."""
DEVICE_BLOCK_BYTES = 1 << 28
"""The same elsewhere, where the block has to keep the device busy."""
SCANS_AT_ONCE = {"cpu": 1}
"""Scans that are worked on at once: one on a CPU, whose cache holds the matrices of few pixels anyway; elsewhere the whole batch."""
COARSE_OVERSAMPLING = 7
"""Eigenvectors are found anew on a coarse grid with about so many times as many points an axis as determine G (on every pixel of a smaller
image), and between its points they are only refined."""
REFINEMENT_STEPS = 2
SQUARING_STEPS = 7
EIGENDECOMPOSITION_BATCH = 1 << 15
"""So many small matrices are decomposed in one call."""
TINY = 1e-30


@checked
def espirit(
    calibration_kspace: Complex[Tensor, "batch frames coils *c"],
    shape: tuple[int, ...],
    maps: int = 1,
    kernel: int = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
    noise_std: float | None = None,
    reference: Complex[Tensor, " coils"] | None = None,
) -> Complex[Tensor, "batch maps coils *x"]:
    r"""Return sensitivity maps on a grid of `shape` from fully sampled k-space about DC (``c // 2`` along each axis of ``*c``).

    Every window of `kernel` samples a side is a row of the calibration matrix A (frames give more rows). With V the right singular vectors
    whose singular value exceeds `threshold` times the largest (and, where `noise_std` = sqrt(E|n|^2) of the samples is known, exceeds what
    noise of that level has alone: kernels of noise blur the eigenvalue 1), the sensitivities at a position x are the eigenvectors of
    eigenvalue 1 of

    .. math:: G(x)_{cd} = K^{-D} \sum_{rs} (V^T \bar V)_{cr,ds}\, e^{2\pi i (r - s) x / N}.

    The map sets are the `maps` leading eigenvectors, of unit norm over the coils and mutually orthogonal, and zero where the eigenvalue is
    not above `crop`. An eigenvector has no phase of its own: it is given by `relative_phase`, from the `reference` that all slices of a
    volume share (`virtual_coil`; each scan's own where none is given), so that images do not depend on the coils' order and phases.

    G is a trigonometric polynomial of degree K - 1, so that its values at 2 K - 1 points an axis determine it everywhere: they are found
    with Fourier transforms of that size, and G at the pixels is two small real matrix products away, one per axis.

    Uecker et al. ESPIRiT - an eigenvalue approach to autocalibrating parallel MRI: where SENSE meets GRAPPA. Magn Reson Med 71:990-1001
    (2014). doi:10.1002/mrm.24751

    Raises BadShape, which is a ValueError too, where `shape` has not one length for each axis of ``*c``, and ValueError where the region is
    smaller than a kernel or there are fewer coils than `maps`.
    """
    coils, found = calibration_kspace.shape[2], tuple(calibration_kspace.shape)
    if len(shape) != len(found) - 3:
        expected = f"{len(shape)} axes after batch, frames and coils, as many as shape = {tuple(shape)} has"
        raise BadShape("espirit: calibration_kspace", found=f"shape {found}", expected=expected)
    if min(calibration_kspace.shape[3:]) < kernel or not 1 <= maps <= coils:
        raise ValueError(f"{maps} map sets by kernels of {kernel} do not fit calibration data of shape {tuple(calibration_kspace.shape)}")
    together = SCANS_AT_ONCE.get(calibration_kspace.device.type, len(calibration_kspace))
    parts = calibration_kspace.split(max(1, together))
    sets = []
    for data in parts:
        vectors = torch.stack([virtual_coil([one[None]]) if reference is None else reference for one in data])
        sets.append(relative_phase(_sensitivity_maps(data, shape, maps, kernel, threshold, crop, noise_std or 0.0), vectors.to(data)))
    return torch.cat(sets)


@checked
def calibration_matrix(data: Complex[Tensor, "frames coils *c"], kernel: int) -> Complex[Tensor, "windows coils*kernel"]:
    """Return the matrix whose rows are the windows of the data, with all coils. The rows run over frames and positions."""
    dims = data.ndim - 2
    windows = data
    for axis in range(dims):
        windows = windows.unfold(2 + axis, kernel, 1)
    order = (0, *range(2, 2 + dims), 1, *range(2 + dims, 2 + 2 * dims))
    return windows.permute(order).reshape(-1, data.shape[1] * kernel**dims)


def _sensitivity_maps(
    data: Complex[Tensor, "batch frames coils *c"],
    shape: tuple[int, ...],
    maps: int,
    kernel: int,
    threshold: float,
    crop: float,
    noise_std: float,
) -> Complex[Tensor, "batch maps coils *x"]:
    batch, _, coils = data.shape[:3]
    magnitude = data.abs().flatten(1).amax(dim=1)
    signal = magnitude > 0
    scale = torch.where(signal, magnitude, 1)
    data = data / per_scan(scale, data)  # so that no square leaves the range of floats
    floor = noise_edge(tuple(data.shape[1:]), kernel) * noise_std / scale if noise_std else torch.zeros_like(scale)
    A = torch.stack([calibration_matrix(one, kernel) for one in data])
    nodes = _matrix_at_nodes(_row_space(A, threshold, floor), coils, kernel, data.ndim - 3)
    steps = [max(1, n // (COARSE_OVERSAMPLING * (2 * kernel - 1))) for n in shape]
    coarse_shape = tuple(-(-n // step) for n, step in zip(shape, steps, strict=True))
    to_coarse = [_dirichlet_interpolation(n, kernel, step, data) for n, step in zip(shape, steps, strict=True)]
    starts = torch.cat([_eigenvectors_by_squaring(G, maps) for G in _matrices_at_pixels(nodes, to_coarse)])
    starts = _interpolated_eigenvectors(starts.reshape(batch, *coarse_shape, coils, maps), shape, steps).reshape(-1, coils, maps)
    csm = torch.empty_like(starts)
    first = 0
    for G in _matrices_at_pixels(nodes, [_dirichlet_interpolation(n, kernel, 1, data) for n in shape]):
        rows = slice(first, first := first + len(G))
        csm[rows] = _refined_and_cropped(G, starts[rows], crop)
    csm = csm.reshape(batch, -1, coils, maps).permute(0, 3, 2, 1).reshape(batch, maps, coils, *shape)
    return torch.where(per_scan(signal, csm), csm, 0)


@lru_cache(maxsize=64)
def noise_edge(shape: tuple[int, ...], kernel: int) -> float:
    """Return the largest singular value of the calibration matrix of white noise with E|n|^2 = 1 in data of this shape.

    The noise is one fixed drawing.
    """
    noise = torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    A = calibration_matrix(noise, kernel)
    return float(torch.linalg.eigvalsh(A.mH @ A if A.shape[0] >= A.shape[1] else A @ A.mH)[-1].sqrt())


def _row_space(
    A: Complex[Tensor, "batch windows columns"], threshold: float, floor: Float[Tensor, " batch"]
) -> Complex[Tensor, "batch kernels columns"]:
    """Return orthonormal rows that span the right singular space of each A above its threshold.

    They come from the smaller of the two Gram matrices of A. Where one scan has fewer kernels than another, rows of zeros make up for it.
    """
    wide = A.shape[1] < A.shape[2]
    squares, vectors = torch.linalg.eigh(A @ A.mH if wide else A.mH @ A)
    kept = squares > torch.maximum(threshold**2 * squares[:, -1], floor**2)[:, None]
    kept[:, -1] = True
    some = kept.any(dim=0)
    squares, vectors, kept = squares[:, some], vectors[:, :, some], kept[:, some]
    vectors = torch.where(kept[:, None], vectors, 0)
    return (vectors / torch.where(kept, squares, 1).clamp_min(TINY).sqrt()[:, None]).mH @ A if wide else vectors.mH


def _matrix_at_nodes(rows: Tensor, coils: int, kernel: int, dims: int) -> Float[Tensor, "batch *nodes coils*coils*2"]:
    """Return G, real and imaginary parts last, at the 2 K - 1 equidistant points an axis that determine it."""
    axes = tuple(range(-dims, 0))
    kernels = rows.reshape(*rows.shape[:2], coils, *(kernel,) * dims)
    spectra = torch.fft.ifftn(kernels, s=(2 * kernel - 1,) * dims, dim=axes, norm="forward")
    spectra = spectra.flatten(3).permute(0, 3, 2, 1)
    G = spectra @ spectra.mH / kernel**dims
    return torch.view_as_real(G).reshape(len(rows), *(2 * kernel - 1,) * dims, -1)


def _dirichlet_interpolation(size: int, kernel: int, step: int, like: Tensor) -> Float[Tensor, "pixels nodes"]:
    """Return the matrix of interpolation from 2 K - 1 equidistant points to every `step`-th pixel.

    It is real, and exact for polynomials of degree K - 1.
    """
    nodes = 2 * kernel - 1
    position = (torch.arange(0, size, step, dtype=torch.float64) - size // 2) / size
    distance = position[:, None] - torch.arange(nodes, dtype=torch.float64) / nodes
    lags = torch.arange(-(kernel - 1), kernel, dtype=torch.float64)
    return (torch.cos(2 * torch.pi * distance[..., None] * lags).sum(dim=-1) / nodes).to(like.device, like.real.dtype)


def _matrices_at_pixels(nodes: Tensor, interpolation: list[Tensor]) -> Iterator[Complex[Tensor, "pixels coils coils"]]:
    """Yield G at the pixels of one scan after another, a few lines of the last axis at a time."""
    coils = math.isqrt(nodes.shape[-1] // 2)
    *others, last = interpolation
    lines = nodes
    for axis, D in enumerate(others):
        lines = torch.movedim(torch.tensordot(D, lines, dims=([1], [axis + 1])), 0, axis + 1)
    lines = lines.flatten(0, -3)
    line_bytes = last.shape[0] * nodes.shape[-1] * nodes.element_size()
    step = max(1, (CPU_BLOCK_BYTES if nodes.device.type == "cpu" else DEVICE_BLOCK_BYTES) // line_bytes)
    for first in range(0, len(lines), step):
        yield torch.view_as_complex((last @ lines[first : first + step]).reshape(-1, coils, coils, 2))


def _eigenvectors_by_squaring(G: Tensor, maps: int) -> Complex[Tensor, "pixels coils maps"]:
    """Find the leading eigenvectors by repeated squaring, a power iteration of 2^SQUARING_STEPS steps; later ones come by deflation."""
    for _ in range(SQUARING_STEPS):
        G = G / G.diagonal(dim1=1, dim2=2).real.sum(dim=1).clamp_min(TINY)[:, None, None]
        G = G @ G
    found = []
    for _ in range(maps):
        strongest = G.diagonal(dim1=1, dim2=2).real.argmax(dim=1)
        v = G.take_along_dim(strongest[:, None, None], dim=2)
        v = v / _column_norms(v).clamp_min(TINY)
        found.append(v)
        if len(found) < maps:
            G = G - (G @ v) @ v.mH
    return torch.cat(found, dim=2)


def _refined_and_cropped(G: Tensor, v: Tensor, crop: float) -> Complex[Tensor, "pixels coils maps"]:
    """Take a few steps of subspace iteration from interpolated eigenvectors, then crop by eigenvalue."""
    for _ in range(REFINEMENT_STEPS - 1):
        v = _orthonormal(G @ v)
    w = G @ v
    if v.shape[2] == 1:
        values = _column_norms(w)[:, :, 0]
        return w * ((values > crop) / values.clamp_min(TINY))[:, :, None]
    # In parts: a GPU's library refuses more matrices at once than some number of its own (a whole slice of 320x320, cuSOLVER 13).
    parts = [torch.linalg.eigh(part) for part in (v.mH @ w).split(EIGENDECOMPOSITION_BATCH)]
    values, rotation = (torch.cat(part) for part in zip(*parts, strict=True))
    return torch.where((values > crop)[:, None, :], v @ rotation, 0).flip(2)


def _column_norms(columns: Tensor) -> Float[Tensor, "pixels 1 maps"]:
    # Of the contiguous real and imaginary parts: several times faster than a norm of complex numbers along a strided axis.
    parts = torch.view_as_real(columns.transpose(1, 2).contiguous()).flatten(2)
    return torch.linalg.vector_norm(parts, dim=2).unsqueeze(1)


def _orthonormal(w: Tensor) -> Tensor:
    columns: list[Tensor] = []
    for column in w.split(1, dim=2):
        for earlier in columns:
            column = column - earlier * (earlier.mH @ column)
        columns.append(column / _column_norms(column).clamp_min(TINY))
    return torch.cat(columns, dim=2) if len(columns) > 1 else columns[0]


def _interpolated_eigenvectors(coarse: Complex[Tensor, "batch *nodes coils maps"], shape: tuple[int, ...], steps: list[int]) -> Tensor:
    """Interpolate linearly from every `step`-th pixel to all.

    A neighbour's vectors, whose phases and order are arbitrary, enter by their projection of this node's vectors.
    """
    for axis, (n, step) in enumerate(zip(shape, steps, strict=True), start=1):
        if step == 1:
            continue
        pixel = torch.arange(n, device=coarse.device)
        node = pixel // step
        following = coarse.index_select(
            axis, (torch.arange(coarse.shape[axis], device=coarse.device) + 1).clamp_max(coarse.shape[axis] - 1)
        )
        following = following @ (following.mH @ coarse)
        weight = ((pixel % step) / step).reshape(-1, *(1,) * (coarse.ndim - axis - 1))
        coarse = torch.lerp(coarse.index_select(axis, node), following.index_select(axis, node), weight.to(coarse.dtype))
    return coarse
