"""Sampling patterns for retrospective studies, one a file, and `undersample`."""

from ssrecon.undersampling.base import Pattern, undersample
from ssrecon.undersampling.equispaced import Equispaced
from ssrecon.undersampling.poisson_disc import PoissonDisc
from ssrecon.undersampling.random_columns import RandomColumns
from ssrecon.undersampling.variable_density import VariableDensity

__all__ = ["Equispaced", "Pattern", "PoissonDisc", "RandomColumns", "VariableDensity", "undersample"]
