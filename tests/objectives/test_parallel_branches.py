"""Two parts of one scan that share its centre, for the three methods that use them."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.objectives import (
    DDSS,
    SPICER,
    ParallelBranches,
)
from ssrecon.objectives.measurement import predicted
from ssrecon.objectives.parallel_branches import branches
from ssrecon.partition import Partition, Uniform
from tests.objectives.recorded import N, energy, kspace_of, parted
from tests.scans import EXAMPLE, SMALL_NETWORK, loss_of, make_scan


class Swapped(Uniform):
    def split(self, scan, draw):
        part = super().split(scan, draw)
        centre = part.theta & (part.inclusion == 0)
        # inclusion 0 keeps what is shared; the rest changes sides
        return Partition(part.lambda_ | centre, part.theta & ~centre, part.inclusion)


@pytest.mark.parametrize("kind", [ParallelBranches, SPICER, DDSS])
def test_swapping_the_parts_changes_nothing(kind):
    scan, network = make_scan(), SMALL_NETWORK.build(0, EXAMPLE)
    one, other = (loss_of(kind(partitioner=law), network, scan, None, Draw(2)).mean for law in (Uniform(0.5), Swapped(0.5)))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_branches_share_the_centre_and_make_up_the_scan():
    scan = make_scan()
    first, second = branches(scan, Uniform(0.5).split(scan, Draw(0)))
    assert torch.equal(first | second, scan.mask)
    shared = first & second
    assert bool((shared >= scan.calibration).all()) and int(shared.sum()) < int(scan.mask.sum()) / 2


class Whole(Uniform):
    """Nothing may be held out: both branches get all of Omega."""

    def split(self, scan, draw):
        return Partition(scan.mask, torch.zeros_like(scan.mask), torch.zeros(scan.mask.shape))


def test_equal_parts_agree():
    """Where nothing was acquired, exactly: the disagreement is that of two halves, and not an energy."""
    scan, network = make_scan(), SMALL_NETWORK.build(0, EXAMPLE)
    terms = [loss_of(ParallelBranches(law), network, scan, None, Draw(0)).terms for law in (Whole(0.5), Uniform(0.5))]
    equal, split = (each["agreement"].item() for each in terms)
    assert int((~scan.mask).sum()) > 500 and predicted(replace(scan, mask=~scan.mask), network(scan)).abs().max() > 0.1
    assert equal == 0 < split


def test_parallel_branches_agree_where_nothing_was_acquired():
    scan, network, terms, given = parted(ParallelBranches(agreement=2.0))
    one, other = (estimate.image for estimate in network.returned)
    assert float(terms["agreement"]) == pytest.approx(2 * energy(kspace_of(scan, one - other, ~scan.mask)) / N, rel=1e-4)
    residuals = [energy(kspace_of(scan, image, scan.mask) - scan.kspace) / N for image in (one, other)]
    assert float(terms["consistency"]) == pytest.approx(sum(residuals), rel=1e-4)
    assert [torch.equal(seen.mask, mask) for seen, mask in zip(network.given, given, strict=True)] == [True, True]
