"""Coils that are dead leave the volume, and the noise floor stays one."""

from dataclasses import replace

import pytest
import torch

from ssrecon.calibrate import Calibrator
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan, Estimate, Scan
from ssrecon.operators import Fourier
from ssrecon.reconstruction.engine import own_units
from tests.calibrate.raw import raw_scan


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
    assert "coil 0 of 6 is silent in 1 of 3 scans" in said and "coil 4 of 6 is silent in 1 of 3 scans" in said
    # A slice that is zero altogether says nothing about its coils.
    empty = [replace(scan, kspace=scan.kspace * (index > 0)) for index, scan in enumerate([raw_scan(0), raw_scan(1)])]
    assert {item.scan.kspace.shape[2] for item in Calibrator().volume(empty)} == {6}
    apart = [raw_scan(index, coils=2) for index in range(2)]
    for index, scan in enumerate(apart):
        scan.kspace[:, :, index] = 0
    with pytest.raises(BadInput, match="each of 2 coils silent"):
        Calibrator().volume(apart)


@pytest.mark.parametrize("where", ["samples", "noise scan", "both"])
def test_a_verdict_counts_the_coils_that_remain(where):
    raw = raw_scan(coils=4)
    assert verdict(raw).connected == 4 and "not connected" not in str(verdict(raw))
    if where != "noise scan":
        raw.kspace[:, :, 2] = 0
    if where != "samples":
        raw.noise[:, 2] = 0
    found = verdict(raw)
    assert (found.coils, found.connected) == (4, 3) and "4 coils, 1 of them not connected, " in str(found)
    assert Calibrator().volume([raw])[0].scan.kspace.shape[2] == found.connected
