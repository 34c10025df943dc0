"""SPICER: each part predicts the other, by sensitivities that were found and are kept smooth."""

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import (
    SPICER,
)
from ssrecon.objectives.parallel_branches import branches
from ssrecon.objectives.spicer import roughness
from ssrecon.operators import sense
from tests.objectives.recorded import LEARNED, N, energy, kspace_of, parted, recorder
from tests.scans import loss_of, make_scan


def test_spicer_judges_each_part_on_what_it_was_not_given():
    scan, network, terms, given = parted(SPICER(smoothness=5.0))
    cross = 0.0
    for own, estimate in zip(given, network.returned, strict=True):
        other = scan.mask & ~own
        cross += 0.5 * energy(torch.where(other, kspace_of(scan, estimate.image, other) - scan.kspace, 0)) / N
    assert float(terms["cross"]) == pytest.approx(cross, rel=1e-4)
    assert float(terms["smoothness"]) == pytest.approx(2 * 5 * float(roughness(scan.csm)), rel=1e-5) and roughness(scan.csm) > 0
    # Frozen but for one branch, the loss asks nothing of what that branch was given.
    for live in (0, 1):
        constants = [estimate.image.detach() for estimate in network.returned]
        constants[live].requires_grad_()
        images = iter(constants)
        loss = loss_of(SPICER(), lambda seen: Estimate(next(images)), scan, None, Draw(0)).mean  # noqa: B023
        (gradient,) = torch.autograd.grad(loss, constants[live])
        judged = scan.mask & ~given[live]
        residual = torch.where(judged, kspace_of(scan, constants[live].detach(), judged) - scan.kspace, 0)
        torch.testing.assert_close(gradient, sense(judged, scan.csm).adjoint(residual) / N, rtol=1e-3, atol=1e-8)


def test_spicer_predicts_by_the_sensitivities_that_were_found_and_keeps_those_smooth():
    scan, objective, network = make_scan(), SPICER(smoothness=5.0), recorder(LEARNED)
    terms = loss_of(objective, network, scan, None, Draw(0)).terms
    cross = rough = 0.0
    for own, estimate in zip(branches(scan, objective.partitioner.split(scan, Draw(0))), network.returned, strict=True):
        other = scan.mask & ~own
        cross += 0.5 * energy(torch.where(other, sense(other, estimate.csm)(estimate.image) - scan.kspace, 0)) / N
        rough += 5 * float(sum(estimate.csm.diff(dim=axis).abs().square().mean() for axis in (3, 4)))
    assert float(terms["cross"]) == pytest.approx(cross, rel=1e-4)
    assert float(terms["smoothness"]) == pytest.approx(rough, rel=1e-4)
    assert abs(rough / (2 * 5 * float(roughness(scan.csm))) - 1) > 0.05  # so that it matters whose they are
