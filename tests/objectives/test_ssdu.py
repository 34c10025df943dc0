import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import Estimate
from ssrecon.objectives import SSDU, MultiMaskSSDU, Supervised
from ssrecon.partition import Uniform
from tests.scans import EXAMPLE, SMALL_NETWORK, full_kspace, loss_of, make_reference, make_scan, smooth_image


def gradients(objective, epoch):
    network = SMALL_NETWORK.build(0, EXAMPLE)
    loss = loss_of(objective, network, make_scan(), None, Draw(1, epoch)).mean
    loss.backward()
    return [loss.detach(), *[p.grad for p in network.parameters()]]


@pytest.mark.parametrize("epoch", [0, 1, 9])
def test_one_fixed_mask_is_ssdu_bit_for_bit(epoch):
    for a, b in zip(gradients(SSDU(), epoch), gradients(MultiMaskSSDU(masks=1), epoch), strict=True):
        assert torch.equal(a, b)


def splits(objective, epochs):
    seen = []

    def network(scan):
        seen.append(scan.mask)
        return Estimate(scan.kspace.sum(dim=2, keepdim=True))

    for epoch in epochs:
        loss_of(objective, network, make_scan(), None, Draw(1, epoch))
    return {tuple(mask.flatten().tolist()) for mask in seen}


def test_masks_are_fixed_cycled_or_redrawn():
    assert len(splits(SSDU(), range(6))) == 1
    assert len(splits(MultiMaskSSDU(masks=3), range(9))) == 3
    assert len(splits(MultiMaskSSDU(masks=None), range(9))) == 9


def test_a_perfect_network_is_left_with_the_noise():
    def truth(scan):
        return Estimate(smooth_image((32, 32)))

    clean = make_scan(noise_std=0.0)
    assert loss_of(SSDU(Uniform(0.4)), truth, clean, None, Draw(0)).mean < 1e-5
    full = full_kspace((32, 32), 4, 1, 1, 0.0, 0)
    assert loss_of(Supervised(), truth, clean, make_reference(clean, full), Draw(0)).mean < 1e-5


def test_supervised_without_a_reference_says_so():
    with pytest.raises(BadInput, match="phantom/slice-000: found no fully sampled reference; expected one"):
        loss_of(Supervised(), lambda scan: None, make_scan(), None, Draw(0))


def test_no_masks_at_all_is_refused():
    with pytest.raises(BadRecipe, match="MultiMaskSSDU.masks"):
        MultiMaskSSDU(masks=0)
