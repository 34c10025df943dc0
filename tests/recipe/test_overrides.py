"""Overrides on the command line: every field and every class is within reach, and what is wrong is named."""

import sys
from dataclasses import replace

import pytest

import ssrecon.networks
from ssrecon import objectives
from ssrecon.core.description import describe
from ssrecon.core.errors import BadRecipe
from ssrecon.networks import WithUncertainty
from ssrecon.partition import Lines
from ssrecon.recipe.load import load_recipe
from ssrecon.recipe.overrides import override
from ssrecon.sampling import RandomColumns
from tests.contracts.classes import subclasses
from tests.recipe.experiments import QUICKSTART, recipe_file, small_quickstart


@pytest.mark.parametrize("name", [kind.__name__ for kind in subclasses("ssrecon.objectives", objectives.Objective)])
def test_every_objective_is_one_word_on_the_command_line(name):
    """In the recipe for an archive of one's own, in which nothing else changes."""
    own = load_recipe(recipe_file("own_archive"))
    (before,), (after,) = own.arms.values(), override(own, ["--objective", name]).arms.values()
    assert type(after.objective) is getattr(objectives, name) and replace(after, objective=before.objective) == before


def test_overrides_reach_every_arm_that_has_the_field():
    changed = override(
        load_recipe(QUICKSTART),
        ["--training.steps", "3", "--objective.partitioner.loss-fraction", "0.3", "--data.source.subjects", "9", "--network.unrolls", "2"],
    )
    assert {arm.training.steps for arm in changed.arms.values()} == {3}
    assert {arm.network.unrolls for arm in changed.arms.values()} == {2}
    assert {arm.data.source.subjects for arm in changed.arms.values()} == {9}
    assert changed.arms["ssdu"].objective.partitioner.loss_fraction == 0.3
    assert changed.hash != load_recipe(QUICKSTART).hash


def test_a_class_is_chosen_by_its_name():
    own = load_recipe(recipe_file("own_archive"))

    def arm(*arguments):
        return override(own, arguments).arms["network"]

    assert arm("--objective", "SURE").objective == objectives.SURE()
    chosen = arm("--objective.partitioner.loss-fraction", "0.3", "--objective", "SSDU", "--objective.partitioner", "Lines")
    assert chosen.objective == objectives.SSDU(Lines(0.3))
    assert arm("--data.pattern", "RandomColumns", "--data.pattern.acceleration", "6").data.pattern == RandomColumns(6)
    around = arm("--network", "WithUncertainty", "--network.inner.unrolls", "3").network
    assert around == WithUncertainty(replace(own.arms["network"].network, unrolls=3))
    several = override(load_recipe(QUICKSTART), ["--arms.ssdu.objective", "DDSS"])
    assert several.arms["ssdu"].objective == objectives.DDSS() and several.arms["supervised"].objective == objectives.Supervised()


def test_a_path_takes_the_place_of_the_archive():
    changed = override(load_recipe(QUICKSTART), ["--data.source", "scans", "--seeds", "1", "2"])
    assert changed.data.source == "scans" and changed.seeds == (1, 2)


def test_where_data_lie_is_not_part_of_the_hash():
    recipe = load_recipe(recipe_file("own_archive"))
    assert override(recipe, ["--data.source", "elsewhere"]).hash == recipe.hash


def test_every_field_is_within_reach():
    changed = override(
        load_recipe(QUICKSTART),
        ["--data.pattern.acceleration", "6", "--data.calibrator.smallest=26", "--data.calibrator.width=30", "--margins.psnr", "0.3"]
        + ["--arms.supervised.training.epochs", "2", "--network.mixed-precision", "False"]
        + ["--baselines.cg-sense.baseline.iterations", "7", "--network.recompute", "--validation.lines", "None"],
    )
    assert changed.data.pattern.acceleration == 6 and changed.data.calibrator.width == 30 and changed.margins.psnr == 0.3
    assert {name: arm.training.epochs for name, arm in changed.arms.items()} == {"ssdu": None, "supervised": 2}
    networks = [arm.network for arm in changed.arms.values()]
    assert all(network.recompute and not network.mixed_precision for network in networks)
    assert changed.baselines["cg_sense"].baseline.iterations == 7
    assert override(load_recipe(QUICKSTART), ["--data.pattern", "None"]).data.pattern is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective.rho", "0.3"], "override --objective.rho: found no such field; expected a dotted field"),
        (["--training.steps", "many"], r"override .*steps many.*: found a value that does not fit \(many\)"),
        (["--training.steps", "0"], "Training.steps: found 0; expected 1 or more"),
        (["--objective.partitioner.loss-fraction", "1.5"], "loss_fraction"),
        (["--objective", "SSDU"], "override --objective SSDU: found one objective for 2 arms; expected --arms.NAME.objective"),
        (
            ["--arms.ssdu.objective", "Sure"],
            "found no class of this kind; expected one of DDSS, ENSURE, .*, --arms.ssdu.objective.partitioner",
        ),
        (["--data.pattern", "RandomColumns"], "found no acceleration, which has no default; expected --data.pattern.acceleration"),
        (["--data.split", "3"], "found no class of this kind; expected one of ByList, BySubject, .*, --data.split.validation"),
        (["--training.steps", "2.5"], r"found a value that does not fit \(2.5\); expected a int"),
        (["--training.steps", "3", "4"], "override --training.steps 3 4: found"),
        (["thesis.tex"], "override thesis.tex: found no such field"),
        (["--data.source.subject", "3"], "override --data.source.subject: found no such field"),
    ],
)
def test_bad_overrides_are_named(arguments, message):
    with pytest.raises(BadRecipe, match=message):
        override(load_recipe(QUICKSTART), arguments)


@pytest.mark.parametrize("arguments", [["--data.source"], ["--data.source", "--training.steps", "3"], ["--data.source="]])
def test_a_source_without_a_value_is_not_the_current_folder(arguments):
    with pytest.raises(BadRecipe, match="override --data.source: found no value"):
        override(load_recipe(QUICKSTART), arguments)


def test_a_seed_for_a_comparison_is_refused_and_not_ignored():
    small = small_quickstart()
    with pytest.raises(BadRecipe, match="--seeds"):
        override(small, ["--seed", "5"])
    assert override(small, ["--seeds", "5", "6"]).seeds == (5, 6)


NEWCOMER = """
from dataclasses import dataclass
from torch import nn
from ssrecon.networks import DenoiserSpec


@dataclass(frozen=True)
class Doubling(DenoiserSpec):
    factor: float = 2.0

    def build(self, maps):
        return nn.Identity()
"""


def test_a_class_is_found_wherever_its_file_lies_in_its_room(tmp_path, monkeypatch):
    """In a folder of its own, two levels below the room's door, exported by nobody."""
    (tmp_path / "planted/deep").mkdir(parents=True)
    for file, text in (("__init__.py", ""), ("deep/__init__.py", ""), ("deep/doubling.py", NEWCOMER)):
        (tmp_path / "planted" / file).write_text(text)
    own = load_recipe(recipe_file("own_archive"))
    with pytest.raises(BadRecipe, match="found no class of this kind; expected one of CNN, ResNet"):
        override(own, ["--network.denoiser", "Doubling"])
    monkeypatch.setattr(ssrecon.networks, "__path__", [*ssrecon.networks.__path__, str(tmp_path)])
    try:
        changed = override(own, ["--network.denoiser", "Doubling", "--network.denoiser.factor", "3"])
    finally:
        for name in [name for name in sys.modules if name.startswith("ssrecon.networks.planted")]:
            del sys.modules[name]
    assert describe(changed.arms["network"].network.denoiser)["factor"] == 3.0
