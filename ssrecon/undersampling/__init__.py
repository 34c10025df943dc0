"""Sampling patterns for retrospective studies, one a file, `undersample`, and the density of an archive as it was sampled."""

from ssrecon.undersampling.base import Pattern, undersample
from ssrecon.undersampling.density import Density, Sampling
from ssrecon.undersampling.equispaced import Equispaced
from ssrecon.undersampling.poisson_disc import PoissonDisc
from ssrecon.undersampling.random_columns import RandomColumns
from ssrecon.undersampling.variable_density import VariableDensity

__all__ = ["Density", "Equispaced", "Pattern", "PoissonDisc", "RandomColumns", "Sampling", "VariableDensity", "undersample"]
