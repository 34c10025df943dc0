import pytest
import torch

from ssrecon.objectives.distances import NormalizedL1, NormalizedL1L2, NormalizedSquare


def kspace(*values):
    return torch.tensor(values, dtype=torch.complex64)[None, None, None, None]


def test_golden_value_of_the_published_distance():
    distance, measured = NormalizedL1L2(), kspace(1 + 1j, 2, 0)
    assert distance(kspace(0, 2, 0), measured).item() == pytest.approx(0.538675, abs=1e-6)
    assert distance(kspace(0, 0, 0), measured).item() == pytest.approx(1.0)
    assert distance(measured, measured).item() == 0


def test_others():
    measured, predicted = kspace(3, 4j), kspace(3, 0)
    assert NormalizedL1()(predicted, measured).item() == pytest.approx(4 / 7)
    assert NormalizedSquare()(predicted, measured).item() == pytest.approx(16 / 25)


@pytest.mark.parametrize("distance", [NormalizedL1L2(), NormalizedL1(), NormalizedSquare()])
def test_per_scan_and_free_of_scale(distance):
    generator = torch.Generator().manual_seed(0)
    predicted, measured = (torch.randn(3, 1, 2, 4, 4, generator=generator, dtype=torch.complex64) for _ in range(2))
    together = distance(predicted, measured)
    assert together.shape == (3,)
    torch.testing.assert_close(distance(predicted[1:2], measured[1:2]), together[1:2])
    torch.testing.assert_close(distance(7 * predicted, 7 * measured), together)
