"""This room draws sampling patterns for retrospective studies, and says how scans and archives were sampled.

In come a matrix and a draw, out comes a mask (``patterns/``, one a file; `undersample` applies it to a `Scan`). In comes one scan, out
comes how it was sampled (``describe/``: pattern, acceleration, calibration, partial Fourier): every room asks here. In come the masks
of an archive, out comes how often each location was acquired (`Density`). Read ``patterns/base.py`` first.
"""

from ssrecon.sampling.density import Density, Sampling
from ssrecon.sampling.describe import SamplingDescription, describe_mask, describe_sampling, on_protocol, protocol_key
from ssrecon.sampling.patterns.base import Pattern, Undersampling, undersample
from ssrecon.sampling.patterns.equispaced import Equispaced
from ssrecon.sampling.patterns.mask_file import MaskFile
from ssrecon.sampling.patterns.poisson_disc import PoissonDisc
from ssrecon.sampling.patterns.random_columns import RandomColumns
from ssrecon.sampling.patterns.variable_density import VariableDensity

__all__ = [
    "Density",
    "Equispaced",
    "MaskFile",
    "Pattern",
    "PoissonDisc",
    "RandomColumns",
    "Sampling",
    "SamplingDescription",
    "Undersampling",
    "VariableDensity",
    "describe_mask",
    "describe_sampling",
    "on_protocol",
    "protocol_key",
    "undersample",
]
