"""The path from raw slices to prepared ones: units, and who may influence what."""

import math
from dataclasses import replace

import pytest
import torch

from ssrecon.calibrate import Calibrator
from ssrecon.core.errors import BadInput, NoCalibration
from ssrecon.core.scan import CalibratedScan, Calibration
from ssrecon.operators import encoding
from ssrecon.sampling.centre import region_mask
from tests.calibrate.raw import agreement, raw_scan, std, whitened_noise
from tests.scans import column_mask, smooth_csm


def tensors(scan: CalibratedScan) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(scan).items() if isinstance(value, torch.Tensor)}


def assert_same_bits(a: CalibratedScan, b: CalibratedScan) -> None:
    for name, value in tensors(a).items():
        assert torch.equal(value, getattr(b, name)), name


def low_resolution(scan: CalibratedScan) -> torch.Tensor:
    return encoding(scan).adjoint(torch.where(scan.calibration, scan.kspace, 0)).abs()


def test_units(volume):
    prepared = Calibrator().volume(volume)
    for raw, item in zip(volume, prepared, strict=True):
        scan = item.scan
        assert scan.noise_source == "noise scan" and scan.ids == (raw.scan_id,)
        noise = encoding(item.reference).adjoint(item.reference.kspace) - item.truth
        assert float(scan.noise_std) == pytest.approx(1 / float(scan.scale))
        inside = torch.linalg.vector_norm(scan.csm, dim=2).unsqueeze(1) > 0
        assert std(noise[inside]) == pytest.approx(float(scan.noise_std), rel=0.05)
    pooled = torch.stack([low_resolution(item.scan) for item in prepared])
    assert float(pooled.quantile(0.99)) == pytest.approx(1, abs=0.03)


def test_finds_the_sensitivities(volume):
    fitted = Calibrator().fit(volume)
    found = agreement(fitted.apply(volume[0]).scan, fitted.matrix)
    assert found.median() > 0.999 and found.quantile(0.01) > 0.99


def test_gain_of_the_receiver_does_not_matter(volume):
    a = Calibrator().volume(volume)[0].scan
    gain = 1e-6
    quiet = [replace(s, kspace=s.kspace * gain, noise=s.noise * gain, reference=None, truth=None) for s in volume]
    b = Calibrator().volume(quiet)[0].scan
    assert torch.allclose(a.kspace, b.kspace, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("coils", [None, 4])
@pytest.mark.parametrize("noise_scan", [True, False])
def test_only_the_calibration_region_matters(noise_scan, coils):
    """csm, scale, compression and noise keep every bit when all else is poisoned: other samples, reference, truth, NaN outside."""
    scans = [raw_scan(index, noise_scan=noise_scan) for index in range(2)]
    poisoned = []
    for scan in scans:
        region = region_mask((64, 64), (24, 24))
        other = torch.where(region, scan.kspace, torch.where(scan.mask, 1e3 * scan.kspace.flip(-1) + 5, torch.nan))
        poisoned.append(replace(scan, kspace=other, reference=torch.full_like(scan.reference, torch.nan), truth=None))
    clean, dirty = Calibrator(coils=coils).volume(scans), Calibrator(coils=coils).volume(poisoned)
    for a, b in zip(clean, dirty, strict=True):
        for name in ("csm", "scale", "calibration", "noise_std"):
            assert torch.equal(getattr(a.scan, name), getattr(b.scan, name)), name
        inside = a.scan.calibration.expand_as(a.scan.kspace)
        assert torch.equal(a.scan.kspace[inside], b.scan.kspace[inside])
        assert bool(torch.isfinite(torch.view_as_real(b.scan.kspace)).all())
        assert not torch.equal(a.scan.kspace, b.scan.kspace)


def test_what_was_not_acquired_changes_nothing(volume):
    dirty = [replace(s, kspace=torch.where(s.mask, s.kspace, torch.nan)) for s in volume]
    for a, b in zip(Calibrator().volume(volume), Calibrator().volume(dirty), strict=True):
        assert_same_bits(a.scan, b.scan)


def test_compression_keeps_signal_and_white_noise(volume):
    full, few = Calibrator().volume(volume)[1], Calibrator(coils=4).volume(volume)[1]
    assert few.scan.kspace.shape[2] == 4 and few.scan.csm.shape[2] == 4
    kept = few.scan.kspace.abs().square().sum() * few.scan.scale**2
    assert kept > 0.97 * full.scan.kspace.abs().square().sum() * full.scan.scale**2
    assert std(whitened_noise(Calibrator(coils=4), volume[1])) == pytest.approx(1, abs=0.03)


def test_reference_is_the_scan_with_everything_acquired(volume):
    item = Calibrator(coils=4).volume(volume)[0]
    assert_same_bits(item.scan, replace(item.reference.on(item.scan.mask), mask=item.scan.mask))
    assert bool(item.reference.mask.all()) and item.reference.headers == item.scan.headers


def test_padding_is_in_no_mask(volume):
    padding = torch.zeros_like(volume[0].padding)
    padding[..., :6, :] = True
    scan = replace(volume[0], padding=padding)
    item = Calibrator().volume([scan])[0]
    assert not bool((item.scan.mask & padding).any()) and torch.equal(item.reference.mask, ~padding)
    assert float(item.scan.kspace[..., :6, :].abs().max()) == 0 == float(item.reference.kspace[..., :6, :].abs().max())


def test_padding_inside_the_centre_is_no_calibration(volume):
    padding = torch.zeros_like(volume[0].padding)
    padding[..., 30:34, :] = True
    with pytest.raises(NoCalibration, match="vol/slice-000"):
        Calibrator().volume([replace(volume[0], padding=padding)])


def test_a_csm_of_the_users_own_is_whitened_and_normalised():
    """y = F S x + n stays true: the same object explains the data with the transformed csm."""
    scan = raw_scan(lines=24)
    scan = replace(scan, csm=3j * smooth_csm(6, (64, 64)))
    for calibrator in (Calibrator(), Calibrator(coils=6)):
        item = calibrator.volume([scan])[0]
        norm = torch.linalg.vector_norm(item.scan.csm, dim=2)
        assert torch.allclose(norm, torch.ones_like(norm), atol=1e-5)
        residual = encoding(item.reference)(item.truth) - item.reference.kspace
        assert std(residual) == pytest.approx(float(item.scan.noise_std), rel=0.03)


def test_a_csm_needs_no_calibration_region():
    scan = raw_scan(mask=column_mask((64, 64), 4, 0))
    with pytest.raises(NoCalibration):
        Calibrator().volume([scan])
    prepared = Calibrator().volume([replace(scan, csm=smooth_csm(6, (64, 64)))])[0].scan
    assert float(prepared.scale) > 0 and bool((prepared.calibration <= prepared.mask).all())


def test_the_mask_of_a_reference_is_what_was_acquired():
    scan = raw_scan()
    mask = torch.ones_like(scan.mask)
    mask[..., :9, :] = False
    item = Calibrator().volume([replace(scan, reference=torch.where(mask, scan.reference, float("nan")), reference_mask=mask)])[0]
    assert torch.equal(item.reference.mask, mask) and not bool(item.reference.kspace.isnan().any())


def test_a_separate_calibration_is_used_and_marks_nothing():
    full = raw_scan()
    scan = raw_scan(mask=column_mask((64, 64), 4, 0))
    apart = Calibration(torch.where(full.mask, full.reference, 0), full.mask)
    prepared = Calibrator().volume([replace(scan, calibration=apart)])[0].scan
    assert not bool(prepared.calibration.any()) and torch.equal(prepared.mask, scan.mask)
    found = agreement(prepared, Calibrator().fit([full]).matrix)
    assert found.median() > 0.999 and found.quantile(0.01) > 0.99


def test_frames():
    own = Calibrator().volume([raw_scan(frames=3)])[0].scan
    assert own.kspace.shape[1] == 3 and own.csm.shape[1] == 1
    lattice = raw_scan(frames=4, mask=column_mask((64, 64), 4, 0, frames=4))
    shared = Calibrator().volume([lattice])[0].scan
    assert int(shared.calibration.sum()) == 24 * 24 and float((shared.csm != 0).any(dim=2).float().mean()) > 0.3


def test_bad_scans_are_named(volume):
    nan = volume[1].kspace.clone()
    nan[0, 0, 2, 32, 32] = math.nan
    with pytest.raises(BadInput, match="slice-001: found 1 acquired values that are not finite"):
        Calibrator().volume([volume[0], replace(volume[1], kspace=nan)])
    with pytest.raises(BadInput, match="slice-001: found 4 coils; expected 6"):
        Calibrator().volume([volume[0], raw_scan(1, coils=4)])
    with pytest.raises(BadInput, match="samples nothing"):
        Calibrator().volume([replace(volume[0], mask=torch.zeros_like(volume[0].mask))])
    with pytest.raises(BadInput, match="csm of shape"):
        Calibrator().volume([replace(volume[0], csm=smooth_csm(6, (32, 32)))])
    with pytest.raises(BadInput, match="no signal"):
        Calibrator().volume([replace(s, kspace=torch.zeros_like(s.kspace)) for s in volume])
    with pytest.raises(BadInput, match="noise scan"):
        Calibrator().volume([replace(volume[0], noise=torch.zeros_like(volume[0].noise))])
