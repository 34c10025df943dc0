"""Points held out with a density that falls as a polynomial of the radius."""

from dataclasses import dataclass

import numpy as np

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.partition.base import Partition, Partitioner
from ssrecon.partition.selection import check_fraction, check_protected, radius_below_one, split_exactly


@dataclass(frozen=True)
class VariableDensity(Partitioner):
    r"""Lambda is points of :math:`\Omega`, drawn one after another without replacement with weights :math:`w_k = (1 - r_k)^p`.

    r is the distance from DC, 0 there and just below 1 in the corners (`radius_below_one`). With p = `order` = 0 this is `Uniform`.
    :math:`|\Lambda|` is exact, `inclusion` an approximation (`inclusion_probability`). The polynomial is the density of variable-density
    sampling:

    Lustig et al. Sparse MRI: the application of compressed sensing for rapid MR imaging. Magn Reson Med 58:1182-1195 (2007).
    doi:10.1002/mrm.21391
    """

    loss_fraction: float = 0.4
    r""":math:`|\Lambda|` over the number of samples that may be split, per scan and frame."""
    order: float = 2.0
    """The power p, 0 or more."""
    protected: tuple[int, ...] = (4, 4)
    """Sides of the box about DC that always stays in Theta, in the order of ``*k``; for more axes the first side is repeated."""

    def __post_init__(self) -> None:
        check_fraction(self, "loss_fraction", self.loss_fraction)
        check_protected(self, self.protected)
        if not 0 <= self.order < float("inf"):
            raise BadRecipe("VariableDensity.order", found=repr(self.order), expected="0 or more")

    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        log_weights = self.order * np.log1p(-radius_below_one(scan.mask.shape[3:])) if self.order else None
        return split_exactly(scan, draw, self.loss_fraction, self.protected, log_weights)
