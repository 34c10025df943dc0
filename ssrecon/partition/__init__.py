r"""This room divides what was acquired: :math:`\Omega = \Theta \cup \Lambda` for training, :math:`\Gamma` for validation.

In come a `CalibratedScan` and a draw, out comes a `Partition` (or, of `Gamma`, the mask that is held out). One law a file; counts are
exact. Read ``base.py`` first, then ``uniform.py``; ``selection.py`` is what all of them share.
"""

from ssrecon.partition.base import Partition, Partitioner
from ssrecon.partition.bernoulli import Bernoulli
from ssrecon.partition.gamma import Gamma, gamma_score
from ssrecon.partition.gaussian import Gaussian
from ssrecon.partition.lines import Lines
from ssrecon.partition.uniform import Uniform
from ssrecon.partition.variable_density import VariableDensity

__all__ = ["Bernoulli", "Gamma", "Gaussian", "Lines", "Partition", "Partitioner", "Uniform", "VariableDensity", "gamma_score"]
