"""What a baseline is: a reconstruction with nothing to train."""

from abc import ABC, abstractmethod

from ssrecon.core.scan import CalibratedScan, Estimate


class Baseline(ABC):
    """A baseline is a classical reconstruction. It is a frozen dataclass: the object is its own configuration.

    A baseline is called like a network, so that whatever takes the one takes the other.
    """

    @abstractmethod
    def reconstruct(self, scan: CalibratedScan) -> Estimate:
        """Return one image a scan from everything that was acquired, independent of batch-mates, in the scan's own scaled units."""

    def __call__(self, scan: CalibratedScan) -> Estimate:
        return self.reconstruct(scan)
