"""The recipes of studies: they run two steps on tiny archives, and leave out nothing that could be in them."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssrecon import objectives
from ssrecon.archive.splits import BySubject
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.objectives import Objective
from ssrecon.recipe.load import load_recipe
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.store.store import Store
from ssrecon.study.comparison import run
from tests.recipe.experiments import recipe_file
from tests.scans import loss_of

ROOT = Path(__file__).parents[1]


def tiny(comparison, **changes):
    """The same arms on an archive of a few small heads, for two updates."""
    arms = {}
    for name, arm in comparison.arms.items():
        source = replace(arm.data.source, subjects=5, slices=1, matrix=(72, 72), coils=4)
        data = replace(arm.data, source=source, split=BySubject(validation=1, test=1))
        arms[name] = replace(arm, data=data, training=replace(arm.training, steps=2, validate_every=2))
    return replace(comparison, arms=arms, baselines={}, seeds=(0,), **changes)


@pytest.mark.parametrize("condition", ["columns", "repetitions", "few_lines"])
def test_the_study_of_objectives_runs_two_steps(condition, tmp_path):
    load_recipe(recipe_file("which_objective"))
    study = sys.modules["which_objective"]
    comparison = study.comparison_of(condition)
    assert run(tiny(comparison), tmp_path / "out").exists()


def test_losses_at_other_networks(tmp_path):
    """A network's own loss stands beside the same loss at the others', without the rules that some objectives have at test time."""
    load_recipe(recipe_file("which_objective"))
    comparison = sys.modules["which_objective"].comparison_of("columns")
    arms = {name: comparison.arms[name] for name in ("supervised", "multi_mask_ssdu", "robust_ssdu")}
    run(tiny(replace(comparison, arms=arms, seeds=(0,))), tmp_path / "out")
    table = runpy.run_path(str(ROOT / "figures/cross_losses.py"))["table"]
    rows = {
        cells[1].strip(): [float(cell) for cell in cells[2:-1]]
        for cells in (line.split("|") for line in table(tmp_path / "out", list(arms), 1)[2:])
    }
    supervised, other, robust = rows.values()
    assert supervised[0] == supervised[1] != supervised[2] and other[0] == other[2] != other[1] and robust[0] == robust[3]
    store, model = Store(tmp_path / "out/store"), load_checkpoint(tmp_path / "out/arms/robust_ssdu/seed-0/checkpoints/gamma.safetensors")
    train = [store.load(scan_id).scan for scan_id in model.recipe.data.split.assign(store.headers).train]
    objective = model.objective.fitted(train)
    with torch.no_grad():
        raw = [float(loss_of(objective, model.network, train[0], None, Draw(0, epoch)).mean) for epoch in (1, 2)]
    assert robust[0] == pytest.approx(sum(raw) / 2, rel=1e-3)
    with pytest.raises(BadInput, match="no trained ei; expected --networks of supervised, multi_mask_ssdu, robust_ssdu"):
        table(tmp_path / "out", ["ei"], 1)


NOISE_AWARE = {"robust_ssdu", "noise2recon", "sure", "ensure", "robust_ei", "robust_mo_ei", "heteroscedastic"}


def test_the_full_grid_has_all_that_an_archive_can_train():
    load_recipe(recipe_file("which_objective"))
    study = sys.modules["which_objective"]
    left_out = {}
    for condition in study.CONDITIONS:
        some, full = (set(study.comparison_of(condition, full=full).arms) for full in (False, True))
        assert set(study.CONDITIONS[condition].objectives) == some <= full
        left_out[condition] = set(study.OBJECTIVES) - full - {"zero_shot"}
    assert left_out["columns"] == left_out["repetitions"] == set() and left_out["lattice"] == {"moi", "mo_ei", "robust_mo_ei"}
    assert left_out["noiseless"] == NOISE_AWARE and left_out["poisson"] == {"ssdu_lines"}
    assert set(study.comparison_of("one", full=True).arms) == {"zero_shot"}


def test_every_objective_of_the_package_is_in_the_study():
    load_recipe(recipe_file("which_objective"))
    study = sys.modules["which_objective"]
    tried = {type(objective) for condition in study.CONDITIONS.values() for objective in condition.possible.values()}
    exported = [getattr(objectives, name) for name in objectives.__all__]
    named = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Objective) and kind is not Objective}
    assert tried == named


def test_transfer_adapts_the_network_of_own_archive():
    own, transfer = (load_recipe(recipe_file(stem)) for stem in ("own_archive", "transfer"))
    assert transfer.network == own.arms["network"].network


def test_the_trust_in_gamma_is_scored_at_every_kept_checkpoint(tmp_path):
    trust = load_recipe(recipe_file("gamma_trust"))
    module = sys.modules["gamma_trust"]
    small = tiny(replace(trust, arms={"ssdu_lines": trust.arms["ssdu_lines"]}))
    arms = {name: replace(arm, training=replace(arm.training, keep_every=1)) for name, arm in small.arms.items()}
    run(replace(small, arms=arms), tmp_path / "out")
    kept = sorted((tmp_path / "out").glob("arms/*/*/checkpoints/step-*.safetensors"))
    assert len(kept) == 2
    store = Store(tmp_path / "out/store")
    prepared = store.load(BySubject(validation=1, test=1).assign(store.headers).test[0], reference=True)
    values = module.scores(load_checkpoint(kept[0]), prepared)
    assert len(values) == 5 and all(value > 0 for value in values.values())
    rows = module.rows_of(module.Kept(kept[0], store.folder, tuple(prepared.scan.ids), "cpu", torch.get_num_threads()))
    assert rows == [["ssdu_lines", 0, 1, prepared.scan.ids[0], name, value] for name, value in values.items()]
