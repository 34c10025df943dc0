"""Distances between predicted and measured k-space, one a file: what is inside a loss.

In come two arrays of k-space and perhaps weights, out comes one value a scan. Read ``base.py`` first, then ``normalized_l1_l2.py``.
"""

from ssrecon.objectives.distances.base import Distance
from ssrecon.objectives.distances.mean_square import MeanSquare
from ssrecon.objectives.distances.normalized_l1 import NormalizedL1
from ssrecon.objectives.distances.normalized_l1_l2 import NormalizedL1L2
from ssrecon.objectives.distances.normalized_square import NormalizedSquare

__all__ = ["Distance", "MeanSquare", "NormalizedL1", "NormalizedL1L2", "NormalizedSquare"]
