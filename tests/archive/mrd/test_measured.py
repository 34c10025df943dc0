"""ISMRMRD: a measured phantom, and files of the standard's own generator."""

import math
import shutil
import subprocess

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.calibrate.verdict import verdict
from ssrecon.operators import Fourier
from tests.archive.mrd.common import acquired


def test_real_scan(test_data):
    """14 coils, R=3: DC in the middle, and white noise of variance 1 after whitening with the bandwidth correction."""
    scan = open_archive(test_data / "raw" / "phantom_mrd_r3_noise_acs.h5").read("phantom_mrd_r3_noise_acs/slice-000")
    assert scan.kspace.shape == (1, 1, 14, 144, 192) and scan.noise.shape == (1, 14, 384)
    assert acquired(scan.mask) == sorted({*range(18, 124, 3), *range(48, 96)})
    energy = scan.kspace.abs().square().sum(dim=(0, 1, 2))
    assert int(energy.sum(-1).argmax()) == 72 and abs(int(energy.sum(-2).argmax()) - 96) <= 1
    assert verdict(scan).pattern == "lattice every 3"
    noise = scan.noise[0]
    covariance = noise @ noise.conj().mT / noise.shape[-1] * scan.noise_bandwidth_ratio
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance))
    outer = torch.cat([scan.kspace[0, 0][:, 18:27:3], scan.kspace[0, 0][:, 117:126:3]], dim=1)
    profile = torch.fft.fftshift(
        torch.fft.ifft(torch.fft.ifftshift(torch.einsum("ij,jyx->iyx", whiten, outer), dim=-1), norm="ortho"), dim=-1
    )
    empty = torch.cat([profile[..., :4], profile[..., -4:]], dim=-1).abs().square().mean()
    # One noise readout of 384 samples for 14 coils: the inverse of its covariance is 384 / (384 - 15) too large on average.
    assert math.sqrt(float(empty) * (384 - 15) / 384) == pytest.approx(1, abs=0.05)


GENERATOR = "ismrmrd_generate_cartesian_shepp_logan"


@pytest.mark.skipif(shutil.which(GENERATOR) is None, reason=f"{GENERATOR} (ismrmrd-tools) is not installed")
@pytest.mark.parametrize("acceleration, options", [(1, []), (2, ["-w", "24", "-C"]), (4, ["-w", "20", "-C", "-r", "2"])])
def test_files_of_the_standards_own_generator(tmp_path, acceleration, options):
    """Its frames take lines in turn: together they are all of k-space, whose image is the phantom that lies in the same file. (With another
    oversampling than its default of 2 the generator's header does not fit its samples.)"""
    command = [GENERATOR, "-m", "96", "-c", "4", "-a", str(acceleration), "-n", "0.01", "-o", "a.h5", *options]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with h5py.File(tmp_path / "a.h5") as file:
        csm, phantom = (file[f"dataset/{name}"][0]["real"] + 1j * file[f"dataset/{name}"][0]["imag"] for name in ("csm", "phantom"))
    (scan,) = open_archive(tmp_path / "a.h5")
    frames = scan.kspace.shape[1]
    assert frames == acceleration * (2 if "-r" in options else 1) and scan.kspace.shape[2:] == (4, 96, 96)
    assert (scan.noise is not None) == ("-C" in options)
    lines = scan.mask[0, :, 0, :, 0]
    assert bool(lines.any(dim=0).all())
    assert bool(lines[0, ::acceleration].all() or lines[0, 1::acceleration].all() or acceleration > 2)
    if "-w" in options:
        width = int(options[options.index("-w") + 1])
        assert bool(lines[:, 48 - width // 2 : 48 + width // 2].all())
    kspace = scan.kspace[0].sum(dim=0) / scan.mask[0].sum(dim=0)
    image = (Fourier(2).adjoint(kspace) * torch.from_numpy(csm.conj())).sum(dim=0)
    correlation = np.abs((image.numpy() * phantom.conj()).sum()) / np.linalg.norm(image.numpy()) / np.linalg.norm(phantom)
    assert correlation > 0.98
