"""Where the noise level of a scan comes from, and when nothing can tell it."""

from dataclasses import replace

import pytest

from ssrecon.calibrate import Calibrator, espirit
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.scan import Calibration
from ssrecon.core.window import crop
from tests.calibrate.raw import agreement, raw_scan, std, whitened_noise
from tests.scans import column_mask, smooth_csm


def test_without_a_noise_scan_the_level_is_estimated_and_flagged():
    scans = [raw_scan(index, noise_scan=False) for index in range(3)]
    prepared = Calibrator().volume(scans)
    assert prepared[0].scan.noise_source == "calibration matrix"
    noise = whitened_noise(Calibrator(), scans[0])
    assert std(noise) == pytest.approx(1, abs=0.1)
    assert [std(noise[:, :, c]) for c in range(6)] == pytest.approx([1] * 6, abs=0.15)


def test_unknown_noise_is_none():
    scan = raw_scan(noise_scan=False, coils=2, lines=14)
    prepared = Calibrator(width=14).volume([scan])[0].scan
    assert prepared.noise_std is None and prepared.noise_source == "unknown"


def test_noise_is_not_told_from_a_window_filled_up_with_zeros():
    scan = raw_scan(mask=column_mask((64, 64), 4, 0), noise_scan=False)
    prepared = Calibrator().volume([replace(scan, csm=smooth_csm(6, (64, 64)))])[0].scan
    assert prepared.noise_source == "unknown" and prepared.noise_std is None
    known = Calibrator().volume([replace(raw_scan(mask=scan.mask), csm=smooth_csm(6, (64, 64)))])[0].scan
    assert known.noise_source == "noise scan"


def test_frames_that_share_a_region_do_not_make_the_noise_less():
    """Four frames on a lattice of 2, so that every place is the mean of two frames: the noise of one sample is wanted all the same."""
    lattice = raw_scan(frames=4, coils=8, mask=column_mask((64, 64), 2, 0, frames=4), noise_scan=False)
    prepared = Calibrator().volume([lattice])[0].scan
    assert prepared.noise_source == "calibration matrix"
    assert std(whitened_noise(Calibrator(), lattice)) == pytest.approx(1, rel=0.1)


def test_noise_aware_maps_are_better_in_noise():
    scan = raw_scan(level=0.3, coils=8)
    prepared = Calibrator(crop=0.0).volume([scan])[0].scan
    plain = replace(prepared, csm=espirit(crop(prepared.kspace, (24, 24)), (64, 64), crop=0.0))
    matrix = Calibrator().fit([scan]).matrix
    assert agreement(prepared, matrix).mean() > agreement(plain, matrix).mean() + 0.005


LATTICE = column_mask((64, 64), 4, 0)


@pytest.mark.parametrize(
    ("scan", "estimable"),
    [
        (raw_scan(noise_scan=False), True),
        (raw_scan(noise_scan=False, lines=14), False),
        (raw_scan(noise_scan=False, frames=4, mask=column_mask((64, 64), 2, 0, frames=4)), True),
        (replace(raw_scan(noise_scan=False, mask=LATTICE), csm=smooth_csm(6, (64, 64))), False),
        (replace(raw_scan(noise_scan=False, mask=LATTICE), calibration=Calibration(raw_scan().reference, raw_scan().mask | True)), False),
    ],
    ids=["24 lines", "14 lines", "frames that share a region", "a csm and no region", "a calibration apart"],
)
def test_the_verdict_says_what_the_calibrator_does(scan, estimable):
    assert Calibrator().can_estimate_noise(scan) is estimable
    assert verdict(scan).noise == ("can be estimated" if estimable else "unknown")
    assert (Calibrator().fit([scan]).noise_source == "calibration matrix") is estimable


def test_a_narrow_region_is_chosen_where_the_calibrator_is_narrow():
    narrow = Calibrator(width=14)
    assert not narrow.can_estimate_noise(raw_scan()) and verdict(raw_scan(noise_scan=False), narrow).noise == "unknown"
