"""Robust equivariant imaging: equivariant imaging with SURE in place of data consistency."""

from dataclasses import dataclass
from typing import ClassVar

from ssrecon.core.draw import Draw
from ssrecon.core.errors import at_least
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives.base import Draws, Loss, Network, Objective
from ssrecon.objectives.equivariant_imaging import check_transform, drawn_moves, equivariance_of, virtual_noise
from ssrecon.objectives.sure import check_step, divergence_probe, risk
from ssrecon.objectives.transforms import Rotations, Transform


@dataclass(frozen=True)
class RobustEI(Objective):
    r"""This takes `SURE` for what was acquired, equivariance for what was not, and adds noise where the scanner would have added some:

    .. math:: {\rm SURE}(f; y) + \alpha\, \tfrac1N \big\| T_g x_1 - f(E T_g x_1 + n) \big\|^2, \qquad x_1 = f(y),\ n \sim CN(0, \sigma^2)

    Data consistency, which `EquivariantImaging` trains on, would have the network reproduce the noise. Three evaluations of the network an
    update, and one more for each further transform (two in the paper); their terms are averaged. The transforms are
    `EquivariantImaging`'s, and what is said there holds here.

    Chen, Tachella & Davies. Robust equivariant imaging: a fully unsupervised framework for learning to image from noisy and partial
    measurements. CVPR 2022. doi:10.48550/arXiv.2111.12855
    """

    transform: Transform = Rotations()
    weight: float = 1.0
    r"""This is :math:`\alpha`."""
    step: float = 0.1
    """This is the step of SURE's divergence, in units of the noise level; in the paper it is absolute (0.01)."""
    transforms: int = 1
    """The number of transforms drawn for each scan at each update."""
    holds_out: ClassVar[bool] = False
    needs_noise_level: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_transform(self, self.transform)
        check_step(self, self.step)
        at_least(self, weight=0, transforms=1)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        moves = drawn_moves(self.transform, scan, draw, self.transforms)
        return Draws(probe=divergence_probe(scan, draw), moves=moves, noise=virtual_noise(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        estimate = network(scan)
        value, terms = risk(network, scan, estimate, draws.probe, self.step)
        equivariance = self.weight * equivariance_of(network, scan, estimate, draws.moves, noise=draws.noise)
        return Loss(value + equivariance, {**terms, "equivariance": equivariance})
