"""Equispaced columns with calibration lines."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.window import centre_block
from ssrecon.sampling.patterns.base import Pattern, along_phase, budget, phase_axis


@dataclass(frozen=True)
class Equispaced(Pattern):
    """This pattern keeps columns at equal distance, and a block of calibration lines in the centre.

    With `overall`, `acceleration` is that of all lines together, as in fastMRI: N/R lines of which L are calibration put the others at a
    distance of (N - L) / (N/R - L), rounded to the grid, which comes as near to N/R lines as the lattice allows. Without, every R-th column
    is kept and the calibration lines come on top, as SSDU was published (R=4 with 24 lines of 368 is then 3.3 overall).

    Zbontar et al. arXiv:1811.08839. Yaman et al. Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    acceleration: float
    calibration_lines: int = 24
    offset: int | None = None
    """The place of the first column; None draws it, so that over an archive every column is sampled equally often."""
    overall: bool = True

    def sample(self, matrix: tuple[int, ...], generator: np.random.Generator, readout: bool = True) -> Bool[Tensor, "*k"]:
        """Draw the columns. Raises `BadInput` where calibration lines alone exceed what the acceleration leaves."""
        n = matrix[phase_axis(matrix, readout)]
        calibration = centre_block(n, self.calibration_lines)
        centre = calibration.stop - calibration.start
        distance = float(self.acceleration)
        if self.overall:
            kept = budget(self, n, self.acceleration, centre)
            # With as many lines as calibration takes there is no lattice: a distance that leaves the matrix.
            distance = (n - centre) / (kept - centre) if kept > centre else float(n)
        elif not distance >= 1:
            raise BadInput("undersampling Equispaced", found=f"acceleration {distance}", expected="at least 1")
        columns = np.zeros(n, dtype=bool)
        offset = generator.integers(max(1, round(distance))) if self.offset is None else self.offset % max(1, round(distance))
        if not self.overall or kept > centre:
            places = np.floor(np.arange(offset, n, distance)).astype(int)
            columns[places] = True
        columns[calibration] = True
        return along_phase(columns, matrix, readout)
