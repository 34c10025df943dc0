"""Whole phase-encoding lines: the split has the geometry of the acquisition."""

from dataclasses import dataclass

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan
from ssrecon.partition.base import Partition, Partitioner
from ssrecon.partition.selection import check_fraction, check_protected, split_exactly


@dataclass(frozen=True)
class Lines(Partitioner):
    r"""Lambda is whole phase-encoding lines of :math:`\Omega`, drawn uniformly. In 3-D k-space a line is a (kz, ky) location.

    The number of lines in :math:`\Lambda` is exact, and so is `inclusion`. Splitting random columns by columns is what the theory of
    self-supervision by splitting asks for; on a lattice it leaves gaps of twice the acceleration, and points are what was published.
    Raises BadInput, naming the scan, for a scan without a readout axis (a hybrid slice) and for a mask that varies along the readout.

    Millard & Chiew. A theoretical framework for self-supervised MR image reconstruction using sub-sampling via variable density
    Noisier2Noise. IEEE Trans Comput Imaging 9:707-720 (2023). doi:10.1109/TCI.2023.3299212
    """

    loss_fraction: float = 0.4
    """Lines in Lambda over the number of lines that may be split, per scan and frame."""
    protected: int = 4
    """Lines about DC that always stay in Theta; in 3-D a square of them."""

    def __post_init__(self) -> None:
        check_fraction(self, "loss_fraction", self.loss_fraction)
        check_protected(self, (self.protected,))

    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        return split_exactly(scan, draw, self.loss_fraction, (self.protected,), lines=True)
