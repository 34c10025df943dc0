import pytest
import torch

from ssrecon.calibrate import compression_matrix
from tests.calibrate.raw import white


def test_rows_are_orthonormal_and_ordered():
    samples = (white((500, 8), 0) * torch.logspace(0, 2, 8)).to(torch.complex64)
    V = compression_matrix(samples, 5)
    assert V.shape == (5, 8)
    assert torch.allclose(V @ V.mH, torch.eye(5, dtype=V.dtype), atol=1e-5)
    energy = (samples @ V.mT).abs().square().sum(dim=0)
    assert bool((energy.diff() < 0).all())


def test_keeps_all_of_a_signal_of_low_rank():
    samples = (white((500, 3), 0) @ white((3, 12), 1)).to(torch.complex64)
    V = compression_matrix(samples, 3)
    compressed = samples @ V.mT
    assert torch.allclose(compressed @ V.conj(), samples, atol=1e-4)


def test_the_phase_is_fixed():
    samples = white((500, 6), 0).to(torch.complex64) * torch.logspace(0, 1, 6)
    V = compression_matrix(samples, 4)
    assert torch.allclose(V, compression_matrix(samples * torch.exp(torch.tensor(1.3j)), 4), atol=1e-5)
    assert compression_matrix(samples, 40).shape == (6, 6)


@pytest.mark.parametrize("gain", [1e-12, 1e12])
def test_gain_does_not_matter(gain):
    samples = white((500, 6), 0).to(torch.complex64) * torch.logspace(0, 1, 6)
    assert torch.allclose(compression_matrix(samples, 4), compression_matrix(samples * gain, 4), atol=1e-5)
