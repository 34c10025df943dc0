"""Multi-operator imaging: what one scan's sampling leaves out, another scan's has."""

from dataclasses import dataclass
from typing import ClassVar

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe, at_least
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives.base import Draws, Loss, Network, Objective
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.measurement import mean_square, measured, predicted, support
from ssrecon.objectives.sampling_aware import SamplingAware
from ssrecon.sampling import Sampling


@dataclass(frozen=True)
class MultiOperatorImaging(SamplingAware):
    r"""Data consistency, and the same image again from its virtual measurement through another mask of the archive:

    .. math:: d\big(y, E x_1\big) + \alpha\, \tfrac1N \big\| x_1 - f(E_g x_1) \big\|^2, \qquad x_1 = f(y)

    with the gradient through :math:`x_1` on both sides. The masks are those the archive was acquired with (`Sampling`): where they are all
    the same there is no other operator, and nothing could be learned from virtual ones that the data does not know; `fitted` refuses that.

    Tachella, Chen & Davies. Unsupervised learning from incomplete measurements for inverse problems. NeurIPS 2022.
    doi:10.48550/arXiv.2201.12151
    """

    distance: Distance = MeanSquare()
    weight: float = 1.0
    r""":math:`\alpha`."""
    holds_out: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(self, weight=0)

    def check(self, sampling: Sampling) -> None:
        require_several_masks(self, sampling)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(mask=self.known.other_masks(scan, draw, "other mask"))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        estimate = network(scan)
        consistency = self.distance(predicted(scan, estimate), scan.kspace)
        again = network(measured(scan, estimate.image, draws.mask, estimate))
        # Where no coil sees anything the images agree on nothing that was measured.
        agreement = self.weight * mean_square((estimate.image - again.image) * support(scan.csm))
        return Loss(consistency + agreement, {"consistency": consistency, "agreement": agreement})


def require_several_masks(objective: Objective, sampling: Sampling) -> None:
    """Raises BadRecipe where the scans of a matrix were all sampled by one mask."""
    for matrix, density in sampling.densities.items():
        if all((mask == density.masks[0]).all() for mask in density.masks):
            name = "x".join(map(str, matrix))
            found = f"one sampling mask in all scans of {name}: no second operator to learn from"
            raise BadRecipe(type(objective).__name__, found=found, expected="masks that differ from scan to scan, or equivariant imaging")
