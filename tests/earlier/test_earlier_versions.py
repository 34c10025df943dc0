"""A run folder that was written at commit 33ef4d9, before the rooms, serves today: checkpoints, store, report and resuming.

``run/`` is what that version made of four simulated heads of 32x24 with 3 coils in 4 updates (less what the tests do not open), and
``expected.npy`` the image that it reconstructed of the scan in ``run/store`` with the checkpoint chosen by Gamma.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ssrecon.archive.splits import Assignment
from ssrecon.cli.main import main
from ssrecon.recipe.recipe import Recipe
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.store.store import Store
from ssrecon.training.trainer import Trainer

HERE = Path(__file__).parent
SCAN = "phantom-0003-MPRAGE-000"


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(HERE / "run", tmp_path / "run")


def test_store_and_checkpoint_give_the_same_image(run):
    store = Store(run / "store")
    assert [header.scan_id for header in store.headers] == [SCAN] and store.kind == "simulated"
    network = load_checkpoint(run / "arms/ssdu/seed-0/checkpoints/gamma.safetensors")
    image = network(store.load(SCAN).scan).image
    expected = torch.from_numpy(np.load(HERE / "expected.npy"))
    assert torch.linalg.vector_norm(image - expected) < 1e-5 * torch.linalg.vector_norm(expected)
    assert network.recipe.network.warm_start is False  # it was published, and trained, with a start at zero


def test_the_report_is_written_anew(run):
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "before the rooms" in page and "SSDU" in page and "This run is unfinished" not in page


def test_a_training_goes_on(run, tmp_path):
    last = read_checkpoint(run / "arms/ssdu/seed-0/checkpoints/last.safetensors")
    recipe = last.rebuilt("recipe", Recipe)
    trainer = Trainer(recipe, Store(run / "store"), Assignment((SCAN,), (SCAN,), (SCAN,)), run / "arms/ssdu/seed-0")
    result = trainer.run(resume=True)
    assert result.updates == 4 and torch.equal(trainer.network.mu, last.tensors["network/mu"])
