"""What every objective promises, whichever network it trains."""

from dataclasses import dataclass, field, replace

import pytest
import torch

from ssrecon.core.description import describe, rebuild
from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.networks import LearnedCSM, ResNet, WithUncertainty
from ssrecon.objectives import MultiMaskSSDU, Objective
from tests.contracts.classes import subclasses
from tests.scans import EXAMPLE, SMALL_NETWORK, column_mask, full_kspace, loss_of, make_reference, make_scan, reconstruction_of

OBJECTIVES = subclasses("ssrecon.objectives", Objective)
SELF_SUPERVISED = [kind for kind in OBJECTIVES if not kind.needs_reference]
HOLD_OUT = [kind for kind in SELF_SUPERVISED if kind.holds_out]
LEARNED = LearnedCSM(SMALL_NETWORK, ResNet(blocks=1, channels=4), gain=1.0)
NETWORKS = {"Unrolled": SMALL_NETWORK, "LearnedCSM": LEARNED, "WithUncertainty": WithUncertainty(LEARNED, channels=4)}
DRAW = Draw(seed=5, epoch=3)
FRAMES = 2
"""For what compares repetitions; each is sampled in its own way, for what needs several masks."""


def pair(seed: int = 0, scan_id: str = "phantom/slice-000"):
    scan = make_scan(frames=FRAMES, seed=seed, scan_id=scan_id)
    return scan, make_reference(scan, full_kspace((32, 32), 4, FRAMES, 1, 0.01, seed))


def made(kind):
    """Fitted to scans that acquired, between them, all of k-space."""
    return kind().fitted(
        make_scan(frames=FRAMES, scan_id=f"v{offset}/slice-000", mask=column_mask((32, 32), frames=FRAMES, offset=offset))
        for offset in range(4)
    )


def loss(objective, network, scan, reference, draw=DRAW):
    wanted = objective.needs_reference or objective.takes_reference
    return loss_of(objective, network, scan, reference if wanted else None, draw)


def test_the_walk_finds_them():
    assert {"SSDU", "MultiMaskSSDU", "Supervised", "RobustSSDU", "EquivariantImaging"} <= {kind.__name__ for kind in OBJECTIVES}


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_finite_and_every_parameter_gets_a_gradient(kind):
    network = SMALL_NETWORK.build(0, EXAMPLE)
    value = loss(made(kind), network, *pair())
    assert value.per_scan.shape == (1,) and torch.isfinite(value.mean)
    value.mean.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("spec", [LEARNED, WithUncertainty(SMALL_NETWORK, channels=4)])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_networks_may_return_more_than_an_image(kind, spec):
    """Their own sensitivities are used throughout and kept at test time; what a method does not ask for is no burden."""
    network, objective = spec.build(0, EXAMPLE), made(kind)
    scan, reference = pair()
    loss(objective, network, scan, reference).mean.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
    assert all(p.grad is not None and p.grad.any() for p in network.inner.parameters())
    estimate = reconstruction_of(objective, network, scan, DRAW)
    assert torch.isfinite(torch.view_as_real(estimate.image)).all() and estimate.image.shape[1] == FRAMES
    if isinstance(spec, LearnedCSM):
        assert network.gain.grad.abs() > 0
        assert estimate.csm is not None and not torch.allclose(estimate.csm, scan.csm)


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param].build(0, EXAMPLE).requires_grad_(False)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_deterministic_in_the_draw(kind, network):
    assert torch.equal(loss(made(kind), network, *pair()).mean, loss(made(kind), network, *pair()).mean)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_independent_of_batch_mates(kind, network):
    pairs = [pair(0, "a/slice-000"), pair(3, "b/slice-001")]
    together = loss(made(kind), network, *(CalibratedScan.batch(side) for side in zip(*pairs, strict=True))).per_scan
    alone = torch.cat([loss(made(kind), network, *each).per_scan for each in pairs])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_what_was_not_acquired_changes_no_bit(kind, network):
    """Neither of the scan, once it is dropped, nor, in each pass of the network, what that pass was not given."""

    def poisoned(seen):
        return replace(seen, kspace=torch.where(seen.mask, seen.kspace, torch.nan))

    scan, _ = pair()
    clean = loss(made(kind), network, scan, None).mean
    assert torch.equal(clean, loss(made(kind), network, poisoned(scan).on(scan.mask), None).mean)
    assert torch.equal(clean, loss(made(kind), lambda seen: network(poisoned(seen)), scan, None).mean)


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_slice_outside_the_object_trains(kind, spec):
    """No coil sees anything there: the csm is zero everywhere, what was measured is noise, and no gradient is spoiled by it."""
    network, objective = spec.build(0, EXAMPLE), made(kind)
    scan, reference = (replace(side, csm=torch.zeros_like(side.csm)) for side in pair())
    value = loss(objective, network, scan, reference)
    assert torch.isfinite(value.mean)
    value.mean.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


class Recorder:
    """Any network at all: remembers what it was given and returns an image that depends on it."""

    def __init__(self):
        self.seen = []

    def __call__(self, scan):
        self.seen.append(scan)
        return Estimate(scan.kspace.sum(dim=2, keepdim=True))


def given(seen, scan):
    """What of a scan a pass of the network holds. Where it was handed one frame alone, that frame's part."""
    if seen.mask.shape == scan.mask.shape:
        return seen.mask & scan.mask
    frame = next(i for i in range(FRAMES) if torch.equal(seen.kspace[:, 0], scan.kspace[:, i]))
    result = torch.zeros_like(scan.mask)
    result[:, frame] = seen.mask[:, 0]
    return result


def inputs(objective, scan, epochs):
    """Of each epoch, all that the network is given in its passes."""
    passes = []
    for epoch in epochs:
        recorder = Recorder()
        loss_of(objective, recorder, scan, None, DRAW.at(epoch))
        passes.append(tuple(part.numpy().tobytes() for seen in recorder.seen for part in (seen.kspace, seen.mask)))
    return passes


REPEATED = {"SSDU": 1, "MultiMaskSSDU": 4}
"""After how many passes a scan is split as before: one split for good, and `MultiMaskSSDU.masks`."""


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_drawn_anew_at_every_pass(kind):
    """What the network is given differs from pass to pass; but for the methods that were published with splits that are kept."""
    scan, _ = pair()
    passes = inputs(made(kind), scan, range(8))
    if period := REPEATED.get(kind.__name__):
        assert passes == passes[:period] * (8 // period) and len(set(passes)) == period
    else:
        assert len(set(passes)) > 1  # some draw one of a few: a repetition, another mask


@pytest.mark.parametrize("masks", [1, 3])
def test_splits_that_are_kept_come_again_in_turn(masks):
    scan, _ = pair()
    passes = inputs(MultiMaskSSDU(masks=masks), scan, range(3 * masks))
    assert passes == passes[:masks] * 3 and len(set(passes)) == masks


@dataclass(frozen=True)
class Watched(Draw):
    """Remembers at which epochs each purpose was drawn for."""

    drawn: dict[str, set[int]] = field(default_factory=dict)

    def generator(self, purpose, scan_id=""):
        self.drawn.setdefault(purpose, set()).add(self.epoch)
        return super().generator(purpose, scan_id)


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_all_that_is_random_is_of_this_pass(kind):
    """Partition, mask, transform, probe and noise, each by itself: none is left from another pass."""
    draw = Watched(DRAW.seed, 7)
    loss_of(made(kind), Recorder(), pair()[0], None, draw)
    epoch = 7 % REPEATED.get(kind.__name__, 8)
    assert draw.drawn and all(epochs == {epoch} for epochs in draw.drawn.values())


@pytest.mark.parametrize("kind", HOLD_OUT)
@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_the_network_never_receives_what_it_is_judged_on(kind, epoch):
    """For every pass of the network that is kept from something: moving what it is kept from moves the loss, and not its input."""
    scan, _ = pair()
    objective, recorder = made(kind), Recorder()
    before = loss_of(objective, recorder, scan, None, DRAW.at(epoch)).mean
    held_out = [scan.mask & ~given(seen, scan) for seen in recorder.seen]
    assert any(withheld.any() for withheld in held_out), "everything that was acquired was given to the network"
    for number, withheld in enumerate(held_out):
        if not withheld.any():
            continue
        moved = replace(scan, kspace=torch.where(withheld, scan.kspace + 100, scan.kspace))
        again = Recorder()
        changed = loss_of(objective, again, moved, None, DRAW.at(epoch)).mean
        assert torch.equal(again.seen[number].kspace, recorder.seen[number].kspace)
        assert torch.equal(again.seen[number].mask, recorder.seen[number].mask)
        assert not torch.equal(changed, before)


@pytest.mark.parametrize("kind", [kind for kind in SELF_SUPERVISED if not kind.holds_out])
def test_what_holds_nothing_out_says_so(kind):
    """The network has everything: such a method must not be taken for one that is judged on unseen samples."""
    scan, _ = pair()
    recorder = Recorder()
    loss_of(made(kind), recorder, scan, None, DRAW)
    assert torch.equal(recorder.seen[0].mask, scan.mask)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_reconstructs_from_everything_acquired(kind):
    scan, _ = pair()
    recorder = Recorder()
    estimate = reconstruction_of(made(kind), recorder, scan, DRAW)
    assert estimate.image.shape == (1, FRAMES, 1, 32, 32)
    everything = torch.stack([given(seen, scan) for seen in recorder.seen]).any(dim=0)
    assert torch.equal(everything, scan.mask)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_two_map_sets(kind):
    scan = make_scan(frames=FRAMES, maps=2)
    reference = make_reference(scan, full_kspace((32, 32), 4, FRAMES, 2, 0.01, 0))
    assert torch.isfinite(loss(made(kind), replace(SMALL_NETWORK, maps=2).build(0, EXAMPLE), scan, reference).mean)


@pytest.mark.parametrize("kind", SELF_SUPERVISED)
def test_described_and_rebuilt_unfitted(kind):
    """What an archive told an objective is no part of its description: the recipe is the same for any archive."""
    assert rebuild(describe(kind()), "objective") == kind()
