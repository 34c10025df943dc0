"""Multi-operator imaging: what one scan's sampling leaves out, another scan's has."""

from dataclasses import dataclass
from typing import ClassVar

from ssrecon.core.draw import Draw
from ssrecon.core.errors import at_least
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.measurement import mean_square, predicted, simulated_measurement, support
from ssrecon.objectives.sampling_aware import SamplingAware


@dataclass(frozen=True)
class MultiOperatorImaging(SamplingAware):
    r"""The loss is data consistency, and the difference between an image and what the network makes of that image's virtual measurement
    through another mask of the archive:

    .. math:: d\big(y, E x_1\big) + \alpha\, \tfrac1N \big\| x_1 - f(E_g x_1) \big\|^2, \qquad x_1 = f(y)

    with the gradient through :math:`x_1` on both sides. The masks are those the archive was acquired with (`Sampling`): where they are all
    the same there is no other operator, and nothing could be learned from virtual ones that the data does not know; `fitted` refuses that.

    Tachella, Chen & Davies. Unsupervised learning from incomplete measurements for inverse problems. NeurIPS 2022.
    doi:10.48550/arXiv.2201.12151
    """

    distance: Distance = MeanSquare()
    weight: float = 1.0
    r"""This is :math:`\alpha`."""
    holds_out: ClassVar[bool] = False
    needs_several_masks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(self, weight=0)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(mask=self.known.other_masks(scan, draw, "other mask"))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        estimate = network(scan)
        consistency = self.distance(predicted(scan, estimate), scan.kspace)
        again = network(simulated_measurement(scan, estimate.image, draws.mask, estimate))
        # Where no coil sees anything the images agree on nothing that was measured.
        agreement = self.weight * mean_square((estimate.image - again.image) * support(scan.csm))
        return Loss(consistency + agreement, {"consistency": consistency, "agreement": agreement})
