"""By which rule the checkpoint of a training is chosen."""

from enum import StrEnum


class Selection(StrEnum):
    """This is the rule that chose the checkpoint of an arm. Recipes, run folders and ``metrics.csv`` write its values."""

    GAMMA = "gamma"
    """The lowest Gamma score chooses: no truth is seen."""
    REFERENCE = "reference"
    """The lowest error against the references of the validation scans chooses, for comparison with what is possible."""
    NONE = "none"
    """Nothing was trained, and nothing is chosen: baselines."""


TRAINED = (Selection.GAMMA, Selection.REFERENCE)
"""These are the rules of arms that are trained."""
