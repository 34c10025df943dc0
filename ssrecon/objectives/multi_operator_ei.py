"""MO-EI: equivariant imaging through the other masks of the archive."""

from dataclasses import dataclass
from typing import ClassVar

from ssrecon.core.draw import Draw
from ssrecon.core.errors import at_least
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.equivariant_imaging import check_transform, drawn_moves, equivariance_of, virtual_noise
from ssrecon.objectives.measurement import predicted
from ssrecon.objectives.sampling_aware import SamplingAware
from ssrecon.objectives.sure import check_step, divergence_probe, risk
from ssrecon.objectives.transforms import Diffeomorphisms, Transform


@dataclass(frozen=True)
class MultiOperatorEI(SamplingAware):
    r"""This is `EquivariantImaging` and `MultiOperatorImaging` in one term: another image through another mask.

    .. math:: d\big(y, E x_1\big) + \alpha\, \tfrac1N \big\| T_g x_1 - f(E_g T_g x_1) \big\|^2, \qquad x_1 = f(y)

    With ``robust=True``, `SURE` takes the place of data consistency and the virtual measurement gets the scan's noise, as in `RobustEI`.
    What both methods say of their conditions holds: transforms that do not commute with the sampling, masks that differ.

    Wang, McDonagh & Davies. Benchmarking self-supervised methods for accelerated MRI reconstruction (SSIBench).
    doi:10.48550/arXiv.2502.14009 (2025)
    """

    transform: Transform = Diffeomorphisms()
    distance: Distance = MeanSquare()
    weight: float = 1.0
    r"""This is :math:`\alpha`."""
    robust: bool = False
    step: float = 0.1
    """This is the step of SURE's divergence, in units of the noise level."""
    holds_out: ClassVar[bool] = False
    needs_several_masks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_transform(self, self.transform)
        check_step(self, self.step)
        at_least(self, weight=0)

    @property
    def needs_noise_level(self) -> bool:  # type: ignore[override]  # here a setting decides
        return self.robust

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        robust = {"probe": divergence_probe(scan, draw), "noise": virtual_noise(scan, draw)} if self.robust else {}
        return Draws(mask=self.known.other_masks(scan, draw, "other mask"), moves=drawn_moves(self.transform, scan, draw), **robust)

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        estimate = network(scan)
        if self.robust:
            noise = draws.noise
            value, terms = risk(network, scan, estimate, draws.probe, self.step)
        else:
            noise = None
            value = self.distance(predicted(scan, estimate), scan.kspace)
            terms = {"consistency": value}
        equivariance = self.weight * equivariance_of(network, scan, estimate, draws.moves, draws.mask, noise)
        return Loss(value + equivariance, {**terms, "equivariance": equivariance})
