"""ESPIRiT against the sensitivities that the data were made with, and against its own definition."""

import pytest
import torch

from ssrecon.calibrate import espirit
from ssrecon.calibrate.espirit import SCANS_AT_ONCE, _row_space, calibration_matrix
from ssrecon.core.window import crop
from ssrecon.operators import sense
from tests.calibrate.raw import white
from tests.scans import smooth_csm, smooth_image


def data(shape, coils, level=0.0, frames=1, csm=None):
    csm = smooth_csm(coils, shape) if csm is None else csm
    full = sense(torch.ones(1, frames, 1, *shape, dtype=torch.bool), csm)(smooth_image(shape, frames, csm.shape[1]))
    return (full + level * white(tuple(full.shape), 0)).to(torch.complex64), csm


def correlation(a, b):
    return (a.conj() * b).sum(dim=2).abs() / (torch.linalg.vector_norm(a, dim=2) * torch.linalg.vector_norm(b, dim=2)).clamp_min(1e-20)


@pytest.mark.parametrize(("shape", "coils", "side"), [((64, 64), 8, (24, 24)), ((65, 48), 4, (20, 24)), ((96, 80), 16, (24, 24))])
def test_finds_the_sensitivities(shape, coils, side):
    kspace, truth = data(shape, coils, 0.01)
    csm = espirit(crop(kspace, side), shape)
    inside = smooth_image(shape)[0, 0, 0].abs() > 0.1
    assert csm.shape == (1, 1, coils, *shape) and csm.is_complex()
    agreement = correlation(csm, truth)[0, 0][inside]
    assert agreement.median() > 0.999 and agreement.quantile(0.01) > 0.99
    assert csm.imag.abs().max() > 0.05, "not purely real"


def test_unit_norm_or_zero_and_zero_outside_the_object():
    kspace, _ = data((64, 64), 8, 0.01)
    norm = torch.linalg.vector_norm(espirit(crop(kspace, (24, 24)), (64, 64)), dim=2)
    assert bool(((norm - 1).abs().lt(1e-5) | norm.eq(0)).all())
    assert norm[..., :4, :4].max() == 0 and 0.3 < norm.mean() < 0.9


def test_equals_its_definition_computed_plainly():
    """The eigenvectors of G(x) from the full matrix of kernels at every pixel, with the eigenvalue crop."""
    shape, kernel = (40, 37), 5
    kspace, _ = data(shape, 4, 0.01)
    region = crop(kspace, (18, 20))
    _, S, VH = torch.linalg.svd(calibration_matrix(region[0].to(torch.complex128), kernel), full_matrices=False)
    rows = VH[S > 0.02 * S[0]].reshape(-1, 4, kernel, kernel)
    at = [(torch.arange(n) - n // 2) / n for n in shape]
    phases = [torch.exp(2j * torch.pi * x.double()[:, None] * torch.arange(kernel)) for x in at]
    a = torch.einsum("kcrs,yr,xs->yxck", rows, *phases) / kernel
    values, vectors = torch.linalg.eigh(a @ a.mH)
    expected = torch.where(values[..., -1:] > 0.9, vectors[..., -1], 0).permute(2, 0, 1)[None, None]
    found = espirit(region, shape, kernel=kernel, crop=0.9)
    assert ((found != 0).any(dim=2) == (expected != 0).any(dim=2)).float().mean() > 0.99
    both = (found != 0).any(dim=2) & (expected != 0).any(dim=2)
    assert correlation(found.to(torch.complex128), expected)[both].min() > 0.9999


def test_two_map_sets_hold_an_object_that_wraps():
    """An object twice as large as the field of view along y: one set cannot explain its data, two can."""
    shape = (64, 48)
    # Texture: were the two halves smooth, their sum would be a sensitivity like any other.
    textured = smooth_image(shape) * (1 + 0.5 * white((1, 1, 1, *shape), 1)).to(torch.complex64)
    kspace = sense(torch.ones(1, 1, 1, *shape, dtype=torch.bool), smooth_csm(8, shape))(textured)
    folded = kspace[..., ::2, :]  # DC of 64 falls on DC of 32
    images = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(folded, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))

    def unexplained(maps):
        csm = espirit(crop(folded, (24, 24)), (32, 48), maps=maps, crop=0.9)
        coefficients = (csm.conj() * images).sum(dim=2, keepdim=True)
        return float((images - (csm * coefficients).sum(dim=1, keepdim=True)).abs().square().sum() / images.abs().square().sum()), csm

    one, two = unexplained(1)[0], unexplained(2)
    assert two[0] < 0.01 < 0.03 < one
    overlap = (two[1][:, 0].conj() * two[1][:, 1]).sum(dim=1).abs()
    assert overlap.max() < 1e-4 and 0.05 < float((two[1][:, 1] != 0).any(dim=1).float().mean()) < 0.95


def test_does_not_depend_on_gain_or_batch_mates():
    first, second = (crop(data((48, 48), 4, level)[0], (20, 20)) for level in (0.01, 0.05))
    alone = espirit(first, (48, 48))
    assert torch.equal(alone[0], espirit(torch.cat([second, first]), (48, 48))[1])
    assert torch.allclose(alone, espirit(first * 1e-9, (48, 48)), atol=1e-4)


def test_coarser_grids_are_samples_of_the_same_maps():
    region = crop(data((64, 64), 8, 0.005)[0], (24, 24))
    fine, coarse = espirit(region, (64, 64), crop=0.0), espirit(region, (32, 32), crop=0.0)
    inside = smooth_image((32, 32))[0, 0, 0].abs() > 0.1
    assert correlation(fine[..., ::2, ::2], coarse)[0, 0][inside].min() > 0.9999


def test_frames_are_more_windows_of_the_same_coils():
    kspace, truth = data((48, 48), 6, 0.3, frames=6)
    region = crop(kspace, (20, 20))
    inside = smooth_image((48, 48))[0, 0, 0].abs() > 0.1
    many, one = (
        correlation(espirit(part, (48, 48), crop=0.0, threshold=0.1), truth)[0, 0][inside].mean() for part in (region, region[:, :1])
    )
    assert many > one


def test_three_dimensions():
    shape = (20, 22, 24)
    kspace, truth = data(shape, 4, 0.002)
    csm = espirit(crop(kspace, (12, 12, 12)), shape, kernel=4, crop=0.8)
    found = (csm != 0).any(dim=2)[0, 0] & (smooth_image(shape)[0, 0, 0].abs() > 0.3)
    assert csm.shape == (1, 1, 4, *shape)
    assert float(found.sum()) > 500 and correlation(csm, truth)[0, 0][found].median() > 0.99


def test_no_signal_gives_no_maps_and_impossible_requests_are_refused():
    nothing = torch.zeros(1, 1, 4, 24, 24, dtype=torch.complex64)
    assert espirit(nothing, (32, 32)).abs().max() == 0
    with pytest.raises(ValueError, match="do not fit"):
        espirit(nothing[..., :4], (32, 32))
    with pytest.raises(ValueError, match="do not fit"):
        espirit(nothing, (32, 32), maps=5)


@pytest.mark.parametrize("maps", [1, 2])
def test_scans_together_are_as_each_alone(monkeypatch, maps):
    """On a device a batch is worked on at once: scans with different numbers of kernels, one of them without any signal."""
    smooth, rough = (data((48, 40), 4, level)[0] for level in (0.0, 0.2))
    regions = [crop(kspace, (24, 20)) for kspace in (smooth, rough, torch.zeros_like(smooth), 1e4 * smooth)]
    kernels = [len(_row_space(calibration_matrix(region[0] / 30, 6)[None], 0.02, torch.zeros(1))[0]) for region in regions[:2]]
    assert kernels[0] < kernels[1]
    alone = espirit(torch.cat(regions), (48, 40), maps=maps, noise_std=0.01)
    monkeypatch.setitem(SCANS_AT_ONCE, "cpu", 4)
    together = espirit(torch.cat(regions), (48, 40), maps=maps, noise_std=0.01)
    torch.testing.assert_close(together, alone, atol=2e-3, rtol=0)
    assert together[2].abs().max() == 0 and together[0].abs().max() > 0.1
