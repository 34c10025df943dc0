"""By which rule the checkpoint of a training is chosen."""

from enum import StrEnum


class Selection(StrEnum):
    """The rule that chose the checkpoint of an arm. The values are what recipes, run folders and ``metrics.csv`` say."""

    GAMMA = "gamma"
    """The lowest Gamma score: no truth is seen."""
    REFERENCE = "reference"
    """The lowest error against the references of the validation scans: for comparison with what is possible."""
    NONE = "none"
    """Nothing was trained, and nothing is chosen: baselines."""


TRAINED = (Selection.GAMMA, Selection.REFERENCE)
"""The rules of arms that are trained."""
