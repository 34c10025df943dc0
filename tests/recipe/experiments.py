"""The project's own recipes, for tests that need an experiment."""

from dataclasses import replace
from pathlib import Path

from ssrecon.archive.splits import BySubject
from ssrecon.recipe.load import load_recipe
from ssrecon.recipe.overrides import override
from ssrecon.recipe.recipe import Comparison

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.py"))


def recipe_file(stem: str) -> Path:
    """Return the file of a recipe."""
    return next(path for path in RECIPES if path.stem == stem)


QUICKSTART = recipe_file("quickstart")


def small_quickstart() -> Comparison:
    """Return the quickstart, as small as it goes."""
    arguments = ["--data.source.subjects", "3", "--data.source.slices", "1", "--data.source.matrix", "48", "48", "--training.steps", "2"]
    shrunk = override(load_recipe(QUICKSTART), [*arguments, "--network.denoiser.channels", "4", "--network.unrolls", "2"])
    data = replace(shrunk.data, split=BySubject(1, 1), pattern=replace(shrunk.data.pattern, acceleration=2))
    return replace(shrunk, arms={name: replace(arm, data=data) for name, arm in shrunk.arms.items()})
