"""complex-networks-release 4, fastmri-reproducible-benchmark 180: an exactly empty slice, and NaN where nothing was acquired, made every
loss NaN. What is unfit is left out of store, training, Gamma and metrics; the other slices train."""

import csv
import math

import h5py
import numpy as np
import pytest

from ssrecon.cli.main import main
from ssrecon.store.store import Store
from tests.cases.common import scan

RECIPE = """
from ssrecon import Comparison, Recipe, networks, objectives, partition
from ssrecon.archive.splits import BySubject
from ssrecon.recipe import Training
from ssrecon.store.data import Data
recipe = Recipe(
    data=Data(source="{source}", split=BySubject(validation=1, test=1)),
    network=networks.Unrolled(networks.ResNet(blocks=1, channels=8, residual=True), unrolls=2, cg_iterations=3),
    objective=objectives.SSDU(partition.Uniform(loss_fraction=0.4)),
    training=Training(steps=4, learning_rate=1e-3, validate_every=2))
comparison = Comparison(title="t", arms={{"network": recipe}}, baselines={{}})
"""


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def columns(n, acceleration, lines, seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros(n, bool)
    mask[n // 2 - lines // 2 : n // 2 - lines // 2 + lines] = True
    mask[rng.choice(np.flatnonzero(~mask), round(n / acceleration) - mask.sum(), replace=False)] = True
    return mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four volumes of three slices, one of them exactly zero, so that train, validation and test meet one. Values are about 1e-6."""
    folder = tmp_path_factory.mktemp("in")
    for volume in range(4):
        kspace = np.stack([scan(5, 64, 60, 10 * volume + s, sigma=0.02, scale=1e-6)[0] for s in range(3)])
        mask = columns(60, 2.5, 16, volume)
        kspace = kspace * mask
        kspace[volume % 3] = 0
        if volume == 2:
            kspace[1][:, :, ~mask] = np.nan  # not acquired
        with h5py.File(folder / f"v{volume}.h5", "w") as file:
            file["kspace"], file["mask"] = kspace.astype(np.complex64), mask
    return folder


pytestmark = pytest.mark.filterwarnings("ignore::ssrecon.store.prepare.LeftOut")
EMPTY = {"v0/slice-000", "v1/slice-001", "v2/slice-002", "v3/slice-000"}


def test_empty_slices_stay_out_everywhere(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SSRECON_KEEP_NAMES", "1")
    assert main(["prepare", str(folder), str(tmp_path / "store")]) == 1
    store = Store(tmp_path / "store")
    assert len(store) == 8 and set(store.skipped) == EMPTY
    assert all("exactly zero in every coil" in reason for reason in store.skipped.values())
    recipe = tmp_path / "mini.py"
    recipe.write_text(RECIPE.format(source=folder))
    assert main(["run", str(recipe), "--out", str(tmp_path / "run"), "--device", "cpu"]) in (0, None)
    rows = table(tmp_path / "run" / "metrics.csv")
    assert rows and all(math.isfinite(float(row["value"])) for row in rows)
    assert not {row["scan"] for row in rows} & EMPTY
    history = table(tmp_path / "run" / "arms" / "network" / "seed-0" / "history.csv")
    assert len(history) > 1
    assert "exactly zero" in (tmp_path / "run" / "run.json").read_text()


def test_who_insists_keeps_them(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SSRECON_KEEP_NAMES", "1")
    main(["prepare", str(folder), str(tmp_path / "store"), "--keep-unfit", "--leave-out", "v3", "--leave-out", "v[01]/*"])
    kept = {header.scan_id for header in Store(tmp_path / "store").headers}
    assert kept == {f"v2/slice-00{index}" for index in range(3)}
