"""Points at random, denser towards the centre."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.radius import radius
from ssrecon.core.window import centre_block
from ssrecon.sampling.patterns.base import Pattern, budget, over_readout, points_matrix


@dataclass(frozen=True)
class VariableDensity(Pattern):
    r"""This pattern keeps exactly round(N / R) points of the phase-encoded axes: a calibration block, and others drawn without replacement
    with weights :math:`(1 - r)^{\text{order}}`, where r is 0 at DC and 1 in the corners of the matrix.

    Lustig, Donoho, Pauly. Sparse MRI. Magn Reson Med 58:1182-1195 (2007). doi:10.1002/mrm.21391
    """

    acceleration: float
    """Overall, the calibration block included."""
    calibration: int = 24
    """Side of the calibration block."""
    order: float = 3.0
    retrospective_2d: bool = False
    """Allow single points along the readout of a 2-D slice: no scanner can, published studies do."""

    def sample(self, matrix: tuple[int, ...], generator: np.random.Generator, readout: bool = True) -> Bool[Tensor, "*k"]:
        """Draw the points. Raises `BadInput` where the calibration block alone exceeds what the acceleration leaves, or a readout would be
        broken up."""
        axes = points_matrix(self, matrix, readout, self.retrospective_2d)
        points = np.zeros(axes, dtype=bool)
        points[tuple(centre_block(n, self.calibration) for n in axes)] = True
        kept = budget(self, points.size, self.acceleration, int(points.sum()))
        # Gumbel top-k: the largest log weight + Gumbel noise are a draw without replacement. The corners' weight 0 becomes a tiny one.
        weight = self.order * np.log(np.maximum(1 - radius(axes) / np.sqrt(len(axes)), 1e-6))
        key = weight + generator.gumbel(size=axes)
        key[points] = np.inf
        chosen = np.argpartition(key, points.size - kept, axis=None)[points.size - kept :]
        points.flat[chosen] = True
        return over_readout(points, matrix)
