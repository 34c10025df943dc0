"""Robust equivariant imaging: equivariant imaging with SURE in place of data consistency."""

from dataclasses import dataclass
from typing import ClassVar

from ssrecon.draw import Draw
from ssrecon.objectives.base import Loss, Network, Objective
from ssrecon.objectives.equivariant_imaging import check_transform, transformed
from ssrecon.objectives.measurement import along, mean_square, measured, noise_level, white_noise, with_noise
from ssrecon.objectives.sure import check_step, risk
from ssrecon.objectives.transforms import Rotations, Transform
from ssrecon.scan import CalibratedScan


@dataclass(frozen=True)
class RobustEI(Objective):
    r"""`SURE` for what was acquired, equivariance for what was not, and noise where the scanner would have added some:

    .. math:: {\rm SURE}(f; y) + \alpha\, \tfrac1N \big\| T_g x_1 - f(E T_g x_1 + n) \big\|^2, \qquad x_1 = f(y),\ n \sim CN(0, \sigma^2)

    Data consistency, which `EquivariantImaging` trains on, would have the network reproduce the noise. Three evaluations of the network an
    update. The transforms are `EquivariantImaging`'s, and what is said there holds here.

    Chen, Tachella & Davies. Robust equivariant imaging: a fully unsupervised framework for learning to image from noisy and partial
    measurements. CVPR 2022. arXiv:2111.12855
    """

    transform: Transform = Rotations()
    weight: float = 1.0
    r""":math:`\alpha`."""
    step: float = 0.1
    """Of SURE's divergence, in units of the noise level; absolute in the paper (0.01)."""
    holds_out: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_transform(self, self.transform)
        check_step(self, self.step)

    @property
    def remarks(self) -> tuple[str, ...]:
        return (self.transform.leaves_unseen,) if self.transform.leaves_unseen else ()

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draw: Draw) -> Loss:
        estimate = network(scan)
        value, terms = risk(network, scan, estimate, draw, self.step)
        moved = transformed(scan, self.transform, estimate.image, draw, "transform 0")
        again = network(noisy(measured(scan, moved, scan.mask), draw))
        equivariance = self.weight * mean_square(moved - again.image)
        return Loss(value + equivariance, {**terms, "equivariance": equivariance})


def noisy(virtual: CalibratedScan, draw: Draw) -> CalibratedScan:
    """A measurement that was never made, with the noise that the scan's scanner would have added."""
    noise = white_noise(draw, "virtual noise", virtual.ids, virtual.kspace)
    return with_noise(virtual, along(noise_level(virtual), noise) * noise)
