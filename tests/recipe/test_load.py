"""Recipes from Python files: classes of their own, names that are taken, and files that build nothing."""

import sys

import pytest

from ssrecon.core.errors import BadRecipe
from ssrecon.recipe.load import load_recipe, loaded_recipes
from ssrecon.recipe.overrides import override
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.study.comparison import run
from tests.recipe.experiments import QUICKSTART, RECIPES

OWN = """
from dataclasses import dataclass, replace
from ssrecon import Recipe
from ssrecon.simulation import PhantomArchive
from ssrecon.archive.splits import BySubject
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU
from ssrecon.objectives.base import Loss, Objective
from ssrecon.partition import Uniform
from ssrecon import Data, Training
from ssrecon.sampling import RandomColumns


@dataclass(frozen=True)
class Mine(Objective):
    weight: float = 1.0

    def draws(self, scan, draw):
        return SSDU(Uniform(0.4)).draws(scan, draw)

    def loss(self, network, scan, reference, draws):
        found = SSDU(Uniform(0.4)).loss(network, scan, None, draws)
        return Loss(self.weight * found.per_scan)


recipe = Recipe(
    data=Data(PhantomArchive(subjects=3, slices=1, matrix=(48, 48), coils=4), RandomColumns(2, 12), split=BySubject(1, 1)),
    network=Unrolled(ResNet(blocks=1, channels=4), unrolls=1, cg_iterations=2),
    objective=Mine(),
    training=Training(steps=1),
)
"""


def test_an_objective_may_be_defined_in_the_recipe_itself(tmp_path):
    path = tmp_path / "my_trial.py"
    path.write_text(OWN)
    assert run(override(load_recipe(path), ["--objective.weight", "2"]), tmp_path / "out").exists()
    checkpoint = tmp_path / "out/arms/mine/seed-0/checkpoints/gamma.safetensors"
    with pytest.raises(BadRecipe, match="my_trial.Mine from outside ssrecon; expected --trust my_trial"):
        load_checkpoint(checkpoint)
    assert load_checkpoint(checkpoint, trust=["my_trial"]).objective.weight == 2
    del sys.modules["my_trial"]
    with pytest.raises(BadRecipe, match="my_trial.Mine, which cannot be imported .*; expected PYTHONPATH to name the folder"):
        load_checkpoint(checkpoint, trust=["my_trial"])


@pytest.mark.parametrize("name", ["json", "time"])
def test_a_recipe_does_not_take_the_name_of_a_module(tmp_path, name):
    path = tmp_path / f"{name}.py"
    path.write_text(OWN)
    with pytest.raises(BadRecipe, match=f"{name}.py: found the name of the module '{name}'; expected another name"):
        load_recipe(path)


def test_recipes_that_are_loaded_are_known_in_their_order():
    for path in (QUICKSTART, RECIPES[0]):
        load_recipe(path)
    found = [path.resolve() for path in loaded_recipes()]
    assert {QUICKSTART.resolve(), RECIPES[0].resolve()} <= set(found) and all(path.parent.name != "torch" for path in found)


@pytest.mark.parametrize("text", ["", "recipe = 3\n"])
def test_a_file_without_a_recipe_is_named(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BadRecipe, match="mine.py: found neither a Comparison named `comparison` nor a Recipe"):
        load_recipe(path)


@pytest.mark.parametrize("text", ["from ssrecon import Recipe\nrecipe = Recipe(nosuch=3)\n", "recipe = (\n", "import nosuchmodule\n"])
def test_a_recipe_that_does_not_run_is_named(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BadRecipe, match="mine.py: found (TypeError: .*nosuch|SyntaxError|ModuleNotFoundError)"):
        load_recipe(path)


@pytest.mark.parametrize("text", ["1 / 0", "raise ValueError('no')", "open('nowhere')"])
def test_whatever_a_recipe_file_raises_names_the_file(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(BadRecipe, match="mine.py"):
        load_recipe(tmp_path / "mine.py")
