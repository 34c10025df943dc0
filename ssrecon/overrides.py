"""Recipes from files, and dotted overrides of their fields from the command line."""

import re
import runpy
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import is_dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TypeVar

from ssrecon.errors import BadRecipe
from ssrecon.recipe import Comparison, Recipe

Experiment = Recipe | Comparison
R = TypeVar("R")


def load_recipe(path: Path | str) -> Experiment:
    """The `recipe` or `comparison` that a Python file builds. The file is run: it is the user's own code."""
    path = Path(path)
    if not path.is_file():
        raise BadRecipe(path, found="no such file", expected="a Python file that builds one `recipe` or `comparison`")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        names = runpy.run_path(str(path), run_name="recipe")
    except (TypeError, NameError, AttributeError, SyntaxError, ImportError) as error:
        raise BadRecipe(path, found=f"{type(error).__name__}: {error}", expected="a Python file that builds a recipe") from error
    finally:
        sys.path.pop(0)
    built = [names[name] for name in ("comparison", "recipe") if isinstance(names.get(name), (Recipe, Comparison))]
    if not built:
        raise BadRecipe(path, found="neither a Comparison named `comparison` nor a Recipe named `recipe`", expected="one of them")
    return built[0]


def override(experiment: Experiment, arguments: Sequence[str]) -> Experiment:
    """The same experiment with fields replaced by ``--dotted.name value``. In a Comparison an override reaches every arm with the field.

    Raises BadRecipe for a field that does not exist and for a value of a wrong type.
    """
    arguments = list(arguments)
    if isinstance(experiment, Recipe):
        changed, unknown = _apply(experiment, arguments)
        _refuse(unknown)
        return changed
    arms, left = {}, []
    for name, recipe in experiment.arms.items():
        arms[name], unknown = _apply(recipe, arguments)
        left.append(unknown)
    nowhere = [argument for argument in (left[0] if left else arguments) if all(argument in other for other in left)]
    top, unknown = _typed(experiment, nowhere) if nowhere else (experiment, [])
    _refuse(unknown)
    return replace(top, arms=arms)


def _apply(recipe: Recipe, arguments: list[str]) -> tuple[Recipe, list[str]]:
    """A path in place of the archive, then the archive's own fields, then everything else."""
    source = recipe.data.source
    rest: list[str] = []
    own: list[str] = []
    target = rest
    for argument in (part for text in arguments for part in _split(text)):
        if argument.startswith("--"):
            target = own if argument.startswith("--data.source") else rest
        target.append("--" + argument.removeprefix("--data.source.") if argument.startswith("--data.source.") else argument)
    if "--data.source" in own:
        place = own.index("--data.source")
        if len(own) <= place + 1 or not own[place + 1] or own[place + 1].startswith("--"):
            raise BadRecipe("override --data.source", found="no value", expected="a file, a folder or a prepared store")
        source = own[place + 1]
        del own[place : place + 2]
    unknown_own: list[str] = own
    if own and is_dataclass(source):
        source, unknown_own = _typed(source, own)
    changed, unknown = _typed(replace(recipe, data=replace(recipe.data, source=source)), rest)
    return changed, unknown + unknown_own


def _split(text: str) -> list[str]:
    """``--data.source=PATH`` is two arguments; other fields are left to the parser."""
    return text.split("=", 1) if text.startswith("--data.source") else [text]


def _typed(value: R, arguments: list[str]) -> tuple[R, list[str]]:
    import tyro

    said = StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            return tyro.cli(type(value), default=value, args=arguments, return_unknown_args=True)
    except SystemExit as error:
        text = " ".join(re.sub(r"[\u2500-\u257f]|-{3,}", " ", said.getvalue()).split()).split(" For full helptext")[0]
        where = "override " + " ".join(arguments)
        raise BadRecipe(where, found=text or "a value that does not fit", expected="a field's own type") from error


def _refuse(unknown: list[str]) -> None:
    if unknown:
        raise BadRecipe("override " + unknown[0], found="no such field", expected="a dotted field of the recipe; --show prints them all")
