"""From correlated coils to a noise-aware loss: whitening makes the one level that it is told the right one."""

from dataclasses import replace

import torch

from ssrecon.calibrate import Calibrator
from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.objectives import SURE
from ssrecon.operators import encoding
from tests.calibrate.raw import raw_scan
from tests.scans import loss_of, smooth_csm


def shrunk(scan: CalibratedScan) -> Estimate:
    return Estimate(0.7 * encoding(scan).adjoint(scan.kspace))


def told_over_true(csm: torch.Tensor | None, level: float = 1.0) -> float:
    """SURE over the error against what was measured but for its noise, both summed over slices; told so many times the level."""
    told = true = 0.0
    for index in range(8):
        raw = replace(raw_scan(index, level=0.2, readouts=1024), csm=csm)
        fitted, without_noise = Calibrator().fit([raw]), torch.where(raw.mask, raw.truth, 0).to(torch.complex64)
        (noisy,), (clean,) = (list(fitted.each([replace(raw, kspace=kspace)])) for kspace in (raw.kspace, without_noise))
        scan = noisy.scan
        told += float(loss_of(SURE(), shrunk, replace(scan, noise_std=level * scan.noise_std), None, Draw(index)).mean)
        error = encoding(scan)(shrunk(scan).image) - clean.scan.kspace
        true += float(error.abs().square().sum() / scan.mask.sum())
    return told / true


def test_sure_knows_the_error_under_correlated_noise():
    """Coils of unequal level that share noise; told half of it, SURE is wrong by multiples."""
    own = smooth_csm(6, (64, 64)).to(torch.complex64)
    assert abs(told_over_true(own) - 1) < 0.03
    assert abs(told_over_true(own, level=0.5) - 1) > 1


def test_sure_is_too_small_where_the_sensitivities_came_from_the_same_noise():
    """A control: the theory takes E for known, and a csm that was calibrated from samples of Omega has fitted a part of their noise."""
    assert 0.85 < told_over_true(None) < 0.96
