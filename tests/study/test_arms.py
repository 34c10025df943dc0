"""Arms trained side by side end as those trained in turn, and stop together."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from ssrecon.archive.splits import BySubject
from ssrecon.core.distributed import Process
from ssrecon.core.errors import BadRecipe, OutputInUse
from ssrecon.core.folder_lock import NAME as LOCK
from ssrecon.core.folder_lock import folder_lock
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU, Supervised
from ssrecon.recipe.load import load_recipe
from ssrecon.recipe.recipe import Comparison, Recipe, Training
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.sampling import RandomColumns
from ssrecon.simulation import PhantomArchive
from ssrecon.store.data import Data
from ssrecon.study.comparison import run

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

from ssrecon.objectives import SSDU, Draws
from tests.study.test_arms import COMPARISON

@dataclass(frozen=True)
class Mine(SSDU):
    limit: int = 1_000_000

    def draws(self, scan, draw):
        return Draws(part=super().draws(scan, draw).part, epoch=draw.epoch)

    def loss(self, network, scan, reference, draws):
        loss = super().loss(network, scan, reference, draws)
        return replace(loss, per_scan=loss.per_scan * float("nan")) if draws.epoch >= self.limit else loss

arm = COMPARISON.arms["ssdu"]
arms = {"mine": replace(arm, objective=Mine()), "ssdu": arm}
comparison = replace(COMPARISON, arms=arms, seeds=(0,))
"""
LONG = 20_000
"""Updates that no test waits for."""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own_arms.py"
    path.write_text(OWN)
    yield path
    sys.modules.pop("own_arms", None)


class Started:
    """`ssrecon run` on a recipe with two workers, a process group of its own, and what it says."""

    def __init__(self, own, out, *overrides):
        self.out, self.said = out, out.parent / "said.txt"
        command = [sys.executable, "-m", "ssrecon.cli", "run", str(own), "--out", str(out), "--workers", "2", "--device", "cpu"]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with open(self.said, "w") as file:
            self.process = subprocess.Popen(
                [*command, *overrides],
                cwd=out.parent,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def until(self, true):
        end = time.monotonic() + 240
        while not true():
            assert time.monotonic() < end and self.process.poll() is None, self.said.read_text()
            time.sleep(0.05)

    def rows(self, arm):
        path = self.out / f"arms/{arm}/seed-0/history.csv"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def steps(self):
        """That each arm's last checkpoint has reached."""
        paths = sorted(self.out.glob("arms/*/seed-0/checkpoints/last.safetensors"))
        return {path.parts[-4]: read_checkpoint(path).entry("state")["step"] for path in paths}

    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]

    def is_gone(self):
        """Nothing of the group is left: no worker trains on."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False


def eventually(true, seconds=60):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


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


def test_what_is_finished_stays_and_what_is_missing_is_trained(tmp_path):
    out = tmp_path / "out"
    run(COMPARISON, out, workers=2)
    whole = weights(out)
    kept = out / "arms/ssdu/seed-0/checkpoints/last.safetensors"
    before = kept.stat().st_mtime_ns
    shutil.rmtree(out / "arms/supervised/seed-1")
    shutil.rmtree(out / "arms/ssdu/seed-1")
    run(COMPARISON, out, workers=3, resume=True)
    assert kept.stat().st_mtime_ns == before
    for path, tensors in weights(out).items():
        for name, value in tensors.items():
            torch.testing.assert_close(whole[path][name], value, rtol=1e-3, atol=1e-5)


def test_an_error_in_one_arm_stops_the_others_at_a_checkpoint(own, tmp_path):
    """The worker whose training failed is idle when all are told to stop."""
    with Started(own, tmp_path / "out", "--steps", str(LONG), "--arms.mine.objective.limit", "20") as started:
        assert started.process.wait(timeout=240) == 6
        said = started.said.read_text()
        assert "mine, seed 0: step 40, scan" in said and "the term 'loss' is not finite; the last checkpoint is good" in said
        assert eventually(started.is_gone)
        assert 0 < started.steps()["ssdu"] < LONG and started.steps()["mine"] == 40


@pytest.mark.parametrize(
    ("number", "group", "idle"),
    [(signal.SIGTERM, False, True), (signal.SIGINT, True, True), (signal.SIGINT, False, False)],
)
def test_a_signal_stops_all_at_a_checkpoint(own, tmp_path, number, group, idle):
    """To the first process alone, as of a scheduler, or to the group, as of Ctrl-C on a terminal; with a worker that has nothing to do."""
    short = ["--arms.mine.training.steps", "2"] if idle else []
    with Started(own, tmp_path / "out", "--steps", str(LONG), *short) as started:
        started.until(lambda: started.rows("ssdu") > 3 and started.rows("mine") > 1)
        if idle:
            started.until(lambda: "mine, seed 0: 2 updates" in started.said.read_text())
        (os.killpg if group else os.kill)(started.process.pid, number)
        assert started.process.wait(timeout=120) == 130
        said = started.said.read_text()
        assert "stopped; checkpoints were written, --resume continues" in said and "Traceback" not in said
        assert eventually(started.is_gone)
        assert 0 < started.steps()["ssdu"] < LONG and started.steps()["ssdu"] > 2 * (started.rows("ssdu") - 3)


def test_killed_with_the_first_process_nothing_trains_on(own, tmp_path):
    with Started(own, tmp_path / "out", "--steps", str(LONG)) as started:
        started.until(lambda: started.rows("ssdu") > 3 and started.rows("mine") > 3)
        os.kill(started.process.pid, signal.SIGKILL)
        started.process.wait()
        assert eventually(started.is_gone)
        assert all(0 < step < LONG for step in started.steps().values())


def test_a_folder_that_a_run_writes_into_is_refused_and_free_once_it_was_killed(own, tmp_path):
    out = tmp_path / "out"
    with Started(own, out, "--steps", str(LONG)) as started:
        started.until(lambda: started.rows("ssdu") > 3)
        with pytest.raises(OutputInUse, match=f"{out}: found another process that is writing into it"):
            run(COMPARISON, out, resume=True)
        os.kill(started.process.pid, signal.SIGKILL)
        started.process.wait()
        assert (out / LOCK).exists() and eventually(started.is_gone)
    with folder_lock(out):
        pass
    assert not (out / LOCK).exists()


def test_a_worker_that_is_lost_is_named_and_the_others_stop(own, tmp_path):
    with Started(own, tmp_path / "out", "--steps", str(LONG)) as started:
        started.until(lambda: started.rows("ssdu") > 3 and started.rows("mine") > 3)
        os.kill(started.workers()[0], signal.SIGKILL)
        assert started.process.wait(timeout=120) == 1
        assert re.search(r"(mine|ssdu), seed 0: its process was lost \(signal 9, which is what", started.said.read_text())
        assert eventually(started.is_gone)


def test_classes_of_the_script_itself_are_refused(tmp_path):
    """Another process would know them by another name, and so would their checkpoints."""

    @dataclass(frozen=True)
    class Mine(SSDU):
        pass

    Mine.__module__, Mine.__qualname__ = "__main__", "Mine"
    arms = {name: replace(arm, objective=Mine()) for name, arm in COMPARISON.arms.items()}
    with pytest.raises(BadRecipe, match="workers: found a class that the script itself defines; expected it in a module"):
        run(replace(COMPARISON, arms=arms), tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()


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
