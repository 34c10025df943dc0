"""Noise2Recon: consistency under noise of many levels, towards the pseudo-reference and not back."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import (
    MultiMaskSSDU,
    Noise2Recon,
)
from ssrecon.operators import coil_combined
from ssrecon.partition import Uniform
from tests.objectives.recorded import recorder
from tests.scans import EXAMPLE, SMALL_NETWORK, loss_of, make_scan


def test_noise2recon_without_consistency_is_multi_mask_ssdu():
    scan, network = make_scan(), SMALL_NETWORK.build(0, EXAMPLE)
    one = loss_of(Noise2Recon(weight=0.0), network, scan, None, Draw(1, 4)).mean
    assert torch.equal(one, loss_of(MultiMaskSSDU(Uniform(0.4), masks=None), network, scan, None, Draw(1, 4)).mean)


def test_noise2recon_moves_the_noisy_branch_towards_the_pseudo_reference_and_not_back():
    """The gradient of the consistency by an image that only the branch without added noise uses is nothing."""
    scan = make_scan(noise_std=0.1)
    clean = torch.zeros(1, 1, 1, 32, 32, dtype=torch.complex64, requires_grad=True)
    noisy = torch.ones(1, 1, 1, 32, 32, dtype=torch.complex64, requires_grad=True)

    def network(given):
        whole = torch.equal(given.mask, scan.mask)
        return Estimate(1 + clean if whole and torch.equal(given.kspace, scan.kspace) else noisy)

    loss = loss_of(Noise2Recon(), network, scan, None, Draw(0))
    (grad_noisy,) = torch.autograd.grad(loss.terms["consistency"].sum(), noisy, allow_unused=True, retain_graph=True)
    (grad_clean,) = torch.autograd.grad(loss.mean, clean, allow_unused=True)
    assert grad_noisy is not None and grad_clean is None


def test_noise2recon_compares_images_where_coils_see_them():
    """An image that grows outside the object, where no data hold it, must not make what differs inside it small."""
    scan = make_scan(noise_std=0.05)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[6:-6, 6:-6] = True
    scan = replace(scan, csm=torch.where(inside, scan.csm, 0))

    def network(given, grown):
        return Estimate(coil_combined(given) + torch.where(inside, 0, grown * given.kspace.abs().sum()))

    plain, grown = (loss_of(Noise2Recon(), lambda given, g=g: network(given, g), scan, None, Draw(0)) for g in (0.0, 1e4))
    assert plain.terms["consistency"].item() > 0
    torch.testing.assert_close(plain.per_scan, grown.per_scan)


def test_noise2recon_adds_noise_of_many_levels():
    scan, objective = make_scan(noise_std=0.1), Noise2Recon(least=0.5, most=2.0, weight=3.0)
    levels = []
    for seed in range(40):
        network = recorder()
        loss = loss_of(objective, network, scan, None, Draw(seed))
        noisy = network.given[-1]
        levels.append(float((noisy.kspace - scan.kspace)[scan.mask.expand_as(scan.kspace)].abs().square().mean().sqrt()) / 0.1)
    assert 0.45 < min(levels) < 0.8 and 1.7 < max(levels) < 2.1
    pseudo, image = (torch.view_as_real(network.returned[i].image) for i in (1, 2))
    assert float(loss.terms["consistency"]) == pytest.approx(3 * float((image - pseudo).abs().sum() / pseudo.abs().sum()), rel=1e-4)
