"""The recipes of the project load, describe themselves, and run on a stand-in archive."""

import json
from dataclasses import replace

import h5py
import pytest

from ssrecon.archive.splits import BySubject
from ssrecon.core.description import rebuild
from ssrecon.core.errors import BadRecipe
from ssrecon.objectives import MultiMaskSSDU
from ssrecon.recipe.load import load_recipe
from ssrecon.recipe.overrides import override
from ssrecon.recipe.recipe import Comparison, Recipe
from ssrecon.simulation import PhantomArchive, T1Weighted
from ssrecon.simulation.simulate import simulate
from ssrecon.store.store import Store
from ssrecon.study.comparison import run
from tests.recipe.experiments import QUICKSTART, RECIPES, recipe_file


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_loads_and_survives_json(path):
    experiment = load_recipe(path)
    assert isinstance(experiment, (Recipe, Comparison))
    again = rebuild(json.loads(json.dumps(experiment.description)), "recipe")
    assert again.hash == experiment.hash


def test_arms_differ_in_nothing_but_the_objective():
    arms = load_recipe(QUICKSTART).arms
    assert replace(arms["supervised"], objective=arms["ssdu"].objective) == arms["ssdu"]


def test_the_knee_recipe_on_a_stand_in_archive_in_fastmris_layout(tmp_path):
    simulate(tmp_path / "multicoil_train", PhantomArchive(subjects=4, slices=1, matrix=(64, 64), coils=4, contrasts=(T1Weighted(),)))
    knee = load_recipe(recipe_file("ssdu_fastmri_knee"))
    with h5py.File(next((tmp_path / "multicoil_train").glob("*.h5")), "a") as other:
        other.attrs["acquisition"] = "CORPDFS_FBK"
    changes = ["--data.source", str(tmp_path / "multicoil_train"), "--training.epochs", "2", "--network.denoiser.blocks", "2"]
    knee = override(knee, [*changes, "--network.denoiser.channels", "8", "--network.unrolls", "2"])
    with pytest.raises(BadRecipe, match="data.contrasts: found none of CORPD_FBK in the archive .CORPDFS_FBK, T1."):
        run(knee, tmp_path / "out")
    data = replace(knee.data, split=BySubject(1, 1, 1), contrasts=("T1",))
    assert knee.arms["ssdu"].network.cg_iterations == 10 and not isinstance(knee.arms["ssdu"].objective, MultiMaskSSDU)
    arms = {name: replace(arm, data=data) for name, arm in knee.arms.items()}
    assert run(replace(knee, arms=arms, baselines={}), tmp_path / "out").exists()
    assert len(Store(tmp_path / "out/store")) == 3
    assert json.loads((tmp_path / "out/run.json").read_text())["arms"]["ssdu"]["seeds"]["0"]["updates"] == 2
