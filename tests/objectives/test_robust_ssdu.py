"""Robust SSDU: its two weighted terms, and the correction at test time."""

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import (
    RobustSSDU,
)
from ssrecon.operators import coil_combined
from ssrecon.partition import Bernoulli
from tests.objectives.enumerated import tiny_scan
from tests.objectives.recorded import N, archive, kspace_of, recorder, residual_energy
from tests.scans import loss_of, make_scan, reconstruction_of, smooth_image


@pytest.mark.parametrize(("given", "corrected"), [(-1.0, -0.863), (0.5, 0.574), (1.5, 0.961)])
def test_the_robust_correction_gives_the_posterior_mean(given, corrected):
    """A sample that is +1 or -1, in real noise of .7, and .75 times as much added: from E[y | y~], integrated, to E[y0 | y~]."""
    s, alpha = 0.7, 0.75
    y = np.linspace(-8, 8, 20001)
    density = (np.exp(-0.5 * ((y - 1) / s) ** 2) + np.exp(-0.5 * ((y + 1) / s) ** 2)) * np.exp(-0.5 * ((given - y) / (alpha * s)) ** 2)
    mean = float((y * density).sum() / density.sum())
    scan = tiny_scan(torch.full((1, 1, 1, 1), given, dtype=torch.complex128), torch.ones(1, 1, dtype=torch.bool))
    network = lambda scan: Estimate(torch.full((1, 1, 1, 1, 1), mean, dtype=torch.complex128))  # noqa: E731
    assert reconstruction_of(RobustSSDU(alpha=alpha), network, scan, Draw(0)).image.real.item() == pytest.approx(corrected, abs=1e-3)


def test_the_correction_lowers_the_noise_below_what_was_measured():
    """A network that knows the object returns E[y | y~]; corrected, that is the object itself."""
    scan, truth = make_scan(noise_std=0.3, mask=torch.ones(1, 1, 1, 32, 32, dtype=torch.bool)), smooth_image((32, 32))
    alpha = 1.0

    def network(given):  # knows the object: E[y | y~] = y0 + (y~ - y0) / (1 + a^2)
        seen = coil_combined(given)
        return Estimate(truth + (seen - truth) / (1 + alpha**2))

    corrected = reconstruction_of(RobustSSDU(alpha=alpha), network, scan, Draw(0)).image
    assert (corrected - truth).abs().square().mean() < 1e-3 * (coil_combined(scan) - truth).abs().square().mean()


def test_robust_ssdu_weighs_both_sets():
    scans, alpha = archive(noise_std=0.1), 0.5
    objective = RobustSSDU(Bernoulli(0.4, lines=True), alpha=alpha).fitted(scans)
    network, scan = recorder(), scans[0]
    value = loss_of(objective, network, scan, None, Draw(0)).mean
    part = objective.partitioner.split(scan, Draw(0))
    (given,), (returned,) = network.given, network.returned
    assert torch.equal(given.mask, part.theta)
    added = (given.kspace - scan.kspace)[part.theta.expand_as(scan.kspace)]
    assert float(added.abs().square().mean().sqrt()) == pytest.approx(alpha * 0.1, rel=0.1)
    residual = (kspace_of(scan, returned.image, scan.mask) - scan.kspace).abs().square()
    p, i = objective.known.probability(scan).double(), part.inclusion.double()
    one_minus_k = p * i / (1 - (1 - i) * p)
    held_out = (residual / one_minus_k.clamp_min(0.01))[part.lambda_.expand_as(residual)].sum()
    kept = ((1 + alpha**2) / alpha**2) ** 2 * residual[part.theta.expand_as(residual)].sum()
    assert float(value) == pytest.approx(float(held_out + kept) / N, rel=1e-4)
    assert float(p.max()) == 1 and p.min() < 0.5  # so that the weights matter


def test_robust_ssdu_without_weights_judges_all_that_was_acquired_alike():
    scans = archive(noise_std=0.1)
    network, scan = recorder(), scans[0]
    value = loss_of(RobustSSDU(Bernoulli(0.4, lines=True), alpha=0.5, weighted=False).fitted(scans), network, scan, None, Draw(0)).mean
    assert float(value) == pytest.approx(residual_energy(scan, network.returned[0].image) / N, rel=1e-4)
