"""Ranges of what a recipe may hold, and what its hash covers."""

from dataclasses import replace

import pytest

from ssrecon.baselines import CGSense, L1Wavelet
from ssrecon.calibrate import Calibrator
from ssrecon.description import describe, digest, rebuild
from ssrecon.errors import BadRecipe
from ssrecon.networks import CNN, ResNet, Unrolled
from ssrecon.recipe import Comparison, Training
from tests.train.small import RECIPE


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Training, "steps", 0),
        (Training, "epochs", 0),
        (Training, "patience", 0),
        (Training, "learning_rate", -1e-3),
        (Training, "learning_rate", float("nan")),
        (Training, "final_learning_rate", -1.0),
        (Training, "clip_norm", 0.0),
        (Training, "validation_scans", 0),
        (Training, "workers", -1),
        (Unrolled, "unrolls", 0),
        (Unrolled, "cg_iterations", 0),
        (Unrolled, "maps", 0),
        (ResNet, "blocks", 0),
        (ResNet, "channels", 0),
        (CNN, "layers", 0),
        (CGSense, "iterations", 0),
        (CGSense, "regularisation", -0.1),
        (L1Wavelet, "regularisation", -0.1),
        (Calibrator, "coils", 0),
        (Calibrator, "maps", 0),
        (Calibrator, "width", 8),
    ],
)
def test_values_out_of_range_are_named(kind, field, value):
    with pytest.raises(BadRecipe, match=f"{kind.__name__}.{field}: found {value}; expected"):
        kind(**{field: value})


def test_a_wrong_type_is_named_as_such():
    with pytest.raises(BadRecipe, match=r"here.unrolls: found '5' \(str\); expected int"):
        rebuild({**describe(Unrolled()), "unrolls": "5"}, "here")


def test_more_map_sets_than_coils_are_refused():
    with pytest.raises(BadRecipe, match="Calibrator.maps: found 3 map sets of 2 coils"):
        Calibrator(maps=3, coils=2)


def test_the_hash_covers_results_and_neither_names_nor_manners():
    comparison = Comparison("one", {"ssdu": RECIPE})
    faster = replace(RECIPE, training=replace(RECIPE.training, workers=2), network=replace(RECIPE.network, recompute=True))
    assert comparison.hash == Comparison("two", {"ssdu": faster}).hash
    assert comparison.hash != Comparison("one", {"ssdu": replace(RECIPE, seed=1)}).hash
    assert digest(describe(RECIPE)) == RECIPE.hash != replace(RECIPE, training=replace(RECIPE.training, epochs=2)).hash


def test_a_comparison_has_an_arm_and_a_seed():
    for empty in ({"arms": {}}, {"seeds": ()}):
        with pytest.raises(BadRecipe, match=f"comparison.{next(iter(empty))}: found no"):
            Comparison(**{"title": "t", "arms": {"ssdu": RECIPE}, **empty})
