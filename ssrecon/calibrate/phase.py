"""The phase of sensitivities: a virtual reference coil that no order, phase or unitary mixture of the coils can change."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked

LARGEST_GRID = 32
"""Points an axis, at most, on which the reference is made smooth: sensitivities are smoother than that."""
BLUR_WIDTH = 0.1
"""Standard deviation of one step's blur, in parts of the field of view."""
BLUR_STEPS = 32
"""Enough for the reference to be made of what lies anywhere in the object: zeros inside it have moved out of it by then."""
TINY = 1e-30
NO_DC = 1e-6
"""DC of at most this part of the largest sample is rounding, and has no phase."""
AS_LARGE = 1 - 1e-4
"""Samples from this part of the largest one on count as equally large: rounding may change which of them is."""


def virtual_coil(calibration: Sequence[Complex[Tensor, "batch frames coils *c"]]) -> Complex[Tensor, " coils"]:
    r"""Return the weights v of the virtual coil that holds most of a volume's calibration signal.

    The image of that coil is :math:`v^H F^H y`. v is the principal eigenvector of :math:`\sum y y^H` over all samples of all slices, and
    its own phase is such that :math:`v^H y` is real and positive at DC (``c // 2``), in the slice and frame where that is largest; where DC
    holds nothing (`NO_DC`) in all of them, at the virtual coil's largest sample. Of coils mixed by a unitary U (another order, other
    phases, another whitening or compression of the same data) the weights are Uv, so that the virtual coil's image stays the same. The
    two strongest eigenvalues have to differ, which they do by a multiple in any measurement.
    """
    coils = calibration[0].shape[2]
    largest = max(float(data.abs().amax()) for data in calibration)
    covariance = torch.zeros(coils, coils, dtype=torch.complex128)
    centres = []
    for data in calibration:
        samples = data.to(torch.complex128) / max(largest, TINY)
        rows = samples.transpose(0, 2).flatten(1)
        covariance += (rows @ rows.mH).cpu()
        dc: Any = (..., *(n // 2 for n in data.shape[3:]))
        centres.append(samples[dc].flatten(0, 1).cpu())
    principal = torch.linalg.eigh(covariance)[1][:, -1]
    at_centre = torch.cat(centres) @ principal.conj()
    strongest = at_centre[at_centre.abs().argmax()]
    if float(strongest.abs()) <= NO_DC:
        strongest = _strongest_sample([data.to(torch.complex128) / max(largest, TINY) for data in calibration], principal)
    unit = strongest / strongest.abs() if float(strongest.abs()) > 0 else torch.ones_like(strongest)
    return principal * unit


def _strongest_sample(calibration: Sequence[Tensor], weights: Tensor) -> Complex[Tensor, ""]:
    """Return the largest sample of a virtual coil; of several that are equally large (`AS_LARGE`), the first one.

    Mixing the coils by a unitary matrix multiplies all samples of the virtual coil by one phase, so that the choice stays the same.
    """
    values = torch.cat([torch.einsum("c,bfc...->bf...", weights.conj().to(data.device), data).flatten().cpu() for data in calibration])
    sizes = values.abs()
    return values[int((sizes >= AS_LARGE * sizes.max()).nonzero()[0])]


@checked
def relative_phase(
    csm: Complex[Tensor, "batch maps coils *x"], reference: Complex[Tensor, "batch coils"]
) -> Complex[Tensor, "batch maps coils *x"]:
    r"""Return the same maps with a phase per pixel and map set such that :math:`s(x)^H z(x)` is real and positive.

    z is a field of virtual coils. It starts as the `reference` v at every pixel. A virtual coil has zeros somewhere, about which the phase
    relative to it winds; so that the phase does not jump there, z is then made to follow the maps: in every step each pixel's reference is
    projected onto its own map, and the result is blurred, :math:`z \leftarrow B\,[\,s s^H z\,]`. The phase spreads from where the virtual
    coil sees most into where it sees nothing. Nothing in it depends on the basis of coils, or on the phase that s comes with: of Us and Uv
    it gives U times the same. Where z vanishes all the same, v itself is taken, and where that does too, the phase is left as it was.
    Magnitudes do not change, nor does the gram of the encoding operator.

    The steps are those of a power iteration towards the smoothest phase (Singer. Angular synchronization by eigenvectors and semidefinite
    programming. Appl Comput Harmon Anal 30:20-36 (2011). doi:10.1016/j.acha.2010.02.001), begun with v, which decides the phase of it all.
    """
    sides = csm.shape[3:]
    strides = [max(1, -(-n // LARGEST_GRID)) for n in sides]
    nodes: Any = (..., *(slice(None, None, step) for step in strides))
    coarse = csm[nodes]
    blurs = [_blur_matrix(n, step, csm) for n, step in zip(sides, strides, strict=True)]
    z = reference[:, None, :, *[None] * len(sides)].expand(coarse.shape)
    for _ in range(BLUR_STEPS):
        z = _multiply_axes(blurs, coarse * (coarse.conj() * z).sum(dim=2, keepdim=True))
        z = z / z.abs().flatten(2).amax(dim=2).clamp_min(TINY).reshape(*z.shape[:2], *[1] * (z.ndim - 2))
    wide = _multiply_axes([_interpolation_matrix(n, step, csm) for n, step in zip(sides, strides, strict=True)], z)
    along = torch.linalg.vecdot(csm, wide, dim=2).unsqueeze(2)
    if bool((along.abs() <= TINY).any()):
        plain = torch.einsum("bmc...,bc->bm...", csm.conj(), reference).unsqueeze(2)
        along = torch.where(along.abs() > TINY, along, plain)
    size = along.abs()
    return csm * torch.where(size > TINY, along / size.clamp_min(TINY), 1)


def _multiply_axes(matrices: Sequence[Float[Tensor, "out n"]], values: Tensor) -> Tensor:
    """Multiply each of the last axes by its matrix. The matrices are real, so real and imaginary parts go apart."""
    parts = torch.view_as_real(values.resolve_conj()).movedim(-1, 0)
    first = parts.ndim - len(matrices)
    for axis, matrix in enumerate(matrices, start=first):
        parts = torch.movedim(torch.tensordot(matrix, parts, dims=([1], [axis])), 0, axis)
    return torch.complex(parts[0], parts[1])


def _blur_matrix(size: int, step: int, like: Tensor) -> Float[Tensor, "n n"]:
    """Return the matrix of a Gaussian blur on every `step`-th pixel. Nothing comes from beyond the border."""
    place = torch.arange(0, size, step, dtype=torch.float64) / size
    kernel = torch.exp(-(((place[:, None] - place[None]) / BLUR_WIDTH) ** 2) / 2)
    return (kernel / kernel.sum(dim=1).max()).to(like.device, like.real.dtype)


def _interpolation_matrix(size: int, step: int, like: Tensor) -> Float[Tensor, "size n"]:
    """Return the matrix of linear interpolation from every `step`-th pixel to all. Beyond the last one its value stays."""
    nodes = -(-size // step)
    place = (torch.arange(size, dtype=torch.float64) / step).clamp_max(nodes - 1)
    distance = (place[:, None] - torch.arange(nodes, dtype=torch.float64)).abs()
    return (1 - distance).clamp_min(0).to(like.device, like.real.dtype)
