"""Against scikit-image, and fastMRI's evaluation and SSIMLoss restated."""

import numpy as np
import pytest
import torch
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from ssrecon.metrics.nmse import nrmse
from ssrecon.metrics.psnr import psnr
from ssrecon.metrics.ssim import WANG, Window, ssim
from ssrecon.metrics.volume import score_volume
from tests.metrics.test_metrics import volume


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("data_range", [0.7, 12.0])
def test_ssim_is_scikit_images(seed, data_range):
    estimate, reference = (v[0] for v in volume(1, (33, 28), seed))
    assert ssim(estimate, reference, data_range) == pytest.approx(
        structural_similarity(reference, estimate, data_range=data_range), rel=1e-10
    )
    assert ssim(estimate, reference, data_range, Window(size=9, k1=0.02, k2=0.05, sample_covariance=False)) == pytest.approx(
        structural_similarity(reference, estimate, data_range=data_range, win_size=9, K1=0.02, K2=0.05, use_sample_covariance=False),
        rel=1e-10,
    )
    wang = structural_similarity(reference, estimate, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert ssim(estimate, reference, data_range, WANG) == pytest.approx(wang, rel=1e-10)


def test_psnr_and_nrmse_are_scikit_images():
    estimate, reference = volume()
    assert psnr(estimate, reference, 3.3) == pytest.approx(peak_signal_noise_ratio(reference, estimate, data_range=3.3), rel=1e-12)
    assert nrmse(estimate, reference) == pytest.approx(normalized_root_mse(reference, estimate, normalization="euclidean"), rel=1e-12)


def test_the_fastmri_convention_is_fastmris_evaluation():
    """Volume maximum as data range everywhere; SSIM the mean over the slices."""
    estimate, reference = volume(4)
    found = {row.metric: row.value for row in score_volume(estimate, reference) if row.slice is None and row.convention == "fastmri"}
    slices = [structural_similarity(r, e, data_range=reference.max()) for e, r in zip(estimate, reference, strict=True)]
    assert found["ssim"] == pytest.approx(np.mean(slices), rel=1e-10)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(reference, estimate, data_range=reference.max()), rel=1e-12)
    assert found["nmse"] == pytest.approx(np.linalg.norm(reference - estimate) ** 2 / np.linalg.norm(reference) ** 2, rel=1e-12)


def test_the_fastmri_convention_is_its_training_loss():
    """1 - SSIMLoss: 7 x 7 mean filters as convolutions without padding, covariances times 49 / 48."""
    estimate, reference = (torch.from_numpy(v)[:, None] for v in volume(4))
    data_range, window = reference.max(), torch.ones(1, 1, 7, 7, dtype=torch.float64) / 49

    def mean(x):
        return torch.nn.functional.conv2d(x, window)

    ux, uy = mean(estimate), mean(reference)
    vx, vy, vxy = (49 / 48 * (mean(a * b) - mean(a) * mean(b)) for a, b in [(estimate,) * 2, (reference,) * 2, (estimate, reference)])
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    loss = 1 - ((2 * ux * uy + c1) * (2 * vxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))).mean()
    (found,) = (
        row.value
        for row in score_volume(estimate[:, 0], reference[:, 0])
        if (row.slice, row.metric, row.convention) == (None, "ssim", "fastmri")
    )
    assert found == pytest.approx(1 - float(loss), rel=1e-10)
