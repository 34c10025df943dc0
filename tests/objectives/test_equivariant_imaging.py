"""Equivariant imaging and its relatives: the identity, and the gradient through both estimates."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import (
    EquivariantImaging,
    MultiOperatorEI,
    MultiOperatorImaging,
    RobustEI,
)
from ssrecon.objectives.measurement import predicted
from ssrecon.objectives.transforms import Transform
from tests.objectives.recorded import archive
from tests.scans import EXAMPLE, SMALL_NETWORK, loss_of, make_scan


class Identity(Transform):
    def drawn(self, shape, generator):
        return lambda images: images


def test_equivariant_imaging_with_the_identity():
    """T = 1: the second term is |x1 - f(E x1)|^2, of the image per pixel."""
    scan, network = make_scan(), SMALL_NETWORK.build(0, EXAMPLE)
    terms = loss_of(EquivariantImaging(Identity()), network, scan, None, Draw(0)).terms
    x1 = network(scan).image * (scan.csm != 0).any(dim=2).unsqueeze(1)
    again = network(replace(scan, kspace=predicted(scan, Estimate(x1)))).image
    assert terms["equivariance"].item() == pytest.approx((x1 - again).abs().square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("objective", [EquivariantImaging(), RobustEI(), MultiOperatorImaging(), MultiOperatorEI()])
def test_the_gradient_goes_through_both_estimates(objective):
    """A network a x: of |a T x - a^2 T' x|^2 the derivative by a is not that of either side alone."""
    objective, scan = objective.fitted(archive()), make_scan(noise_std=1e-6)
    sides = []

    def network(a):
        calls = []

        def f(given):
            calls.append(given)
            sides.append(given.kspace.requires_grad)
            return Estimate(a * given.kspace.sum(dim=2, keepdim=True))

        return f

    a = torch.tensor(0.7, requires_grad=True)
    loss = loss_of(objective, network(a), scan, None, Draw(0)).mean
    (grad,) = torch.autograd.grad(loss, a)
    assert sides[0] is False and sides[-1] is True  # the virtual measurement carries the gradient of the first estimate
    step = 1e-2
    higher, lower = (loss_of(objective, network(torch.tensor(0.7 + d)), scan, None, Draw(0)).mean.item() for d in (step, -step))
    assert grad.item() == pytest.approx((higher - lower) / (2 * step), rel=0.02)
