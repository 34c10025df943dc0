"""Matrix sizes as the text "64.0", and a file that ends at line 45 of 64: the latter was called partial Fourier and "train"."""

import json

import pytest

from ssrecon.cli.main import main
from tests.cases.common import mrd, scan, xml

pytest.importorskip("ismrmrd")
N = 64


@pytest.fixture
def lines():
    kspace, _, _ = scan(4, N, N, 3)
    return [{"data": kspace[:, y], "step": y, "flags": [25] if y == N - 1 else []} for y in range(N)]


def audited(path, out):
    code = main(["audit", str(path), "--out", str(out)])
    (one,) = json.loads((out / "audit.json").read_text())["scans"]
    return code, one, (out / "audit.html").read_text()


def test_sizes_as_floats(lines, tmp_path):
    code, one, _ = audited(mrd(tmp_path / "f.mrd", xml((N, N, 1), (N, N, 1), fmt="{}.0"), lines), tmp_path / "audit")
    assert code == 0 and tuple(one["matrix"]) == (N, N) and one["verdict"] != "refuse"


def test_a_file_that_ends_early_is_not_called_partial_fourier(lines, tmp_path, capsys):
    code, one, page = audited(mrd(tmp_path / "broken.mrd", xml((N, N, 1), (N, N, 1)), lines[:45]), tmp_path / "audit")
    kinds = {finding["kind"]: finding["reason"] for finding in one["findings"]}
    assert "no line is marked as the measurement's last" in kinds["may_be_incomplete"]
    assert code == 1 and one["verdict"] == "refuse" and "broken_off" in kinds and "partial_fourier" not in kinds
    assert "may be incomplete" in one["notes"]["end"] and "may be incomplete" in page
    assert "may be incomplete" in capsys.readouterr().out
    assert main(["prepare", str(tmp_path / "broken.mrd"), str(tmp_path / "store")]) == 2


def test_a_missing_header_is_said_and_weighs(tmp_path):
    import h5py
    import numpy as np

    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["kspace"] = np.stack([scan(4, N, N, 3)[0]])
    _, one, page = audited(tmp_path / "v.h5", tmp_path / "audit")
    kinds = {finding["kind"]: finding["reason"] for finding in one["findings"]}
    assert one["verdict"] == "train with a warning"
    assert kinds["no_header"] == "header none: padding, fields of view and oversampling are unknown"
    assert "header" in one["notes"] and "padding, fields of view and oversampling are unknown" in page
