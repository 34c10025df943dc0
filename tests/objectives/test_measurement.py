"""The noise that objectives add: white, and told to the network."""

import math

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives import (
    Noise2Recon,
    RobustSSDU,
)
from ssrecon.objectives.measurement import white_noise
from tests.objectives.recorded import archive, recorder
from tests.scans import loss_of, make_scan, reconstruction_of


def test_white_noise_is_of_unit_variance_and_circular():
    noise = white_noise(CalibratedScan.batch([make_scan((64, 64), scan_id=name) for name in ("a", "b")]), Draw(0), "any")
    count = noise.numel()
    assert float(noise.abs().square().mean()) == pytest.approx(1, abs=4 / math.sqrt(count))
    assert float((noise**2).mean().abs()) < 4 * math.sqrt(2 / count)  # real and imaginary parts alike and independent
    assert not torch.equal(noise[0], noise[1])


def test_the_network_is_told_of_the_noise_that_is_added():
    """sqrt(sigma^2 + added^2) where noise is added, in training and at test time, and sigma where none is."""
    scan, sigma, alpha = make_scan(noise_std=0.1), 0.1, 2.0

    def added(given):
        return float((given.kspace - scan.kspace)[given.mask.expand_as(scan.kspace)].abs().square().mean().sqrt())

    for noisy_at_test in (False, True):
        robust = RobustSSDU(alpha=alpha, noisy_at_test=noisy_at_test).fitted(archive())
        training, testing = recorder(), recorder()
        loss_of(robust, training, scan, None, Draw(0))
        reconstruction_of(robust, testing, scan, Draw(0))
        assert float(training.given[0].noise_std) == pytest.approx(sigma * math.sqrt(1 + alpha**2), rel=1e-5)
        assert float(testing.given[0].noise_std) == pytest.approx(sigma * math.sqrt(1 + noisy_at_test * alpha**2), rel=1e-5)
        assert added(testing.given[0]) == pytest.approx(noisy_at_test * alpha * sigma, rel=0.05)
    told = set()
    for seed in range(5):
        network = recorder()
        loss_of(Noise2Recon(), network, scan, None, Draw(seed))
        theta, pseudo, noisy = network.given
        assert float(theta.noise_std) == float(pseudo.noise_std) == pytest.approx(sigma)
        assert float(noisy.noise_std) == pytest.approx(math.hypot(sigma, added(noisy)), rel=0.03)
        told.add(float(noisy.noise_std))
    assert max(told) > 1.3 * min(told)
