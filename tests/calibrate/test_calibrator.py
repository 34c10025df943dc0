"""The path from raw slices to prepared ones: units, agreement between slices, and who may influence what."""

import math
from dataclasses import replace

import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator, espirit
from ssrecon.calibrate.espirit import SCANS_AT_ONCE
from ssrecon.calibrate.region import crop
from ssrecon.core.errors import BadInput, NoCalibration
from ssrecon.core.scan import CalibratedScan, Calibration, Estimate, Prepared, Scan
from ssrecon.operators import Fourier, encoding
from ssrecon.reconstruction.engine import own_units
from ssrecon.sampling.centre import region_mask
from ssrecon.simulation.phantom import PhantomArchive
from tests.calibrate.raw import raw_scan, std
from tests.scans import column_mask, smooth_csm, smooth_image


@pytest.fixture(scope="module")
def volume() -> list[Scan]:
    return [raw_scan(index) for index in range(3)]


def tensors(scan: CalibratedScan) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(scan).items() if isinstance(value, torch.Tensor)}


def assert_same_bits(a: CalibratedScan, b: CalibratedScan) -> None:
    for name, value in tensors(a).items():
        assert torch.equal(value, getattr(b, name)), name


def whitened_noise(calibrator: Calibrator, raw: Scan) -> torch.Tensor:
    """The noise of a scan in the units of its calibrated k-space, divided by what is said to be its level: std 1."""
    fitted = calibrator.fit([raw])
    noise = torch.einsum("oc,bfcyx->bfoyx", fitted.matrix / fitted.scale, (raw.reference - raw.truth).to(torch.complex64))
    return noise / fitted.apply(raw).scan.noise_std


def agreement(prepared: CalibratedScan, matrix: torch.Tensor) -> torch.Tensor:
    """|correlation| over the coils with the true sensitivities, inside the object."""
    truth = torch.einsum("oc,bmcyx->bmoyx", matrix, smooth_csm(matrix.shape[1], (64, 64)))
    truth = truth / torch.linalg.vector_norm(truth, dim=2, keepdim=True)
    object_ = smooth_image((64, 64))[0, 0, 0].abs() > 0.1
    return (prepared.csm.conj() * truth).sum(dim=2).abs()[0, 0][object_]


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


def test_slices_share_scale_and_noise(volume):
    scans = [item.scan for item in Calibrator().volume(volume)]
    assert len({float(s.scale) for s in scans}) == 1 and len({float(s.noise_std) for s in scans}) == 1
    assert CalibratedScan.batch(scans).kspace.shape[0] == 3


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


def test_two_map_sets(volume):
    item = Calibrator(maps=2).volume(volume[:1])[0]
    assert item.scan.csm.shape == (1, 2, 6, 64, 64) and item.truth.shape == (1, 1, 2, 64, 64)


def test_noise_aware_maps_are_better_in_noise():
    scan = raw_scan(level=0.3, coils=8)
    prepared = Calibrator(crop=0.0).volume([scan])[0].scan
    plain = replace(prepared, csm=espirit(crop(prepared.kspace, (24, 24)), (64, 64), crop=0.0))
    matrix = Calibrator().fit([scan]).matrix
    assert agreement(prepared, matrix).mean() > agreement(plain, matrix).mean() + 0.005


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


def residual(prepared: CalibratedScan, raw: Scan, matrix: torch.Tensor) -> float:
    """Mean power of what the perfect prediction leaves of the acquired samples, in units of the noise."""
    perfect = torch.einsum("oc,bfcyx->bfoyx", matrix, raw.truth.to(matrix)) / prepared.scale
    left = torch.where(prepared.mask, prepared.kspace - perfect, 0).abs().square().sum()
    return float(left / prepared.mask.sum() / prepared.kspace.shape[2] / prepared.noise_std.square())


@pytest.mark.parametrize("noise_scan", ["with it", "without it", "none"])
def test_a_dead_coil_leaves_and_the_noise_floor_stays_one(noise_scan):
    """Whether the noise scan heard the coil or not, or there is none. With the coil kept, of variance 1 by decree, it was 3/4."""
    raw = raw_scan(coils=4, noise_scan=noise_scan != "none", readouts=512)
    for array in (raw.kspace, raw.reference, raw.truth, *((raw.noise[None],) if noise_scan == "without it" else ())):
        array[:, :, 2] = 0
    calibrator = Calibrator()
    fitted = calibrator.fit([raw])
    scan = fitted.apply(raw).scan
    assert scan.kspace.shape[2] == scan.csm.shape[2] == 3 and fitted.matrix.shape == (3, 4)
    assert "coil 2 of 4" in scan.headers[0].notes["whitening"]
    assert residual(scan, raw, fitted.matrix) == pytest.approx(1, abs=0.02 if noise_scan != "none" else 0.15)
    # The same scan without the coil gives the same.
    kept = [0, 1, 3]
    fewer = {name: getattr(raw, name)[:, :, kept] for name in ("kspace", "reference", "truth")}
    fewer = replace(raw, **fewer, noise=raw.noise[:, kept] if raw.noise is not None else None)
    same = calibrator.volume([fewer])[0].scan
    torch.testing.assert_close(scan.csm, same.csm, atol=1e-4, rtol=0)
    torch.testing.assert_close(scan.kspace, same.kspace, atol=1e-4, rtol=1e-4)


def test_the_receivers_own_units_come_back_without_a_dead_coil():
    """The root sum of squares over the coils of the file, of which one is dead: the pseudo-inverse leads back to the others."""
    raw = raw_scan(coils=4, level=0.001)
    for array in (raw.kspace, raw.reference, raw.truth):
        array[:, :, 2] = 0
    fitted = Calibrator(crop=0.8).fit([raw])
    item = fitted.apply(raw)
    magnitude, _ = own_units(Estimate(item.truth), item.scan, fitted)
    expected = torch.linalg.vector_norm(Fourier(2).adjoint(raw.truth), dim=2)
    inside = (item.scan.csm != 0).any(dim=2)[:, 0] & (expected[0] > 0.1 * expected.max())
    assert float(inside.float().mean()) > 0.2
    torch.testing.assert_close(magnitude[0][inside], expected[0][inside].float(), rtol=0.05, atol=0)


def test_a_coil_that_is_dead_in_some_slices_or_frames_leaves_the_volume():
    volume = [raw_scan(index, frames=2) for index in range(3)]
    volume[1].kspace[:, :, 4] = 0
    volume[2].kspace[:, 1, 0] = 0
    prepared = Calibrator().volume(volume)
    assert {item.scan.kspace.shape[2] for item in prepared} == {4}
    said = prepared[0].scan.headers[0].notes["whitening"]
    assert "coil 0 of 6 is zero in 1 of 3 scans" in said and "coil 4 of 6 is zero in 1 of 3 scans" in said
    # A slice that is zero altogether says nothing about its coils.
    empty = [replace(scan, kspace=scan.kspace * (index > 0)) for index, scan in enumerate([raw_scan(0), raw_scan(1)])]
    assert {item.scan.kspace.shape[2] for item in Calibrator().volume(empty)} == {6}
    apart = [raw_scan(index, coils=2) for index in range(2)]
    for index, scan in enumerate(apart):
        scan.kspace[:, :, index] = 0
    with pytest.raises(BadInput, match="each of 2 coils zero"):
        Calibrator().volume(apart)


def image(item: Prepared) -> torch.Tensor:
    return encoding(item.reference).adjoint(item.reference.kspace)


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("coils", [None, 4])
def test_images_do_not_depend_on_the_order_and_the_phases_of_coils(volume, maps, coils):
    """One may permute the coils of a file, or give each a phase of its own: images stay as they were, phase included. Images were turned by
    93 to 97 degrees when the phase of virtual coil 1 was that which a library gives to an eigenvector."""
    mixing = torch.diag(torch.exp(1j * torch.linspace(0, 40, 6, dtype=torch.float64)))[torch.tensor([3, 5, 0, 1, 4, 2])]

    def mixed(kspace):
        return torch.einsum("oc,bfcyx->bfoyx", mixing, kspace.to(torch.complex128)).to(torch.complex64)

    other = [
        replace(
            scan,
            kspace=mixed(scan.kspace),
            reference=mixed(scan.reference),
            noise=torch.einsum("oc,rcs->ros", mixing, scan.noise.to(torch.complex128)).to(torch.complex64),
            truth=None,
        )
        for scan in volume
    ]
    for one, two in zip(*(Calibrator(maps=maps, coils=coils).volume(scans) for scans in (volume, other)), strict=True):
        difference = torch.linalg.vector_norm(image(one)[:, :, 0] - image(two)[:, :, 0])
        assert float(difference / torch.linalg.vector_norm(image(one)[:, :, 0])) < 1e-4


def test_the_phase_is_one_over_the_slices_of_a_volume(volume):
    """Slices of one object and noises of their own: their images have one phase, that of the object up to a smooth one."""
    slices = [replace(raw_scan(0), kspace=raw_scan(0).kspace * factor, truth=None, reference=None) for factor in (1, 0.3j, -2)]
    first, *others = (item.scan.csm for item in Calibrator().volume(slices))
    for other in others:
        together = (first.conj() * other).sum(dim=2)
        assert float(together.angle().abs().max()) < 0.05 and float((together.abs() > 0.5).float().mean()) > 0.3


def test_the_number_of_map_sets_is_found_once_a_volume():
    """Every second line folds the object, and two map sets are needed; one where it lies inside the field of view."""
    whole = list(PhantomArchive(subjects=1, slices=3, matrix=(128, 128), coils=6))
    lines = (slice(None), slice(None), slice(None), slice(0, None, 2))
    folded = [
        replace(scan, kspace=scan.kspace[lines], mask=scan.mask[lines], padding=scan.padding[lines], reference=None, truth=None)
        for scan in whole
    ]
    for scans, sets, said in ((whole, 1, "within"), (folded, 2, "larger than")):
        prepared = Calibrator(maps=None).volume(scans)
        assert {item.scan.csm.shape[1] for item in prepared} == {sets}
        assert all(said in item.scan.headers[0].notes["maps"] for item in prepared)
        same = Calibrator(maps=sets).volume(scans)
        assert all(torch.equal(a.scan.csm, b.scan.csm) for a, b in zip(prepared, same, strict=True))
    alone = [replace(scan, kspace=scan.kspace[:, :, :1], noise=None, truth=None) for scan in whole]
    assert {item.scan.csm.shape[1] for item in Calibrator(maps=None).volume(alone)} == {1}


def test_measured_brains_need_one_map_set(test_data):
    for name in ("brain_d.h5", "brain_f.h5"):
        (scan,) = open_archive(test_data / "brain" / name)
        assert Calibrator(maps=None).volume([scan])[0].scan.csm.shape[1] == 1


def test_slices_calibrated_together_are_as_one_by_one(monkeypatch):
    """What a device does: sensitivities of several slices at once, in groups that fit; the same slices in the same order."""
    volume = [raw_scan(index) for index in range(5)]
    volume[1] = replace(volume[1], csm=smooth_csm(volume[1].kspace.shape[2], (64, 64)))  # the user's own: it is in no group
    alone = Calibrator().volume(volume)
    sizes = []

    def counted(calibration, *rest):
        sizes.append(len(calibration))
        return espirit(calibration, *rest)

    monkeypatch.setitem(SCANS_AT_ONCE, "cpu", 3)
    monkeypatch.setattr("ssrecon.calibrate.calibrator.espirit", counted)
    together = Calibrator().volume(volume)
    assert sizes == [1, 3] * 2
    for one, other in zip(alone, together, strict=True):
        assert one.scan.ids == other.scan.ids
        assert torch.equal(one.scan.mask, other.scan.mask)
        torch.testing.assert_close(one.scan.csm, other.scan.csm, atol=2e-3, rtol=0)
        torch.testing.assert_close(one.scan.scale, other.scan.scale, rtol=1e-4, atol=0)
        torch.testing.assert_close(one.reference.kspace, other.reference.kspace, rtol=1e-4, atol=1e-4)
