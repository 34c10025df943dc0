"""As case 29: the audit died in linalg on a slice of exact zeros. No detector and no estimator falls over zeros."""

import json

import h5py
import numpy as np
import pytest

from ssrecon.cli.main import main
from ssrecon.store.store import Store
from tests.cases.common import scan


@pytest.mark.filterwarnings("ignore::ssrecon.store.prepare.LeftOut")
def test_an_empty_slice_is_refused_and_the_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("SSRECON_KEEP_NAMES", "1")
    (tmp_path / "in").mkdir()
    for volume in range(2):
        kspace = np.stack([scan(8, 96, 96, 10 * volume + s, 0.01)[0] for s in range(3)])
        kspace[2] *= volume
        with h5py.File(tmp_path / "in" / f"v{volume}.h5", "w") as file:
            file["kspace"] = kspace
    assert main(["audit", str(tmp_path / "in"), "--out", str(tmp_path / "audit")]) == 1
    scans = {one["scan"]: one for one in json.loads((tmp_path / "audit" / "audit.json").read_text())["scans"]}
    (finding,) = [f for f in scans["v0/slice-002"]["findings"] if f["severity"] == "refuse"]
    assert finding["kind"] == "wrong_mask" and "everything" in finding["reason"]
    assert {name for name, one in scans.items() if one["verdict"] == "refuse"} == {"v0/slice-002"}
    assert main(["prepare", str(tmp_path / "in"), str(tmp_path / "store")]) == 1
    assert len(Store(tmp_path / "store")) == 5


@pytest.mark.parametrize(("coils", "n"), [(1, 64), (4, 64), (4, 96), (15, 64)])
def test_nothing_but_zeros(tmp_path, coils, n):
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file["kspace"] = np.zeros((1, coils, n, n), np.complex64)
    assert main(["audit", str(tmp_path / "z.h5"), "--out", str(tmp_path / "audit")]) == 1
