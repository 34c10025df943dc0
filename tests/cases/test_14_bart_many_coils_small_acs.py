"""mrirecon/bart 308: a calibration region of 10 x 10 "may train", and was refused afterwards. One verdict, that of the calibrator."""

import json

import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.calibrate.verdict import verdict
from ssrecon.cli.main import main
from ssrecon.store.store import Store
from tests.cases.common import cfl, fft, maps, noise, obj


@pytest.fixture
def acs10(tmp_path):
    ny, nz, coils = 64, 48, 8
    kspace = fft(maps(coils, nz, ny) * obj(nz, ny, 2)) + 0.01 * noise((coils, nz, ny), 2)
    mask = np.random.default_rng(1).random((nz, ny)) < 0.3
    mask[nz // 2 - 5 : nz // 2 + 5, ny // 2 - 5 : ny // 2 + 5] = True
    # Nothing beside the block may make it larger.
    mask[[nz // 2 - 6, nz // 2 + 5]] = mask[:, [ny // 2 - 6, ny // 2 + 5]] = False
    cfl(tmp_path / "acs10", (kspace * mask).transpose(2, 1, 0)[None], (1, ny, nz, coils))
    cfl(tmp_path / "acs10_pattern", mask.T[None].astype(complex), (1, ny, nz))
    return tmp_path / "acs10.cfl"


def test_the_verdict_of_the_calibrator_that_will_be_used(acs10, tmp_path, capsys):
    scan = next(iter(open_archive(acs10)))
    assert verdict(scan).calibration == (10, 10)
    assert not verdict(scan, Calibrator()).may_train and verdict(scan, Calibrator(smallest=10)).may_train
    assert main(["audit", str(acs10), "--out", str(tmp_path / "audit")]) == 1
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["verdicts"]["refuse"] == 1
    assert main(["prepare", str(acs10), str(tmp_path / "store")]) == 4
    assert "may not train" in capsys.readouterr().out


def test_the_command_line_sets_the_calibrator(acs10, tmp_path, capsys):
    chosen = ["--smallest", "10", "--width", "16", "--crop", "0.8"]
    main(["audit", str(acs10), "--out", str(tmp_path / "audit"), *chosen])
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["verdicts"]["refuse"] == 0
    assert main(["prepare", str(acs10), str(tmp_path / "store"), *chosen]) == 0
    assert "may train" in capsys.readouterr().out
    made = Store(tmp_path / "store").calibrator
    assert (made["smallest"], made["width"], made["crop"]) == (10, 16, 0.8)
