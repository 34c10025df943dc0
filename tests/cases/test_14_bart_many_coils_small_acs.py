"""mrirecon/bart 308: a calibration region of 10 x 10 "may train", and was refused afterwards. One verdict, that of the calibrator."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.calibrate.verdict import verdict
from ssrecon.cli.main import main
from ssrecon.core.scan import Header, Scan
from ssrecon.store.store import Store
from tests.cases.common import cfl, fft, maps, mrd, noise, obj, scan, xml


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


def mrd_with_noise(path, samples):
    """A fully sampled measurement of four coils, with one readout of noise."""
    kspace, _, _ = scan(4, 64, 64, 3)
    lines = [{"data": samples.astype(np.complex64), "step": 0, "flags": [19]}]
    lines += [{"data": kspace[:, y], "step": y, "flags": [25] if y == 63 else []} for y in range(64)]
    return mrd(path, xml((64, 64, 1), (64, 64, 1)), lines)


BAD_NOISE = {
    "a copy of a channel": (lambda samples: samples[[0, 0, 2, 3]], "a singular noise covariance"),
    "too short": (lambda samples: samples[:, :8], "8 noise samples for 4 coils"),
    "zeros": (lambda samples: 0 * samples, "noise samples that are all zero"),
}


@pytest.mark.parametrize("kind", BAD_NOISE)
def test_a_noise_scan_that_cannot_whiten_is_no_surprise(tmp_path, capsys, kind):
    """Of the same kind: the audit said "train", the first look "may train", and the calibrator refused."""
    change, reason = BAD_NOISE[kind]
    path = mrd_with_noise(tmp_path / "a.mrd", change(0.01 * noise((4, 256), 1)))
    (found,) = verdict(next(iter(open_archive(path)))).reasons
    assert reason in found
    main(["audit", str(path), "--out", str(tmp_path / "audit")])
    said = json.loads((tmp_path / "audit" / "audit.json").read_text())
    (finding,) = (finding for finding in said["scans"][0]["findings"] if finding["severity"] != "note")
    assert said["verdicts"]["refuse"] == 1 and reason in finding["reason"]
    assert main(["prepare", str(path), str(tmp_path / "store")]) == 2
    assert reason in capsys.readouterr().out


def test_more_map_sets_than_coils():
    kspace, _, _ = scan(1, 64, 64, 3)
    mask = torch.ones(1, 1, 1, 64, 64, dtype=torch.bool)
    single = Scan(Header("a", "a", "a"), torch.from_numpy(kspace)[None, None], mask, ~mask)
    assert verdict(single).may_train and not verdict(single, Calibrator(maps=2)).may_train


@pytest.mark.parametrize("value", [0, torch.nan])
def test_a_csm_that_tells_nothing(value):
    kspace, _, csm = scan(4, 64, 64, 3)
    mask = torch.ones(1, 1, 1, 64, 64, dtype=torch.bool)
    good = Scan(
        Header("a", "a", "a"), torch.from_numpy(kspace)[None, None], mask, ~mask, csm=torch.from_numpy(csm).to(torch.complex64)[None, None]
    )
    assert verdict(good).may_train
    (found,) = verdict(replace(good, csm=value * good.csm)).reasons
    assert "csm" in found
