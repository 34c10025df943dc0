"""Prewhitening: after it, the noise of every coil is independent and has E|n|^2 = 1."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.shapes import checked

LEAST_VARIANCE = 1e-8
"""A coil whose noise variance is below this part of the median coil's, of those with any noise, is not connected."""
LEAST_EIGENVALUE = 1e-6
"""Coils are copies of one another where the smallest eigenvalue of their noise correlation is below this part of the largest."""


@checked
@dataclass(frozen=True)
class Whitening:
    """The matrix by which k-space is multiplied over its coils. Coils that are not connected are left out of the product."""

    matrix: Complex[Tensor, "connected coils"]
    notes: tuple[str, ...] = ()
    """What had to be done to make it possible."""


@checked
def noise_covariance(
    noise: Complex[Tensor, "readouts coils samples"], bandwidth_ratio: float = 1.0, where: object = "noise scan"
) -> Complex[Tensor, "coils coils"]:
    r"""Return the covariance of one k-space sample's noise, :math:`\Sigma = \beta\, E[n n^H]`, in complex128.

    The mean runs over all samples of all readouts, which is what makes the whitened variance 1 (not 1/N); `bandwidth_ratio`
    :math:`\beta` is the noise variance of the imaging readouts over that of the noise readouts. Raises BadInput where there are fewer than
    ten samples a coil, where samples are not finite, or where all are zero (a box cut from zero-filled k-space is no noise measurement).
    """
    coils = noise.shape[1]
    samples = noise.transpose(0, 1).flatten(1).to(torch.complex128)
    if samples.shape[1] < 10 * coils:
        raise BadInput(where, f"{samples.shape[1]} noise samples for {coils} coils", f"at least {10 * coils}: a longer noise scan")
    if not bool(torch.isfinite(torch.view_as_real(samples)).all()):
        raise BadInput(where, "noise samples that are not finite", "finite receiver noise")
    if not bool((samples != 0).any()):
        raise BadInput(where, "noise samples that are all zero", "receiver noise: readouts without signal, not zero-filled k-space")
    if not (bandwidth_ratio > 0 and bandwidth_ratio < float("inf")):
        raise BadInput(where, f"a noise bandwidth ratio of {bandwidth_ratio}", "a positive number")
    return samples @ samples.mH * (bandwidth_ratio / samples.shape[1])


@checked
def whitening(
    covariance: Complex[Tensor, "coils coils"], where: object = "noise scan", connected: Bool[Tensor, " coils"] | None = None
) -> Whitening:
    r"""Return :math:`W = L^{-1}` with :math:`\Sigma = L L^H` (Cholesky) of the connected coils, so that :math:`W \Sigma W^H = I`.

    A coil is not connected where it has no noise, or where `connected` says so. W has a row for every connected coil, and zeros in the
    columns of the others, so that whatever is whitened has fewer coils and noise of variance 1 in each of them; the notes name the coils
    without noise. Raises BadInput where no coil is connected, or where the connected ones are linearly dependent, which no noise scan of
    real receivers is.

    Pruessmann et al. Advances in sensitivity encoding with arbitrary k-space trajectories. Magn Reson Med 46:638-651 (2001), appendix.
    doi:10.1002/mrm.1241
    """
    covariance = covariance.to(torch.complex128)
    variance = covariance.diagonal().real
    wanted = torch.ones_like(variance, dtype=torch.bool) if connected is None else connected.to(variance.device)
    live = coils_with_noise(variance, wanted)
    if not bool(live.any()):
        raise BadInput(where, "no connected coil with any noise", "receiver noise in every connected coil")
    notes = tuple(f"coil {int(c)} of {len(variance)} has no noise: not connected, left out" for c in (wanted & ~live).nonzero().flatten())
    within = covariance[live][:, live]
    std = within.diagonal().real.sqrt()
    values = torch.linalg.eigvalsh(within / (std[:, None] * std[None, :]))
    if float(values[0]) < LEAST_EIGENVALUE * float(values[-1]):
        raise BadInput(
            where,
            f"a singular noise covariance (eigenvalues of the correlation from {float(values[0]):.1e} to {float(values[-1]):.1e})",
            "linearly independent coils: remove copies, or compress to fewer virtual coils before writing the file",
        )
    choice = torch.eye(len(variance), dtype=covariance.dtype, device=covariance.device)[live]
    factor = torch.linalg.cholesky(within)
    return Whitening(torch.linalg.solve_triangular(factor, choice, upper=False).to(torch.complex64), notes)


@checked
def coils_with_noise(variance: Float[Tensor, " coils"], wanted: Bool[Tensor, " coils"]) -> Bool[Tensor, " coils"]:
    """Tell which of the `wanted` coils have at least `LEAST_VARIANCE` of the median noise variance of those with any noise."""
    some = variance[(variance > 0) & wanted]
    return wanted & (variance > LEAST_VARIANCE * some.median()) if len(some) else torch.zeros_like(wanted)


@checked
def mix_coils(
    matrix: Complex[Tensor, "out coils"], kspace: Complex[Tensor, "batch frames coils *k"]
) -> Complex[Tensor, "batch frames out *k"]:
    """Multiply k-space (or csm) by `matrix` over the coil axis, the third."""
    return torch.einsum("oc,bfc...->bfo...", matrix.to(kspace.dtype), kspace)
