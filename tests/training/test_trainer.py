"""The loop: what it keeps, when it stops, what it hands over, and how far a step goes."""

import math
from dataclasses import replace

import h5py
import pytest
import torch

from ssrecon.core.errors import TrainingDiverged
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives import MultiMaskSSDU, Supervised
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.store.store import Store
from ssrecon.training.trainer import Trainer
from tests.scans import EXAMPLE
from tests.training.small import RECIPE, assign, make_store, recipe, run


def test_losses_fall_and_the_best_by_gamma_is_kept(store, tmp_path):
    result = run(recipe(steps=60, validate_every=20), store, tmp_path)
    rows = [line.split(",") for line in (tmp_path / "history.csv").read_text().splitlines()[1:]]
    gammas = [float(row[3]) for row in rows]
    assert [int(row[0]) for row in rows] == [0, 20, 40, 60]
    assert gammas[-1] < gammas[0]
    assert result.best_gamma == pytest.approx(min(gammas)) and result.updates == 60 and not result.stopped_early
    assert {path.stem for path in (tmp_path / "checkpoints").iterdir()} == {"gamma", "last", "reference"}


def test_two_runs_end_with_the_same_bytes(store, tmp_path):
    for name in "ab":
        run(RECIPE, store, tmp_path / name)
    same = (tmp_path / "a/checkpoints/last.safetensors").read_bytes() == (tmp_path / "b/checkpoints/last.safetensors").read_bytes()
    assert same


def test_a_self_supervised_run_needs_no_reference_anywhere(store, tmp_path):
    """Every reference is deleted from the files: the same checkpoints, byte for byte."""
    run(RECIPE, store, tmp_path / "with")
    bare = make_store(tmp_path / "bare")
    for path in bare.folder.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            del file["reference"]
    run(RECIPE, Store(bare.folder), tmp_path / "without")
    for name in ("gamma", "last"):
        checkpoints = [read_checkpoint(tmp_path / arm / f"checkpoints/{name}.safetensors").tensors for arm in ("with", "without")]
        assert checkpoints[0].keys() == checkpoints[1].keys()
        assert all(torch.equal(value, checkpoints[1][key]) for key, value in checkpoints[0].items())
    assert not (tmp_path / "without/checkpoints/reference.safetensors").exists()


def test_references_are_handed_over_only_where_needed(store, tmp_path, monkeypatch):
    given = []
    for objective in (MultiMaskSSDU(), Supervised()):
        original = type(objective).loss
        monkeypatch.setattr(
            type(objective), "loss", lambda self, n, s, r, d, original=original: given.append(r) or original(self, n, s, r, d)
        )
        run(replace(recipe(steps=1), objective=objective), store, tmp_path / type(objective).__name__)
    assert given[0] is None and given[1] is not None


def test_patience_stops(store, tmp_path):
    result = run(recipe(steps=400, learning_rate=0.0, validate_every=1, patience=3), store, tmp_path)
    assert result.stopped_early and result.updates == 3 and result.best_gamma_step == 0


def test_epochs_are_counted_in_updates(store, tmp_path):
    result = run(recipe(epochs=2, steps=999, validate_every=50), store, tmp_path)
    assert result.updates == 4 and not result.stopped_early  # three scans of two shapes, in batches of two


def test_nan_stops_naming_step_scan_and_term_and_keeps_the_last_checkpoint(store, tmp_path, monkeypatch):
    trainer = Trainer(recipe(steps=12, validate_every=2, batch_size=1), store, assign(store), tmp_path)
    original = trainer.update

    def poisoned(step, scans):
        if step.number == 5:
            with torch.no_grad():
                trainer.network.mu.fill_(torch.nan)
        return original(step, scans)

    monkeypatch.setattr(trainer, "update", poisoned)
    with pytest.raises(TrainingDiverged, match=r"step 5, scan subject\d/slice-000: the term 'loss' is not finite"):
        trainer.run()
    last = read_checkpoint(tmp_path / "checkpoints/last.safetensors")
    assert last.about["state"]["step"] == 4 and torch.isfinite(last.tensors["network/mu"])


def test_batches_never_mix_shapes_and_cover_every_scan_once(store):
    trainer_ids = assign(store).train
    from ssrecon.store.loader import Schedule, collate

    schedule = Schedule.of(store, trainer_ids, 2, seed=3)
    for epoch in range(4):
        batches = schedule.epoch(epoch)
        assert sorted(scan_id for batch in batches for scan_id in batch) == sorted(trainer_ids)
        for batch in batches:
            assert isinstance(collate([store.load(scan_id) for scan_id in batch])[0], CalibratedScan)
    assert schedule.epoch(0) != schedule.epoch(1) or schedule.epoch(0) != schedule.epoch(2)


def test_a_bound_on_the_gradient_is_kept(store, tmp_path):
    """Adam's steps do not depend on the gradient's size until it is as small as its epsilon."""
    start = RECIPE.network.build(0, EXAMPLE).state_dict()

    def moved(**training):
        run(recipe(steps=1, validate_every=1, **training), store, tmp_path / str(training))
        weights = read_checkpoint(tmp_path / str(training) / "checkpoints" / "last.safetensors").weights()
        return max(float((weights[name] - start[name]).abs().max()) for name in start)

    assert moved(clip_norm=1e-12) < 1e-3 * moved()


def test_the_learning_rate_falls_by_a_cosine(store, tmp_path):
    run(recipe(steps=12, learning_rate=1e-2, final_learning_rate=1e-4, validate_every=3), store, tmp_path)
    rows = [line.split(",") for line in (tmp_path / "history.csv").read_text().splitlines()]
    rates = {int(row[0]): float(row[rows[0].index("learning_rate")]) for row in rows[1:]}
    for after, rate in rates.items():
        step = max(after - 1, 0)
        assert rate == pytest.approx(1e-4 + 0.5 * (1 + math.cos(math.pi * step / 12)) * (1e-2 - 1e-4))
    assert rates[12] < 4e-4


def test_weights_are_kept_on_the_way(store, tmp_path):
    run(recipe(steps=6, keep_every=2), store, tmp_path)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert kept == ["step-000002.safetensors", "step-000004.safetensors", "step-000006.safetensors"]
    last, sixth = (read_checkpoint(tmp_path / f"checkpoints/{name}.safetensors").tensors for name in ("last", "step-000006"))
    assert all(torch.equal(last[name], value) for name, value in sixth.items())
    assert recipe(keep_every=2).hash == recipe().hash
