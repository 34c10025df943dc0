"""Random columns with calibration lines."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.window import centre_block
from ssrecon.sampling.patterns.base import Pattern, along_phase, budget, phase_axis


@dataclass(frozen=True)
class RandomColumns(Pattern):
    """This pattern keeps exactly round(N / R) columns: the calibration lines in the centre, and others drawn uniformly without replacement.

    fastMRI's random mask draws each column by itself, so that the number of lines differs from scan to scan; here it does not.

    Zbontar et al. fastMRI: an open dataset and benchmarks for accelerated MRI. arXiv:1811.08839.
    """

    acceleration: float
    """Overall, calibration lines included."""
    calibration_lines: int = 24

    def sample(self, matrix: tuple[int, ...], generator: np.random.Generator, readout: bool = True) -> Bool[Tensor, "*k"]:
        """Draw the columns. Raises `BadInput` where calibration lines alone exceed what the acceleration leaves."""
        n = matrix[phase_axis(matrix, readout)]
        columns = np.zeros(n, dtype=bool)
        columns[centre_block(n, self.calibration_lines)] = True
        kept = budget(self, n, self.acceleration, int(columns.sum()))
        others = np.flatnonzero(~columns)
        columns[generator.choice(others, size=kept - int(columns.sum()), replace=False)] = True
        return along_phase(columns, matrix, readout)
