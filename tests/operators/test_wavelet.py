import pytest
import torch

from ssrecon.operators.wavelet import DB4, Wavelet, deepest_level
from tests.laws.operators import assert_laws, random_like

SHAPES = [(32, 16), (30, 23), (12, 9, 10)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [1, 2])
def test_wavelet(shape, levels):
    W = Wavelet(shape, levels)
    assert_laws(W, (2, 1, 1, *shape), (2, 1, 1, *W.padded))


@pytest.mark.parametrize("shape", SHAPES)
def test_perfect_reconstruction_and_isometry(shape):
    W, x = Wavelet(shape, 2), random_like((2, *shape), 0)
    torch.testing.assert_close(W.adjoint(W(x)), x)
    torch.testing.assert_close(torch.linalg.vector_norm(W(x)), torch.linalg.vector_norm(x))


def test_orthogonal_both_ways_on_the_padded_image():
    W = Wavelet((30, 23), 2)
    y = random_like((1, *W.padded), 0)
    assert W.padded == (32, 24)
    torch.testing.assert_close(W.analysis(W.synthesis(y)), y)


def test_filter_is_pywavelets_db4():
    pywt = pytest.importorskip("pywt")
    torch.testing.assert_close(torch.tensor(DB4), torch.tensor(pywt.Wavelet("db4").rec_lo), atol=1e-11, rtol=0)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_coefficients_are_pywavelets_where_no_boundary_is_met(levels):
    """Not at the boundary, which PyWavelets' mode "zero" extends and ours wraps: an image in the middle of nothing has the same ones."""
    pywt = pytest.importorskip("pywt")
    image = torch.zeros(256, 128, dtype=torch.complex128)
    image[100:140, 50:80] = random_like((40, 30), 0)
    ours = Wavelet((256, 128), levels)(image)
    theirs, _ = pywt.coeffs_to_array(pywt.wavedecn(image.numpy(), "db4", mode="zero", level=levels))
    largest = torch.from_numpy(abs(theirs).ravel()).sort(descending=True).values[: ours.numel()]
    torch.testing.assert_close(ours.abs().flatten().sort(descending=True).values, largest, atol=1e-9, rtol=0)


def test_a_polynomial_of_degree_three_has_no_details_away_from_the_boundary():
    n = torch.arange(64, dtype=torch.float64) / 64
    x = (n**3)[:, None] * torch.ones(64) + 0j
    details = Wavelet((64, 64), 1)(x)[32 + 4 : -4]
    assert details.abs().max() < 1e-12


@pytest.mark.parametrize(("shape", "levels"), [((256, 256), 5), ((256, 180), 4), ((320, 368), 5), ((13, 20), 1), ((4, 4), 1)])
def test_deepest_level_is_pywavelets(shape, levels):
    assert deepest_level(shape) == levels


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(8, 8\).*8, 9\)"):
        Wavelet((8, 8), 1)(torch.zeros(1, 8, 9, dtype=torch.complex64))
