"""Metrics on images where the answer is known, the held-out residual's statistics, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from ssrecon.metrics.hfen import hfen
from ssrecon.metrics.nmse import nmse, nrmse
from ssrecon.metrics.psnr import psnr
from ssrecon.metrics.residual import heldout_residual
from ssrecon.metrics.rings import fourier_ring_correlation
from ssrecon.metrics.ssim import ssim
from ssrecon.metrics.volume import FASTMRI, PER_SLICE, score_volume
from ssrecon.operators import encoding
from tests.scans import make_scan


def volume(slices: int = 3, shape: tuple[int, int] = (30, 26), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    reference = np.stack([(1 + i) * (1.2 + np.sin(0.4 * y + i) * np.cos(0.3 * x)) for i in range(slices)])
    return np.abs(reference + 0.1 * rng.standard_normal(reference.shape)), reference


def test_known_values():
    reference = np.array([[3.0, 4.0], [0.0, 0.0]])
    estimate = np.array([[3.0, 4.0], [0.0, 1.0]])
    assert nmse(estimate, reference) == pytest.approx(1 / 25)
    assert nrmse(estimate, reference) == pytest.approx(1 / 5)
    assert psnr(estimate, reference, 4.0) == pytest.approx(10 * math.log10(16 / 0.25))
    assert psnr(reference, reference, 4.0) == math.inf
    assert nmse(0 * reference, reference) == 1.0


def test_equal_images_are_perfect_and_order_does_not_matter_to_ssim():
    estimate, reference = volume()
    assert ssim(reference, reference, 1.0) == pytest.approx(1.0, abs=1e-12) and hfen(reference, reference) == 0
    assert ssim(estimate, reference, 2.0) == pytest.approx(ssim(reference, estimate, 2.0), rel=1e-12)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e7])
def test_units_do_not_matter(unit):
    """A peer's SSIM is wrong on images that are not normalised: .027 where .602 is right."""
    estimate, reference = volume()
    for row, scaled in zip(score_volume(estimate, reference), score_volume(unit * estimate, unit * reference), strict=True):
        assert scaled.value == pytest.approx(row.value, rel=1e-7), row


def test_tensors_and_arrays_give_the_same():
    estimate, reference = volume()
    tensors = torch.from_numpy(estimate).requires_grad_(), torch.from_numpy(reference)
    assert score_volume(*tensors) == score_volume(estimate, reference)
    with torch.inference_mode():
        batched = torch.from_numpy(estimate)[:, None] * 1
        assert nmse(batched, torch.from_numpy(reference)[:, None]) == nmse(estimate, reference)


def test_hfen_is_the_fifteen_pixel_laplacian_of_gaussian():
    """Against the kernel written out in two dimensions: normalised Gaussian times (r^2 - 2 s^2) / s^4, less its mean."""
    y, x = np.mgrid[-7:8, -7:8]
    gaussian = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    gaussian /= gaussian.sum()
    kernel = gaussian * (x**2 + y**2 - 2 * 1.5**2) / 1.5**4
    kernel -= kernel.mean()
    estimate, reference = volume()
    errors, norms = [], []
    for e, r in zip(estimate, reference, strict=True):
        errors.append(((convolve(e, kernel, mode="constant") - convolve(r, kernel, mode="constant")) ** 2).sum())
        norms.append((convolve(r, kernel, mode="constant") ** 2).sum())
    assert hfen(estimate, reference) == pytest.approx(math.sqrt(sum(errors) / sum(norms)), rel=1e-9)
    assert hfen(estimate[0], reference[0]) == pytest.approx(math.sqrt(errors[0] / norms[0]), rel=1e-9)


def test_a_constant_offset_is_no_high_frequency_error():
    estimate, reference = np.zeros((40, 40)), np.zeros((40, 40))
    reference[20, 20] = 1.0
    estimate[:] = reference
    estimate[10:30, 10:30] += 0.1
    flat = np.zeros_like(reference, dtype=bool)
    flat[18:22, 18:22] = True
    assert hfen(estimate, reference, flat) < 1e-3 < nmse(estimate, reference, flat)


def test_the_foreground_mask_is_all_that_counts():
    estimate, reference = volume(shape=(40, 36))
    mask = np.zeros(reference.shape, dtype=bool)
    mask[:, 12:28, 10:26] = True
    spoilt = np.where(mask, estimate, estimate + 5.0)
    assert nmse(spoilt, reference, mask) == nmse(estimate, reference, mask)
    assert psnr(spoilt, reference, 1.0, mask) == psnr(estimate, reference, 1.0, mask)
    inner = np.zeros_like(mask)
    inner[:, 15:25, 13:23] = True  # the 7 x 7 window of these pixels lies in the mask
    assert ssim(spoilt, reference, 1.0, mask=inner) == pytest.approx(ssim(estimate, reference, 1.0, mask=inner), rel=1e-9)
    assert {row.value for row in score_volume(estimate, reference, mask)} != {row.value for row in score_volume(estimate, reference)}


def test_score_volume_is_tidy():
    estimate, reference = volume()
    rows = score_volume(estimate, reference)
    assert len({(row.slice, row.metric, row.convention) for row in rows}) == len(rows) == 4 * (5 + 5 + 1)
    found = {(row.slice, row.metric, row.convention): row.value for row in rows}
    assert found[None, "nmse", "fastmri"] == nmse(estimate, reference)
    assert found[None, "nmse", "slice"] == pytest.approx(np.mean([nmse(e, r) for e, r in zip(estimate, reference, strict=True)]))
    assert found[1, "psnr", "fastmri"] == psnr(estimate[1], reference[1], reference.max())
    assert found[1, "psnr", "slice"] == psnr(estimate[1], reference[1], reference[1].max())
    # The range of the volume flatters the faint slices: the size of that trap is why the convention stands beside every number.
    assert found[0, "psnr", "fastmri"] - found[0, "psnr", "slice"] == pytest.approx(20 * math.log10(reference.max() / reference[0].max()))
    assert found[None, "ssim", "fastmri"] > found[None, "ssim", "slice"]


def test_volume_max_sets_the_range_of_volume_conventions_only():
    estimate, reference = volume()
    plain, wider = (score_volume(estimate, reference, volume_max=v, conventions=(FASTMRI, PER_SLICE)) for v in (None, 2 * reference.max()))
    for a, b in zip(plain, wider, strict=True):
        if a.metric == "psnr" and a.convention == "fastmri":
            assert b.value - a.value == pytest.approx(20 * math.log10(2))
        elif a.metric != "ssim" or a.convention == "slice":
            assert a == b


def test_an_empty_slice_has_no_rows_and_stops_nothing():
    estimate, reference = volume()
    reference[1] = 0
    rows = score_volume(estimate, reference)
    assert {row.slice for row in rows} == {0, 2, None} and all(math.isfinite(row.value) for row in rows)


@pytest.mark.parametrize(
    ("estimate", "reference", "text"),
    [
        (np.ones((3, 4)), np.ones((4, 3)), r"estimate \(3, 4\), reference \(4, 3\)"),
        (np.full((3, 4), np.nan), np.ones((3, 4)), r"\(3, 4\).*not finite"),
        (np.ones((3, 4)), np.zeros((3, 4)), r"\(3, 4\) has no energy"),
        (np.ones((3, 4), dtype=complex), np.ones((3, 4)), r"magnitudes.*complex128 of shape \(3, 4\)"),
    ],
)
def test_refuses_what_cannot_be_compared(estimate, reference, text):
    with pytest.raises(ValueError, match=text):
        nmse(estimate, reference)


def test_refuses_windows_ranges_and_masks_that_do_not_fit():
    image = np.ones((6, 20))
    with pytest.raises(ValueError, match=r"\(1, 6, 20\) has no room for the 7 x 7 window"):
        ssim(image, image, 1.0)
    with pytest.raises(ValueError, match="data range must be a positive number: found 0"):
        psnr(image, image, 0.0)
    with pytest.raises(ValueError, match=r"mask of shape \(6, 20\) is empty"):
        nmse(image, image, np.zeros((6, 20), dtype=bool))
    with pytest.raises(ValueError, match=r"found shape \(2, 6, 20, 1\)"):
        hfen(np.ones((2, 6, 20, 1)), np.ones((2, 6, 20, 1)))
    with pytest.raises(ValueError, match=r"reference of shape \(2, 8, 8\) is zero everywhere"):
        score_volume(np.ones((2, 8, 8)), np.zeros((2, 8, 8)))


def complex_normal(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """E|n|^2 = 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.complex(*(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))) / math.sqrt(2)


def test_a_perfect_prediction_scores_one():
    """2 N r is chi-square of 2 N degrees of freedom: mean 1, standard deviation 1 / sqrt(N), whatever the noise level."""
    shape, std = (300, 1, 8, 20, 20), torch.linspace(0.1, 9.0, 300)
    clean, noise = complex_normal(shape, 0), complex_normal(shape, 1)
    mask = torch.zeros(300, 1, 1, 20, 20, dtype=torch.bool)
    mask[..., ::3, :] = True
    samples = 7 * 20 * 8
    residual = heldout_residual(clean, clean + std.view(-1, 1, 1, 1, 1) * noise, mask, std)
    assert residual.shape == (300,) and residual.dtype == torch.float64
    assert abs(float(residual.mean()) - 1) < 4 / math.sqrt(samples * 300)
    assert float(residual.std()) == pytest.approx(1 / math.sqrt(samples), rel=0.15)


def test_in_sample_and_held_out_least_squares():
    """Least squares of n unknowns from m samples: 1 - n/m on the samples it was fitted to, and 1 + |E_S E_T^+|_F^2 / |S| on others.

    A residual below 1 on what was fitted is over-fitting, and not quality.
    """
    m, n, held, repeats = 90, 30, 60, 400
    e_t, e_s = complex_normal((m, n), 2), complex_normal((held, n), 3)
    pseudo = torch.linalg.pinv(e_t)
    noise_t, noise_s = complex_normal((repeats, m), 4), complex_normal((repeats, held), 5)
    estimate = noise_t @ pseudo.T  # of a zero image: the law does not depend on it

    def score(predicted, measured):
        mask = torch.ones(repeats, 1, 1, measured.shape[1], dtype=torch.bool)
        return heldout_residual(predicted[:, None, None], measured[:, None, None], mask, torch.ones(repeats))

    inside, outside = score(estimate @ e_t.T, noise_t), score(estimate @ e_s.T, noise_s)
    assert float(inside.mean()) == pytest.approx(1 - n / m, abs=4 * float(inside.std()) / math.sqrt(repeats))
    expected = 1 + float(torch.linalg.matrix_norm(e_s @ pseudo) ** 2) / held
    assert float(outside.mean()) == pytest.approx(expected, abs=4 * float(outside.std()) / math.sqrt(repeats))


def test_an_error_of_the_image_raises_the_residual_as_computed():
    """White noise of variance v in the image: + v |E_Gamma|_F^2 / (|Gamma| C sigma^2)."""
    scan = make_scan(shape=(24, 24), noise_std=0.05)
    gamma = torch.zeros_like(scan.mask)
    gamma[..., ::8, :] = True
    held = scan.on(gamma)
    operator, v, repeats = encoding(held), 0.01, 60
    errors = [v**0.5 * complex_normal((1, 1, 1, 24, 24), seed).to(torch.complex64) for seed in range(repeats)]
    found = [float(heldout_residual(operator(x), torch.zeros_like(held.kspace), held.mask, held.noise_std)) for x in errors]
    # |E|_F^2 for an orthonormal F: the share of k-space that is sampled times the energy of the maps.
    frobenius = float(held.mask.float().mean() * scan.csm.abs().square().sum())
    expected = v * frobenius / (int(held.mask.sum()) * 4 * 0.05**2)
    assert np.mean(found) == pytest.approx(expected, abs=4 * float(np.std(found)) / math.sqrt(repeats))


def test_without_a_noise_level_it_is_relative():
    predicted, measured = complex_normal((2, 1, 3, 8, 8), 6), complex_normal((2, 1, 3, 8, 8), 7)
    mask = torch.ones(2, 1, 1, 8, 8, dtype=torch.bool)
    found = heldout_residual(predicted, measured, mask, None)
    for i in range(2):
        assert float(found[i]) == pytest.approx(float(((predicted - measured)[i].abs() ** 2).sum() / (measured[i].abs() ** 2).sum()))
    assert float(heldout_residual(0 * measured, measured, mask, None).max()) == 1.0


def test_ignores_what_is_not_held_out_and_batch_mates():
    predicted, measured = complex_normal((2, 1, 3, 8, 8), 6), complex_normal((2, 1, 3, 8, 8), 7)
    mask = torch.rand(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.4
    std = torch.tensor([0.5, 2.0])
    plain = heldout_residual(predicted, measured, mask, std)
    poisoned = heldout_residual(torch.where(mask, predicted, math.nan), torch.where(mask, measured, math.inf), mask, std)
    assert torch.equal(plain, poisoned)
    assert torch.equal(plain[1:], heldout_residual(predicted[1:], measured[1:], mask[1:], std[1:]))


def test_refuses_an_empty_gamma_and_wrong_shapes():
    kspace, mask = torch.zeros(2, 1, 3, 8, 8, dtype=torch.complex64), torch.zeros(2, 1, 1, 8, 8, dtype=torch.bool)
    mask[0] = True
    with pytest.raises(ValueError, match=r"nothing is held out .*\[64, 0\]"):
        heldout_residual(kspace, kspace, mask, None)
    with pytest.raises(ValueError, match=r"heldout_residual: mask: found shape \(2, 1, 3, 8, 8\) of bool"):
        heldout_residual(kspace, kspace, mask.expand(2, 1, 3, 8, 8), None)


def test_fourier_ring_correlation():
    generator = np.random.default_rng(0)
    image, other = generator.standard_normal((2, 64, 48))
    same = fourier_ring_correlation(image, 3 * image)
    assert same.shape == (25,) and np.allclose(same, 1)
    assert fourier_ring_correlation(image, other)[5:].mean() < 0.2
    # Signal in both with noise in each: per ring snr / (1 + snr).
    scale = fourier_ring_correlation(image, image + generator.standard_normal(image.shape))[8:].mean()
    assert scale == pytest.approx(np.sqrt(1 / 2), abs=0.05)
    with pytest.raises(ValueError, match="of one shape"):
        fourier_ring_correlation(image, image.T)
