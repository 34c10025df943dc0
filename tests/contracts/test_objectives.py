"""What every objective promises, whichever network it trains."""

from dataclasses import replace

import pytest
import torch

from ssrecon.draw import Draw
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import Objective
from ssrecon.scan import CalibratedScan, Estimate
from tests.contracts.classes import subclasses
from tests.scans import full_kspace, make_reference, make_scan

OBJECTIVES = subclasses("ssrecon.objectives", Objective)
SELF_SUPERVISED = [kind for kind in OBJECTIVES if not kind.needs_reference]
NETWORK = Unrolled(ResNet(blocks=1, channels=4), unrolls=2, cg_iterations=3)
DRAW = Draw(seed=5, epoch=3)


def pair(seed: int = 0, scan_id: str = "phantom/slice-000"):
    scan = make_scan(seed=seed, scan_id=scan_id)
    return scan, make_reference(scan, full_kspace((32, 32), 4, 1, 1, 0.01, seed))


def loss(objective, network, scan, reference, draw=DRAW):
    return objective.loss(network, scan, reference if objective.needs_reference else None, draw)


def test_the_walk_finds_them():
    assert {"SSDU", "MultiMaskSSDU", "Supervised"} <= {kind.__name__ for kind in OBJECTIVES}


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_finite_and_every_parameter_gets_a_gradient(kind):
    network = NETWORK.build(0)
    value = loss(kind(), network, *pair())
    assert value.per_scan.shape == (1,) and torch.isfinite(value.mean)
    value.mean.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_deterministic_in_the_draw(kind):
    network = NETWORK.build(0)
    assert torch.equal(loss(kind(), network, *pair()).mean, loss(kind(), network, *pair()).mean)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_independent_of_batch_mates(kind):
    network = NETWORK.build(0)
    pairs = [pair(0, "a/slice-000"), pair(3, "b/slice-001")]
    together = loss(kind(), network, *(CalibratedScan.batch(side) for side in zip(*pairs, strict=True))).per_scan
    alone = torch.cat([loss(kind(), network, *each).per_scan for each in pairs])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_what_was_not_acquired_changes_no_bit(kind):
    network, (scan, _) = NETWORK.build(0), pair()
    poisoned = replace(scan, kspace=torch.where(scan.mask, scan.kspace, torch.nan))
    assert torch.equal(loss(kind(), network, scan, None).mean, loss(kind(), network, poisoned.on(scan.mask), None).mean)


class Recorder:
    """Any network at all: remembers what it was given and returns an image that depends on it."""

    def __init__(self):
        self.seen = []

    def __call__(self, scan):
        self.seen.append(scan)
        return Estimate(scan.kspace.sum(dim=2, keepdim=True))


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_the_network_never_receives_what_it_is_judged_on(kind, epoch):
    """Poisoning samples one set at a time: where the input does not change, the loss must, and the other way round."""
    scan, _ = pair()
    recorder = Recorder()
    kind().loss(recorder, scan, None, DRAW.at(epoch))
    given = torch.stack([seen.mask for seen in recorder.seen]).any(dim=0)
    withheld = scan.mask & ~given
    assert withheld.any(), "everything that was acquired was given to the network"
    moved = replace(scan, kspace=torch.where(withheld, scan.kspace + 100, scan.kspace))
    again = Recorder()
    changed = kind().loss(again, moved, None, DRAW.at(epoch)).mean
    for seen, before in zip(again.seen, recorder.seen, strict=True):
        assert torch.equal(seen.kspace, before.kspace) and torch.equal(seen.mask, before.mask)
    assert not torch.equal(changed, kind().loss(Recorder(), scan, None, DRAW.at(epoch)).mean)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_reconstructs_from_everything_acquired(kind):
    scan, _ = pair()
    recorder = Recorder()
    kind().reconstruct(recorder, scan, DRAW)
    assert torch.equal(recorder.seen[-1].mask, scan.mask)
