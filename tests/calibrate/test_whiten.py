import pytest
import torch

from ssrecon.calibrate import mix_coils, noise_covariance, whitening
from ssrecon.core.errors import BadInput
from tests.calibrate.raw import mixing, white

COILS = 8


def readouts(count: int = 512, seed: int = 10) -> torch.Tensor:
    return (1e-6 * mixing(COILS) @ white((count, COILS, 256), seed)).to(torch.complex64)


def test_whitened_std_is_one_on_the_other_half():
    noise = readouts()
    W = whitening(noise_covariance(noise[::2])).matrix
    other = mix_coils(W, noise[1::2][None])[0]
    covariance = noise_covariance(other)
    assert torch.allclose(covariance.diagonal().real.sqrt(), torch.ones(COILS, dtype=torch.float64), atol=0.01)
    assert (covariance - torch.eye(COILS)).abs().max() < 0.02


def test_bandwidth_ratio_is_a_variance_ratio():
    noise = readouts()
    W = whitening(noise_covariance(noise, bandwidth_ratio=4.0)).matrix
    imaging = 2 * mix_coils(W, noise[None])
    assert float(imaging.abs().square().mean()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("noise", "found"),
    [
        (readouts()[:1, :, :40], "40 noise samples for 8 coils"),
        (torch.zeros(4, COILS, 256, dtype=torch.complex64), "all zero"),
        (torch.full((4, COILS, 256), torch.nan, dtype=torch.complex64), "not finite"),
    ],
    ids=["too few", "zeros", "nan"],
)
def test_unusable_noise_is_refused(noise, found):
    with pytest.raises(BadInput, match=f"scan-3: found .*{found}"):
        noise_covariance(noise, where="scan-3")


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_bandwidth_ratio_is_refused(ratio):
    with pytest.raises(BadInput, match="bandwidth ratio"):
        noise_covariance(readouts(4), ratio)


def test_copies_of_a_coil_are_refused():
    noise = readouts()
    noise[:, 3] = 2 * noise[:, 5]
    with pytest.raises(BadInput, match="singular noise covariance"):
        whitening(noise_covariance(noise))


def test_a_dead_coil_leaves_the_whitened_coils_and_is_named():
    noise = readouts()
    noise[:, 2] = 0
    found = whitening(noise_covariance(noise))
    assert found.notes == ("coil 2 of 8 has no noise: not connected, left out",)
    assert found.matrix.shape == (COILS - 1, COILS) and float(found.matrix[:, 2].abs().max()) == 0
    whitened = noise_covariance(mix_coils(found.matrix, noise[None])[0])
    assert torch.allclose(whitened, torch.eye(COILS - 1, dtype=torch.complex128), atol=1e-3)


def test_a_coil_that_is_said_not_to_be_connected_leaves_too():
    connected = torch.arange(COILS) != 5
    found = whitening(noise_covariance(readouts()), connected=connected)
    assert found.notes == () and found.matrix.shape == (COILS - 1, COILS) and float(found.matrix[:, 5].abs().max()) == 0
    with pytest.raises(BadInput, match="no connected coil"):
        whitening(noise_covariance(readouts()), connected=torch.zeros(COILS, dtype=torch.bool))
