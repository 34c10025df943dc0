"""ENSURE: both of its terms are weighted by the density."""

import math

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.objectives import (
    ENSURE,
)
from ssrecon.objectives.measurement import white_noise
from tests.objectives.recorded import archive, kspace_of, recorder
from tests.scans import EXAMPLE, SMALL_NETWORK, loss_of


def test_ensure_weighs_by_the_density_without_a_cap_too():
    scans = archive(noise_std=0.1)
    for cap in (2.0, math.inf):
        objective = ENSURE(cap=cap).fitted(scans)
        network, scan = recorder(), scans[1]
        loss = loss_of(objective, network, scan, None, Draw(0))
        p = objective.known.probability(scan)
        weight = torch.where(scan.mask, torch.clamp(1 / p, max=cap**2), 0)
        residual = (kspace_of(scan, network.returned[0].image, scan.mask) - scan.kspace).abs().square()
        assert float(loss.terms["consistency"]) == pytest.approx(float((weight * residual).sum() / scan.mask.sum()), rel=1e-4)
        assert float(loss.terms["noise"]) == pytest.approx(-(0.1**2) * 4 * float(weight.sum() / scan.mask.sum()), rel=1e-4)
    (lattice,) = archive()[:1]
    assert torch.isfinite(loss_of(ENSURE(cap=math.inf).fitted([lattice]), SMALL_NETWORK.build(0, EXAMPLE), lattice, None, Draw(0)).mean)


def test_ensure_weighs_the_divergence_too():
    """One probe, at its distance from y; every location's part of the divergence counts 1 / p times."""
    scans, sigma, step = archive(noise_std=0.1), 0.1, 0.5
    objective = ENSURE(step=step, cap=math.inf).fitted(scans)
    network, scan = recorder(), scans[1]
    divergence = loss_of(objective, network, scan, None, Draw(0)).terms["divergence"]
    probe, tau = white_noise(scan, Draw(0), "divergence"), step * sigma
    torch.testing.assert_close(network.given[1].kspace, scan.kspace + torch.where(scan.mask, tau * probe, 0))
    before, after = (kspace_of(scan, estimate.image, scan.mask) for estimate in network.returned)
    each = (probe.conj() * (after - before) / tau).real.sum(dim=2, keepdim=True)[scan.mask]
    weight = 1 / objective.known.probability(scan)[scan.mask]
    assert float(divergence) == pytest.approx(2 * sigma**2 * float((weight * each).mean()), rel=1e-3)
    assert float((weight * each).mean()) > 1.1 * float(each.mean())  # so that the weights matter
