"""Noise2Recon: reconstruct what is missing, and be consistent under noise."""

from dataclasses import dataclass

import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe, at_least
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, NormalizedL1L2
from ssrecon.objectives.measurement import l1_norm, noise_level, noisier, relative, support, white_noise
from ssrecon.objectives.ssdu import held_out_loss
from ssrecon.partition import Partitioner, Uniform


@dataclass(frozen=True)
class Noise2Recon(Objective):
    r"""This is SSDU, and in addition consistency of the image under noise added to all that was acquired:

    .. math:: L\big(y_\Lambda, E_\Lambda f(y_\Theta)\big) + \lambda \frac{\| f(y + \tilde n) - {\rm sg} f(y) \|_1}{\| {\rm sg} f(y) \|_1}

    where sg stops the gradient: the image without added noise is the pseudo-reference, not the other way round. :math:`\tilde n` is white
    with a standard deviation drawn per scan from U[`least`, `most`] times the scan's own. ``weight=0`` is `SSDU` with a split redrawn at
    every pass. This is the self-supervised variant of the paper; its image term is divided here by the norm of the pseudo-reference, so
    that `weight` means the same at any brightness, and the l1 norm sums real and imaginary parts.

    Desai et al. Noise2Recon: enabling SNR-robust MRI reconstruction with semi-supervised and self-supervised learning. Magn Reson Med
    90:2052-2070 (2023). doi:10.1002/mrm.29759
    """

    partitioner: Partitioner = Uniform(loss_fraction=0.4)
    distance: Distance = NormalizedL1L2()
    weight: float = 1.0
    r"""This is :math:`\lambda`."""
    least: float = 0.5
    most: float = 2.0
    """`least` and `most` are the range of the added noise in units of the scan's own, and are those of SSIBench. The paper's absolute
    levels and its image term that is not divided cannot be had here, where scans differ in brightness and noise.
    """

    def __post_init__(self) -> None:
        at_least(self, weight=0)
        if not (0 <= self.least <= self.most < float("inf") and self.most > 0):
            raise BadRecipe("Noise2Recon.most", found=f"noise from {self.least} to {self.most}", expected="a range of positive multiples")

    @property
    def needs_noise_level(self) -> bool:  # type: ignore[override]  # here a setting decides
        return self.weight > 0

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        part = self.partitioner.split(scan, draw)
        if self.weight == 0:
            return Draws(part=part)
        levels = [draw.generator("noise level", key).uniform(self.least, self.most) for key in scan.keys]
        return Draws(part=part, level=torch.tensor(levels, dtype=torch.float32), noise=white_noise(scan, draw, "noise"))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        held_out = held_out_loss(network, scan, draws.part, self.distance).per_scan
        if self.weight == 0:
            return Loss(held_out)
        with torch.no_grad():
            pseudo = network(scan).image
        image = network(noisier(scan, draws.noise, noise_level(scan) * draws.level)).image
        # Only where a coil sees anything: no data hold an image elsewhere, and one that grows there makes every difference small.
        inside = support(scan.csm)
        difference, norm = (l1_norm(part * inside) for part in (image - pseudo, pseudo))
        consistency = self.weight * relative(difference, norm)
        return Loss(held_out + consistency, {"held_out": held_out, "consistency": consistency})
