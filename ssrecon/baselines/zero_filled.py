"""Zero-filling: the adjoint of the encoding."""

from dataclasses import dataclass

from ssrecon.baselines.base import Baseline
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.operators import coil_combined


@dataclass(frozen=True)
class ZeroFilled(Baseline):
    r"""Zero-filling combines the coils with zeros where nothing was acquired, :math:`x = E^H y`. Every iteration starts from it."""

    def reconstruct(self, scan: CalibratedScan) -> Estimate:
        return Estimate(coil_combined(scan))
