"""What a recipe refuses when it is built or rebuilt."""

from dataclasses import replace

import pytest

from ssrecon.core.description import describe, rebuild
from ssrecon.core.errors import BadRecipe
from ssrecon.objectives import SSDU
from ssrecon.recipe.load import load_recipe
from ssrecon.recipe.recipe import Training
from tests.recipe.experiments import QUICKSTART


def test_a_field_of_a_wrong_type_is_named():
    recipe = load_recipe(QUICKSTART).arms["ssdu"]
    with pytest.raises(BadRecipe, match=r"recipe.seed: found 'one' \(str\); expected int"):
        replace(recipe, seed="one")


def test_rebuilding_refuses_unknown_fields():
    description = {**describe(SSDU()), "rho": 0.4}
    with pytest.raises(BadRecipe, match="here: found unknown field 'rho' of SSDU; expected one of distance, partitioner"):
        rebuild(description, "here")


def test_rebuilding_refuses_a_name_that_is_no_description():
    with pytest.raises(BadRecipe, match="which is no dataclass"):
        rebuild({"class": "ssrecon.training.trainer.Trainer"}, "here")


@pytest.mark.parametrize("field", ["learning_rate", "final_learning_rate", "clip_norm"])
def test_infinite_rates_are_refused(field):
    with pytest.raises(BadRecipe, match=f"Training.{field}.*inf"):
        Training(**{field: float("inf")})
