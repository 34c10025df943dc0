"""The heteroscedastic loss: its floor, its temper, and an expected error that is learned without truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.networks import WithUncertainty
from ssrecon.objectives import (
    Heteroscedastic,
)
from ssrecon.objectives.measurement import predicted
from ssrecon.partition import Uniform
from tests.objectives.recorded import kspace_of, recorder
from tests.scans import EXAMPLE, SMALL_NETWORK, loss_of, make_scan, smooth_image


def test_heteroscedastic_scale_has_the_noise_as_its_floor():
    """With u = 0 and beta = 0 the loss is the likelihood of the noise alone, whose mean is log(pi s^2) + 1 for a perfect network."""
    scan, sigma = make_scan(noise_std=0.2), 0.2

    def network(u):
        return lambda given: Estimate(smooth_image((32, 32)), kspace_std=torch.full((1, 1, 1, 32, 32), u))

    values = {u: loss_of(Heteroscedastic(beta=0.0), network(u), scan, None, Draw(0)).mean.item() for u in (0.0, 0.05, 0.2, 1.0)}
    assert values[0.0] == pytest.approx(np.log(np.pi * sigma**2) + 1, abs=0.1)
    assert values[0.0] < values[0.2] < values[1.0]
    with_one = loss_of(Heteroscedastic(beta=0.0), lambda given: Estimate(smooth_image((32, 32))), scan, None, Draw(0)).mean.item()
    assert with_one == pytest.approx(values[0.0], abs=0.05)


def test_the_expected_error_is_learned_without_truth():
    """The network is wrong by a known amount that depends on the location; u finds it from held-out samples alone."""
    network = WithUncertainty(SMALL_NETWORK, layers=1).build(0, EXAMPLE)
    optimizer = torch.optim.Adam(network.head.parameters(), lr=0.05)
    objective = Heteroscedastic(beta=0.0)
    scans = [make_scan(seed=seed, scan_id=f"s{seed}/slice-000", noise_std=0.05) for seed in range(4)]
    losses = []
    for step in range(100):
        optimizer.zero_grad()
        loss = loss_of(objective, network, scans[step % 4], None, Draw(0, step)).mean
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.1
    with torch.no_grad():
        scan = make_scan(seed=9, scan_id="new/slice-000", noise_std=0.05)
        part = Uniform(0.4).split(scan, Draw(3))
        estimate, held_out = network(scan.on(part.theta)), scan.on(part.lambda_)
        error = (predicted(held_out, estimate) - held_out.kspace).abs().square().mean(dim=2, keepdim=True)[part.lambda_]
        expected = (0.05**2 + estimate.kspace_std**2)[part.lambda_]
    assert 0.8 < float(error.mean() / expected.mean()) < 1.25
    large = expected > expected.median()
    assert error[large].mean() > 1.4 * error[~large].mean()


def test_the_heteroscedastic_loss_is_tempered_by_beta():
    scan, u = make_scan(noise_std=0.1), 0.3
    for beta in (0.0, 0.5, 1.0):
        objective = Heteroscedastic(beta=beta)
        network = recorder()
        value = loss_of(objective, lambda s: replace(network(s), kspace_std=torch.full(s.mask.shape, u)), scan, None, Draw(0)).mean  # noqa: B023
        lambda_ = objective.partitioner.split(scan, Draw(0)).lambda_
        residual = (kspace_of(scan, network.returned[0].image, lambda_) - torch.where(lambda_, scan.kspace, 0)).abs().square()
        variance = 0.1**2 + u**2
        wanted = variance**beta * (math.log(math.pi * variance) + float(residual.sum()) / variance / (4 * int(lambda_.sum())))
        assert float(value) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_gradient_of_the_expected_error_is_that_of_the_likelihood(beta):
    """By u, s^(2 beta) (1 / s^2 - |e|^2 / s^4) 2 u a sample: what tempers the loss is held still."""
    scan, network, objective = make_scan(noise_std=0.1), recorder(), Heteroscedastic(beta=beta)
    u = (0.1 + 0.4 * torch.rand(scan.mask.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    loss = loss_of(objective, lambda given: replace(network(given), kspace_std=u), scan, None, Draw(0)).mean
    (gradient,) = torch.autograd.grad(loss, u)
    lambda_ = objective.partitioner.split(scan, Draw(0)).lambda_
    squares = (kspace_of(scan, network.returned[0].image, lambda_) - scan.kspace).abs().square().mean(dim=2, keepdim=True)
    variance = 0.1**2 + u.detach() ** 2
    wanted = variance**beta * (1 / variance - squares / variance**2) * 2 * u.detach() / int(lambda_.sum())
    torch.testing.assert_close(gradient, torch.where(lambda_, wanted, 0), rtol=1e-3, atol=1e-6)
