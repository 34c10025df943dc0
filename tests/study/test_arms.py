"""Arms trained side by side end as those trained in turn, and stop together."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssrecon.archive.phantom import PhantomArchive
from ssrecon.archive.splits import BySubject
from ssrecon.checkpoint import read_checkpoint
from ssrecon.distributed import Process
from ssrecon.errors import BadRecipe, TrainingDiverged
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU, Supervised
from ssrecon.overrides import load_recipe
from ssrecon.recipe import Comparison, Data, Recipe, Training
from ssrecon.study.comparison import run
from ssrecon.undersampling import RandomColumns

ROOT = Path(__file__).parents[2]
BASE = Recipe(
    data=Data(PhantomArchive(subjects=4, slices=1, matrix=(48, 48), coils=4), RandomColumns(2, 12), split=BySubject(1, 1)),
    network=Unrolled(ResNet(blocks=1, channels=4), unrolls=1, cg_iterations=2),
    training=Training(steps=3, validate_every=2),
)
COMPARISON = Comparison(
    "Side by side",
    {"ssdu": replace(BASE, objective=SSDU()), "supervised": replace(BASE, objective=Supervised())},
    baselines={},
    seeds=(0, 1),
    figure_scans=0,
)
OWN = """
from dataclasses import dataclass, replace

from ssrecon import Comparison
from ssrecon.objectives import SSDU
from tests.study.test_arms import COMPARISON

@dataclass(frozen=True)
class Mine(SSDU):
    limit: int = 1000

    def loss(self, network, scan, reference, draw):
        loss = super().loss(network, scan, reference, draw)
        return replace(loss, per_scan=loss.per_scan * float("nan")) if draw.epoch >= self.limit else loss

arm = COMPARISON.arms["ssdu"]
arms = {"mine": replace(arm, objective=Mine()), "ssdu": arm}
comparison = replace(COMPARISON, arms=arms, seeds=(0,))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    path = tmp_path / "own_arms.py"
    path.write_text(OWN)
    yield path
    sys.modules.pop("own_arms", None)


def weights(folder):
    paths = sorted(folder.glob("arms/*/*/checkpoints/*.safetensors"))
    return {str(path.relative_to(folder)): read_checkpoint(path).tensors for path in paths}


def test_side_by_side_as_in_turn(tmp_path):
    for workers in (1, 2):
        run(COMPARISON, tmp_path / str(workers), workers=workers)
    one, two = (weights(tmp_path / name) for name in ("1", "2"))
    assert one.keys() == two.keys() and len(one) >= 8
    for path, tensors in one.items():
        for name, value in tensors.items():
            torch.testing.assert_close(two[path][name], value, rtol=1e-3, atol=1e-5)
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("1", "2")]
    assert [[list(arm["seeds"]) for arm in record["arms"].values()] for record in records] == [[["0", "1"]] * 2] * 2
    assert [list(record["arms"]) for record in records] == [["ssdu", "supervised"]] * 2 and all(record["finished"] for record in records)


def test_classes_of_the_recipe_file_are_known_to_its_workers(own, tmp_path):
    assert run(load_recipe(own), tmp_path / "out", workers=2).exists()
    assert set(json.loads((tmp_path / "out/run.json").read_text())["arms"]) == {"mine", "ssdu"}


def test_an_error_in_one_arm_ends_the_run_and_leaves_checkpoints(own, tmp_path):
    comparison = load_recipe(own)
    mine = replace(comparison.arms["mine"], objective=replace(comparison.arms["mine"].objective, limit=1))
    arms = {name: replace(arm, training=replace(arm.training, steps=100_000)) for name, arm in {**comparison.arms, "mine": mine}.items()}
    with pytest.raises(TrainingDiverged, match="the term 'loss' is not finite; the last checkpoint is good"):
        run(replace(comparison, arms=arms), tmp_path / "out", workers=2)
    for arm in arms:
        step = read_checkpoint(tmp_path / f"out/arms/{arm}/seed-0/checkpoints/last.safetensors").said("state")["step"]
        assert 0 <= step < 100_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_first_process_alone_stops_all(own, tmp_path, number):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ssrecon.cli", "run", str(own), "--out", str(out), "--workers", "2", "--device", "cpu"]
    with open(tmp_path / "errors.txt", "w") as errors:
        process = subprocess.Popen([*command, "--steps", "100000"], cwd=tmp_path, stderr=errors, stdout=subprocess.DEVNULL)
    histories = [out / f"arms/{arm}/seed-0/history.csv" for arm in ("mine", "ssdu")]
    until = time.monotonic() + 240
    while not all(path.exists() and len(path.read_text().splitlines()) > 2 for path in histories):
        assert process.poll() is None and time.monotonic() < until, (tmp_path / "errors.txt").read_text()
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=120) == 130
    assert "stopped; checkpoints were written, --resume continues" in (tmp_path / "errors.txt").read_text()
    reached = [read_checkpoint(path.parent / "checkpoints/last.safetensors").said("state")["step"] for path in histories]
    assert all(0 < step < 100_000 for step in reached)
    time.sleep(0.5)
    assert [read_checkpoint(path.parent / "checkpoints/last.safetensors").said("state")["step"] for path in histories] == reached


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "Run.workers: found 0; expected 1 or more"),
        ({"workers": 2, "process": Process(0, 2)}, "workers: found 2 under torchrun; expected 1"),
    ],
)
def test_workers_are_refused(options, message, tmp_path):
    with pytest.raises(BadRecipe, match=message):
        run(COMPARISON, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
