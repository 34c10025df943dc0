"""SURE: an unbiased estimate of the risk on what was acquired, from the noise level alone."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.per_scan import per_scan
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.core.shapes import checked
from ssrecon.objectives.base import Draws, Loss, Network, Objective
from ssrecon.objectives.measurement import noise_level, predicted, white_noise, with_noise


@dataclass(frozen=True)
class SURE(Objective):
    r"""SURE is Stein's unbiased risk estimate of the predicted measurement :math:`h(y) = E f(y)`, for complex white noise with
    :math:`E|n|^2 = \sigma^2` a sample, m acquired locations and :math:`N_c` coils:

    .. math:: \frac1m \|h(y) - y\|^2 - N_c \sigma^2 + \frac{2 \sigma^2}{m \tau} {\rm Re}\, b^H \big(h(y + \tau b) - h(y)\big)

    with the divergence by one complex probe b, E|b|^2 = 1, at a distance :math:`\tau` = `step` :math:`\sigma`. In expectation over noise
    and probe it is :math:`\|h(y) - E x\|^2 / m`: the error **on what was acquired** and nothing else. Where Omega is incomplete the
    null space is not judged at all; SURE alone leaves it to the network's structure, and is what robust equivariant imaging builds on.
    It takes E for known: a csm that was calibrated from samples of Omega has fitted some of their noise, and the estimate is too small
    (by 9 % for a linear shrinkage of a scan with noise of .2 of its bright tissue). Papers count :math:`\sigma` per real channel, half of
    this one's square. It can be negative.

    Stein. Estimation of the mean of a multivariate normal distribution. Ann Stat 9:1135-1151 (1981). doi:10.1214/aos/1176345632.
    Ramani, Blu & Unser. Monte-Carlo SURE. IEEE Trans Image Process 17:1540-1554 (2008). doi:10.1109/TIP.2008.2001404
    """

    step: float = 0.1
    """This is the step of the divergence, in units of the noise level."""
    holds_out: ClassVar[bool] = False
    needs_noise_level: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_step(self, self.step)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(probe=divergence_probe(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        return Loss(*risk(network, scan, network(scan), draws.probe, self.step))


def check_step(owner: object, step: float) -> None:
    """Raise BadRecipe unless the step is positive."""
    if not 0 < step < float("inf"):
        raise BadRecipe(f"{type(owner).__name__}.step", found=repr(step), expected="a positive number")


def divergence_probe(scan: CalibratedScan, draw: Draw) -> Complex[Tensor, "batch frames coils *k"]:
    """Draw the probe b: it is white and of variance 1."""
    return white_noise(scan, draw, "divergence")


@checked
def risk(
    network: Network,
    scan: CalibratedScan,
    estimate: Estimate,
    probe: Complex[Tensor, "batch frames coils *k"],
    step: float,
    weight: Float[Tensor, "batch frames 1 *k"] | None = None,
) -> tuple[Float[Tensor, " batch"], dict[str, Float[Tensor, " batch"]]]:
    r"""Return the estimate of :math:`\sum W |h - E x|^2 / m` of each scan, and its three terms; W is 1 where no `weight` is given."""
    sigma = noise_level(scan)
    first = predicted(scan, estimate)
    # Without noise there is no divergence to know, and no unit for the step.
    tau = per_scan(step * torch.where(sigma > 0, sigma, 1), probe)
    moved = predicted(scan, network(with_noise(scan, tau * probe)))
    omega = scan.mask & ~scan.padding
    weighted = omega.to(sigma.dtype) if weight is None else weight * omega
    locations = omega.flatten(1).sum(dim=1)
    coils = scan.kspace.shape[2]

    def summed(values: Complex[Tensor, "batch frames coils *k"]) -> Float[Tensor, " batch"]:
        return (weighted * values.real).flatten(1).sum(dim=1) / locations

    residual = first - scan.kspace
    consistency = summed(residual * residual.conj())
    noise = -(sigma**2) * coils * weighted.flatten(1).sum(dim=1) / locations
    divergence = 2 * sigma**2 * summed(probe.conj() * (moved - first) / tau)
    return consistency + noise + divergence, {"consistency": consistency, "noise": noise, "divergence": divergence}
