"""Every sample is as likely as any other."""

from dataclasses import dataclass

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan
from ssrecon.partition.base import Partition, Partitioner
from ssrecon.partition.selection import check_fraction, check_protected, split_exactly


@dataclass(frozen=True)
class Uniform(Partitioner):
    r"""Lambda is points of :math:`\Omega` outside the protected centre, drawn uniformly; its size is exact, and so is `inclusion`.

    This is the selection of ZS-SSL, and one of the two of SSDU. Raises BadInput where nothing can be split.

    Yaman et al. Self-supervised learning of physics-guided reconstruction neural networks without fully sampled reference data.
    Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    loss_fraction: float = 0.4
    r""":math:`|\Lambda|` over the number of samples that may be split, per scan and frame."""
    protected: tuple[int, ...] = (4, 4)
    """Sides of the box about DC that always stays in Theta, in the order of ``*k``; for more axes the first side is repeated."""

    def __post_init__(self) -> None:
        check_fraction(self, "loss_fraction", self.loss_fraction)
        check_protected(self, self.protected)

    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        return split_exactly(scan, draw, self.loss_fraction, self.protected)
