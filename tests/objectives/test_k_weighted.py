"""K-weighting: the published weights, a density of 1, and locations that no scan acquires."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.objectives import (
    KWeighted,
)
from ssrecon.objectives.k_weighted import k_weight
from ssrecon.partition import Bernoulli, Partition
from tests.objectives.recorded import archive
from tests.scans import EXAMPLE, SMALL_NETWORK, column_mask, full_kspace, loss_of, make_scan


def test_k_weights_of_the_published_example():
    """p and p~ of six locations; the weight of an error is the square of the published (1 - K)^-1/2."""
    p, kept = torch.tensor([1, 0.8, 0.5, 0.25, 0.125, 0.05]), torch.tensor([0.999, 0.9, 0.6, 0.5, 0.3, 0.2])
    everything = torch.ones(1, 1, 1, 1, 6, dtype=torch.bool)
    part = Partition(~everything, everything, (1 - kept).expand(1, 1, 1, 1, 6))
    expected = torch.tensor([1.0, 1.8708, 1.8708, 2.6458, 3.3166, 4.9749])
    torch.testing.assert_close(k_weight(p.expand(1, 1, 1, 1, 6), part, 10.0).flatten().sqrt(), expected, rtol=1e-4, atol=1e-4)
    assert k_weight(p.expand(1, 1, 1, 1, 6), part, 3.0).max() == 9  # capped


def test_a_density_of_one_needs_no_weights():
    scans = list(archive())
    whole = [replace(scan, mask=torch.ones_like(scan.mask), kspace=full_kspace((32, 32), 4, 1, 1, 0.01, 0)) for scan in scans]
    objective = KWeighted(Bernoulli(0.4)).fitted(whole)
    part = objective.partitioner.split(whole[0], Draw(0))
    weight = k_weight(objective.sampling.probability(whole[0]), part, 10.0)
    torch.testing.assert_close(weight, part.lambda_.float())
    assert torch.isfinite(loss_of(objective, SMALL_NETWORK.build(0, EXAMPLE), whole[0], None, Draw(0)).mean)


def test_unlearnable_locations_are_named():
    (scan, *_) = archive()
    objective = KWeighted().fitted([scan])
    assert objective.remarks() == ("56.2% of the locations of 32x32 are in none of 1 masks: no self-supervised loss reaches them",)
    other = make_scan(mask=column_mask((32, 32), offset=1))
    with pytest.raises(BadInput, match="phantom/slice-000: found samples where the density of the archive's masks is 0"):
        loss_of(objective, SMALL_NETWORK.build(0, EXAMPLE), other, None, Draw(0))
    with pytest.raises(BadRecipe, match="KWeighted: found no masks of an archive; expected KWeighted.fitted"):
        loss_of(KWeighted(), SMALL_NETWORK.build(0, EXAMPLE), scan, None, Draw(0))
    with pytest.raises(BadInput, match="a matrix 16x16 whose sampling is not known; expected one of 32x32"):
        loss_of(objective, SMALL_NETWORK.build(0, EXAMPLE), make_scan((16, 16)), None, Draw(0))
