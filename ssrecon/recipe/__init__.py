"""Recipes: frozen descriptions of a training and of a comparison of trainings.

In come fields, from Python files (``load.py``) and from the command line (``overrides.py``); out comes a `Recipe` or a `Comparison`, whose
description is JSON and whose hash covers what changes a result. Read ``recipe.py`` first.
"""

from ssrecon.recipe.load import load_recipe
from ssrecon.recipe.overrides import override
from ssrecon.recipe.recipe import BaselineArm, Comparison, Margins, Recipe, Training, classical
from ssrecon.recipe.selection import Selection
from ssrecon.store.data import Data

__all__ = [
    "BaselineArm",
    "Comparison",
    "Data",
    "Margins",
    "Recipe",
    "Selection",
    "Training",
    "classical",
    "load_recipe",
    "override",
]
