"""DDSS: appearance, its gradient, and k-space of all three images."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import (
    DDSS,
)
from ssrecon.operators import coil_combined
from tests.objectives.recorded import kspace_of, parted
from tests.scans import loss_of, make_scan


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_ddss_gains_nothing_by_an_image_that_grows(scale):
    """Neither outside the object, where no data hold it, nor by the norm that appearance is relative to."""
    scan = make_scan(noise_std=0.0)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[6:-6, 6:-6] = True
    scan = replace(scan, csm=torch.where(inside, scan.csm, 0))
    image = coil_combined(scan).requires_grad_()

    def network(given, grown=0.0):
        return Estimate(image * scale + coil_combined(given) + torch.where(inside, 0, grown))

    plain, grown = (loss_of(DDSS(), lambda given, g=g: network(given, g), scan, None, Draw(0)).mean for g in (0.0, 1e4))
    assert plain.item() == pytest.approx(grown.item(), rel=1e-5)
    appearance = loss_of(DDSS(), network, scan, None, Draw(0)).terms["appearance"].sum()
    (grad,) = torch.autograd.grad(appearance, image)
    # What is common to all three images cancels in every difference, and the norm has no gradient.
    assert grad.abs().max() < 1e-6


def test_ddss_compares_appearance_and_its_gradient():
    scan, network, terms, _ = parted(DDSS(appearance=2.0, gradient=0.5))

    def size(image: torch.Tensor) -> float:
        parts = [image, 0.5 * image.diff(dim=3), 0.5 * image.diff(dim=4)]
        return float(sum(torch.view_as_real(part).abs().sum() for part in parts))

    whole, *others = (estimate.image for estimate in network.returned)
    wanted = 2 * sum(size(part - whole) for part in others) / size(whole)
    assert float(terms["appearance"]) == pytest.approx(wanted, rel=1e-4)


def test_ddss_judges_all_three_images_on_all_that_was_acquired():
    scan, network, terms, (first, second) = parted(DDSS())
    assert all(torch.equal(seen.mask, mask) for seen, mask in zip(network.given, (scan.mask, first, second), strict=True))
    measured, distances = torch.view_as_real(scan.kspace), []
    for estimate in network.returned:
        residual = torch.view_as_real(kspace_of(scan, estimate.image, scan.mask) - scan.kspace)
        squares = float(residual.square().sum().sqrt() / measured.square().sum().sqrt())
        distances.append(0.5 * squares + 0.5 * float(residual.abs().sum() / measured.abs().sum()))
    assert min(distances) > 0.01
    assert float(terms["kspace"]) == pytest.approx(sum(distances), rel=1e-4)
