"""A training that goes on from its last checkpoint, or is refused because it is another one."""

import os
import signal

import pytest

from ssrecon.core.errors import BadInput
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.training.trainer import Trainer
from tests.training.small import forged, recipe, run


def test_a_stop_between_validations_does_not_show_in_the_history(store, tmp_path, monkeypatch):
    long = recipe(steps=8, validate_every=8)
    run(long, store, tmp_path / "whole")
    update = Trainer.update

    def interrupted(self, step, scans):
        if step.number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, step, scans)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt, match="stopped at step 4; a checkpoint was written"):
        patched.setattr(Trainer, "update", interrupted)
        run(long, store, tmp_path / "cut")
    run(long, store, tmp_path / "cut", resume=True)
    tables = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("whole", "cut")]
    whole, cut = ([line.rsplit(",", 1)[0] for line in table] for table in tables)
    assert whole == cut and len(whole) == 3


def test_resuming_with_another_recipe_is_refused(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    with pytest.raises(BadInput, match="found a checkpoint of another recipe"):
        run(recipe(steps=2), store, tmp_path, resume=True)


def test_a_damaged_state_is_named_when_it_is_resumed(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    forged(tmp_path / "checkpoints/last.safetensors", lambda about: about.update(state={"steps": "many"}))
    with pytest.raises(BadInput, match="last.safetensors: found a state of a training that is"):
        run(recipe(steps=1), store, tmp_path, resume=True)


def test_a_checkpoint_from_before_examples_loads_and_resumes(store, tmp_path):
    """Of the version before rooms: classes by file, no example, a hash of its own."""
    run(recipe(steps=2, validate_every=1), store, tmp_path)

    def earlier(about):
        about.pop("example"), about.pop("hash_version"), about["recipe"]["network"].pop("warm_start")
        about["hash"] = "0123456789abcdef"
        about["recipe"]["network"]["class"] = "ssrecon.networks.unrolled.Unrolled"
        about["domain"]["class"] = "ssrecon.domain.TrainingDomain"

    path = forged(tmp_path / "checkpoints/last.safetensors", earlier)
    assert load_checkpoint(path, trust=["tests.training.small"]).recipe == recipe(steps=2, validate_every=1)
    run(recipe(steps=2, validate_every=1), store, tmp_path, resume=True)
