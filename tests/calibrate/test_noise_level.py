"""Noise that was put in is found again without a noise scan."""

import h5py
import pytest
import torch

from ssrecon.calibrate import estimated_covariance, mix_coils, whitening
from ssrecon.core.window import crop
from ssrecon.operators import Fourier
from ssrecon.simulation import PhantomArchive, T1Weighted, T2Weighted
from tests.calibrate.raw import mixing, raw_scan, white


def calibration(coils: int, side: int, level: float, unequal: bool, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Calibration data and the std of each coil's noise."""
    clean = raw_scan(seed, (128, 128), coils, level=0, gain=1.0).truth
    std = torch.full((coils,), level, dtype=torch.float64)
    if unequal:
        std = (
            std
            * torch.logspace(-0.3, 0.3, coils, dtype=torch.float64)[torch.randperm(coils, generator=torch.Generator().manual_seed(seed))]
        )
    noisy = crop(clean, (side, side))[0] + std[:, None, None] * white((1, coils, side, side), seed)
    return noisy.to(torch.complex64), std


@pytest.mark.parametrize("unequal", [False, True], ids=["equal", "unequal"])
@pytest.mark.parametrize("level", [0.2, 0.05, 0.0125], ids=["snr 5", "snr 20", "snr 80"])
@pytest.mark.parametrize(("coils", "side"), [(4, 24), (8, 20), (8, 24), (16, 24), (32, 20)])
def test_within_ten_percent(coils, side, level, unequal):
    data, std = calibration(coils, side, level, unequal, seed=coils + side)
    ratio = estimated_covariance(data).diagonal().real.sqrt() / std
    assert float(ratio.square().mean().sqrt()) == pytest.approx(1, abs=0.1)
    assert ratio.min() > 0.7 and ratio.max() < 1.4


def test_scale_does_not_matter():
    data, std = calibration(8, 24, 0.05, True, seed=2)
    gain = 2.0**-20
    assert torch.allclose(estimated_covariance(data) * gain**2, estimated_covariance(data * gain), rtol=1e-6)


def test_slices_of_a_volume_are_pooled():
    scans = [calibration(8, 18, 0.02, False, seed) for seed in range(5)]
    found = estimated_covariance(torch.cat([data for data, _ in scans]))
    assert torch.allclose(found.diagonal().real.sqrt(), scans[0][1], rtol=0.12)


@pytest.mark.parametrize("coils", [4, 8])
@pytest.mark.parametrize("contrast", [T1Weighted(), T2Weighted()], ids=["T1", "T2"])
def test_within_ten_percent_on_simulated_heads(coils, contrast):
    for scan in PhantomArchive(subjects=3, slices=1, matrix=(128, 128), coils=coils, contrasts=(contrast,)):
        level = (scan.kspace - scan.truth)[0, 0].abs().square().mean(dim=(1, 2)).sum().sqrt()
        for side in (18, 24):
            found = estimated_covariance(crop(scan.kspace, (side, side))[:, 0]).diagonal().real.sum().sqrt()
            assert float(found / level) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("coils", [4, 8, 16])
def test_correlated_noise_is_whitened(coils):
    clean = crop(raw_scan(0, (128, 128), coils, level=0, gain=1.0).truth, (24, 24))[0]
    factor = 0.03 * mixing(coils)
    noisy = clean + torch.einsum("oc,fcyx->foyx", factor, white(tuple(clean.shape), 99))
    W = whitening(estimated_covariance(noisy.to(torch.complex64))).matrix.to(torch.complex128)
    after = W @ factor @ factor.mH @ W.mH
    assert float(after.diagonal().real.mean().sqrt()) == pytest.approx(1, abs=0.07)
    assert float(torch.linalg.matrix_norm(after - torch.eye(coils)) / coils**0.5) < 0.35
    raw = factor @ factor.mH
    assert float(torch.linalg.matrix_norm(raw / raw.diagonal().real.mean() - torch.eye(coils)) / coils**0.5) > 0.5


def test_agrees_with_the_background_of_a_real_brain(test_data):
    """Outside the head of a fully sampled image there is nothing but noise, which the estimate from 24 x 24 samples has not seen."""
    with h5py.File(test_data / "brain" / "brain_f.h5") as file:
        kspace = torch.from_numpy(file["kspace"][...].swapaxes(-1, -2))[:, None]
    W = whitening(estimated_covariance(crop(kspace, (24, 24))[:, 0])).matrix
    background = Fourier(2).adjoint(mix_coils(W, kspace))[..., :24, :24]
    assert float(background.abs().square().mean().sqrt()) == pytest.approx(1, abs=0.15)


def test_unknown_where_it_cannot_be_told():
    data, _ = calibration(8, 24, 0.05, False, seed=0)
    assert estimated_covariance(data[:, :1]) is None, "one coil: nothing is redundant"
    assert estimated_covariance(data[..., :16, :16]) is None, "too small a region"
    assert estimated_covariance(torch.zeros_like(data)) is None


@pytest.mark.parametrize("level", [0.0, 0.01])
@pytest.mark.parametrize("width", [0.2, 0.5, 1.0])
def test_a_smooth_object_seen_by_one_coil_is_not_taken_for_noise(width, level):
    """Its spectrum falls so steeply that a few windows tell it no worse than noise: levels of .03 to 2 were found where there is none."""
    place = torch.linspace(-1, 1, 64, dtype=torch.float64)
    image = torch.exp(-(place[:, None] ** 2 + place**2) / width).to(torch.complex128)
    kspace = Fourier(2)(image[None, None]) + level * white((1, 1, 64, 64), 3)
    for side in (18, 24):
        assert estimated_covariance(crop(kspace, (side, side)).to(torch.complex64)) is None
