"""Killed at any moment and resumed, a training ends with the same bytes; two processes follow one."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.training.small import make_store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), subjects=7)


def start(store, out, steps, *extra, launcher=("-m",), **environment):
    command = [sys.executable, *launcher, "tests.training.loop", str(store.folder), str(out), str(steps), *extra]
    # To a file: a pipe that nobody reads would be one more thing to close after a kill.
    errors = open(out.parent / "errors.txt", "w")
    try:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, stderr=errors)
    finally:
        errors.close()


def errors(out):
    return (out.parent / "errors.txt").read_text()


def finish(process, out):
    assert process.wait(timeout=240) == 0, errors(out)


def checkpoints(out):
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in (out / "checkpoints").iterdir()}


def rows(out):
    text = (out / "history.csv").read_text().splitlines()
    return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(text)]


def test_ten_kills_one_inside_a_checkpoints_write(store, tmp_path):
    steps, rng = 40, random.Random(0)
    finish(start(store, tmp_path / "whole", steps), tmp_path / "whole")
    out = tmp_path / "killed"
    out.mkdir()
    kills = inside = 0
    while kills < 10:
        process = start(store, out, steps, "slow")
        until = time.monotonic() + 120
        begun = len(rows(out)) if (out / "history.csv").exists() else 0
        # Wait until it is training again, then some random moment more; the fifth time, until it is in the middle of a write.
        while not (out / "history.csv").exists() or len(rows(out)) <= begun:
            assert process.poll() is None and time.monotonic() < until, errors(out)
            time.sleep(0.01)
        if kills == 4:
            while not (out / "writing").exists():
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.002)
            inside += 1
        else:
            time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        (out / "writing").unlink(missing_ok=True)
    assert inside == 1 and len(rows(out)) < steps
    finish(start(store, out, steps), out)
    assert checkpoints(out) == checkpoints(tmp_path / "whole")
    assert rows(out) == rows(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_writes_a_checkpoint_and_resumes(store, tmp_path, number):
    out = tmp_path / "out"
    process = start(store, out, 4000)
    while not (out / "history.csv").exists() or len(rows(out)) < 3:
        assert process.poll() is None, errors(out)
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) != 0 and "a checkpoint was written, --resume continues" in errors(out)
    assert "last.safetensors" in checkpoints(out)


TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


def test_a_signal_to_one_process_stops_all(store, tmp_path):
    """Some schedulers tell one process of a node only: the others must not wait for it for ever."""
    out = tmp_path / "out"
    process = start(store, out, 40_000, launcher=TWO)
    while not (out / "history.csv").exists() or len(rows(out)) < 3:
        assert process.poll() is None, errors(out)
        time.sleep(0.02)
    os.kill(int((tmp_path / "out-1.pid").read_text()), signal.SIGTERM)
    assert process.wait(timeout=60) != 0 and "a checkpoint was written, --resume continues" in errors(out)
    assert "last.safetensors" in checkpoints(out)


def test_two_processes_follow_one(store, tmp_path):
    """Five training scans of two shapes in batches of three: unequal shares, and batches that leave a process without a scan."""
    finish(start(store, tmp_path / "one", 20), tmp_path / "one")
    finish(start(store, tmp_path / "two", 20, launcher=TWO), tmp_path / "two")
    for one, two in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        for key in ("loss", "gamma", "hidden_nmse"):
            if one[key]:
                assert float(two[key]) == pytest.approx(float(one[key]), rel=2e-4)
