"""Siemens twix: measured phantoms."""

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.cartesian.oversampling import remove_readout_oversampling
from ssrecon.calibrate.verdict import verdict
from tests.archive.mrd.common import acquired
from tests.archive.siemens.common import assert_refused


def test_real_ve(test_data):
    scan = open_archive(test_data / "raw" / "phantom_twix_ve_gre.dat").read("phantom_twix_ve_gre/slice-000")
    assert scan.kspace.shape == (1, 1, 2, 160, 160) and scan.mask.all() and scan.noise is None
    energy = scan.kspace.abs().square().sum(dim=(0, 1, 2))
    assert int(energy.sum(-1).argmax()) == 80 and int(energy.sum(-2).argmax()) == 80
    assert scan.header.encoded_fov == (200, 200) and scan.header.field_strength == 2.89 and scan.header.protocol == "gre"


def test_real_vb_noise_is_one_after_whitening(test_data):
    """Beside the object, in the outermost lines, in units of the noise readout with its bandwidth correction."""
    scan = open_archive(test_data / "raw" / "phantom_twix_vb_12ch_r2_noise_acs.dat").read("phantom_twix_vb_12ch_r2_noise_acs/slice-000")
    assert scan.kspace.shape == (1, 1, 12, 64, 128) and scan.noise.shape == (1, 12, 256)
    assert acquired(scan.mask) == sorted({*range(0, 64, 2), *range(20, 44)}) and verdict(scan).pattern == "lattice every 2"
    noise = scan.noise[0]
    covariance = noise @ noise.conj().mT / noise.shape[-1] * scan.noise_bandwidth_ratio
    outer = torch.linalg.inv(torch.linalg.cholesky(covariance)) @ scan.kspace[0, 0][:, [0, 2, 4, 6, 56, 58, 60, 62]].flatten(1)
    profile = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(outer.reshape(12, 8, 128), dim=-1), norm="ortho"), dim=-1)
    beside = torch.cat([profile[..., :6], profile[..., -6:]], dim=-1).abs().square().mean()
    # The inverse of a covariance of 12 coils from 256 samples is 256 / (256 - 13) too large on average.
    assert float(beside * (256 - 13) / 256) ** 0.5 == pytest.approx(1, abs=0.05)


def test_real_epi_is_refused_with_what_was_found(test_data):
    path = test_data / "raw" / "phantom_twix_ve_epi.dat"
    assert_refused(path, "40 of 80 lines reversed and 3 phase-correction navigators, sampled on the ramps", "corrected and regridded")


@pytest.mark.parametrize("name", ["phantom_twix_ve_gre", "phantom_twix_vb_12ch_r2_noise_acs"])
def test_real_names_do_not_get_past_the_reader(test_data, name):
    import pickle

    archive = open_archive(test_data / "raw" / f"{name}.dat")
    held = pickle.dumps((archive, list(archive), archive.describe()))
    for identity in (b"BANGERTER", b"66327770", b"2317399", b"19931203", b"45385", b"35002", b"Brigham", b"DZNE"):
        assert identity not in held


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["phantom_twix_ve_gre", "phantom_twix_vb_12ch_r2_noise_acs"])
def test_a_second_reader_finds_the_same_samples(test_data, name):
    mapvbvd = pytest.importorskip("mapvbvd")
    path = test_data / "raw" / f"{name}.dat"
    theirs = mapvbvd.mapVBVD(str(path), quiet=True)
    theirs.image.flagRemoveOS, theirs.image.squeeze = False, True
    image = torch.from_numpy(np.ascontiguousarray(theirs.image[""].transpose(1, 2, 0)))  # columns, channels, lines to ours
    scan = open_archive(path).read(f"{name}/slice-000")
    ours = scan.kspace[0, 0][:, : image.shape[1]]
    expected = remove_readout_oversampling(image, ours.shape[-1])
    imaging = image.abs().amax(dim=(0, 2)) > 0  # theirs leaves the reference lines out
    torch.testing.assert_close(ours[:, imaging], expected[:, imaging])
    assert int(imaging.sum()) >= 32
    if scan.noise is not None:
        theirs.noise.flagRemoveOS, theirs.noise.squeeze = False, True
        torch.testing.assert_close(scan.noise[0], torch.from_numpy(np.ascontiguousarray(theirs.noise[""].T)))
