"""A training that starts from a checkpoint."""

from dataclasses import replace

import pytest
import torch

from ssrecon.archive.splits import Assignment
from ssrecon.core.errors import BadInput
from ssrecon.networks import CNN, Unrolled
from ssrecon.recipe.selection import Selection
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.training.trainer import Trainer
from tests.training.small import RECIPE, assign, recipe, run


def test_fine_tuning_starts_from_a_checkpoint(store, tmp_path):
    run(RECIPE, store, tmp_path / "first")
    start = str(tmp_path / "first/checkpoints/last.safetensors")
    trainer = Trainer(recipe(start=start), store, assign(store), tmp_path / "second")
    assert torch.equal(trainer.network.state_dict()["mu"], read_checkpoint(start).tensors["network/mu"])


def test_another_networks_checkpoint_is_refused(store, tmp_path):
    run(recipe(steps=1), store, tmp_path / "a")
    start = str(tmp_path / "a/checkpoints/last.safetensors")
    other = replace(recipe(start=start), network=Unrolled(CNN(layers=2, channels=4, batch_norm=False), unrolls=2))
    with pytest.raises(BadInput, match="last.safetensors: found weights with .*: another network's checkpoint; expected the"):
        Trainer(other, store, assign(store), tmp_path / "b")


def test_a_start_that_changed_is_refused_on_resuming(store, tmp_path):
    run(recipe(steps=1), store, tmp_path / "first")
    start = tmp_path / "first/checkpoints/last.safetensors"
    tuned = recipe(steps=3, start=str(start))
    run(tuned, store, tmp_path / "tuned")
    run(recipe(steps=2, learning_rate=0.1), store, tmp_path / "other")
    start.write_bytes((tmp_path / "other/checkpoints/last.safetensors").read_bytes())
    with pytest.raises(BadInput, match="found a training that started from other weights"):
        run(tuned, store, tmp_path / "tuned", resume=True)


def test_transfer_rolls_back_where_gamma_gets_worse(store, tmp_path):
    """Adaptation that only harms (it climbs the loss) ends, and the chosen checkpoint is the start itself, bit for bit."""
    run(RECIPE, store, tmp_path / "population")
    start = str(tmp_path / "population/checkpoints/gamma.safetensors")
    one = Assignment((store.headers[0].scan_id,), (store.headers[0].scan_id,), (store.headers[0].scan_id,))
    trainer = Trainer(recipe(start=start, steps=100, validate_every=1, patience=3, batch_size=1), store, one, tmp_path / "adapted")
    trainer.optimizer.param_groups[0]["maximize"] = True
    result = trainer.run()
    assert result.stopped_early and result.updates == 3 and result.best_gamma_step == 0
    chosen, population = (read_checkpoint(path).tensors for path in (result.checkpoint(Selection.GAMMA), start))
    assert all(torch.equal(value, population[name]) for name, value in chosen.items())
