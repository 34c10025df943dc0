"""Noise2Noise: one repetition is given, the others judge, and all are averaged."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import (
    Noise2Noise,
)
from ssrecon.operators import coil_combined
from tests.objectives.recorded import LEARNED, SHAPE, N, energy, kspace_of, recorder
from tests.scans import EXAMPLE, SMALL_NETWORK, column_mask, loss_of, make_scan, reconstruction_of


def test_noise2noise_is_given_one_repetition_and_averages_all():
    scan = make_scan(frames=3, noise_std=0.1, mask=torch.ones(1, 3, 1, 32, 32, dtype=torch.bool))
    seen = []

    def network(given):
        seen.append(given.kspace)
        return Estimate(coil_combined(given))

    loss_of(Noise2Noise(), network, scan, None, Draw(0))
    assert seen[0].shape[1] == 1 and any(torch.equal(seen[0][:, 0], scan.kspace[:, f]) for f in range(3))
    image = reconstruction_of(Noise2Noise(), network, scan, Draw(0)).image
    torch.testing.assert_close(image[:, :1], coil_combined(scan).mean(dim=1, keepdim=True))
    assert image.shape[1] == 3


def repetitions(frames=3):
    return make_scan(frames=frames, noise_std=0.1, mask=column_mask(SHAPE, frames=frames))


def test_noise2noise_judges_the_given_repetition_on_all_others():
    """Each is given sometimes, as it is drawn, and never judged."""
    scan, given = repetitions(), set()
    for epoch in range(24):
        network = recorder()
        value = loss_of(Noise2Noise(), network, scan, None, Draw(0, epoch)).mean
        (seen,), (estimate,) = network.given, network.returned
        (frame,) = (f for f in range(3) if torch.equal(seen.kspace[:, 0], scan.kspace[:, f]))
        assert torch.equal(seen.mask[:, 0], scan.mask[:, frame])
        residual = kspace_of(scan, estimate.image.expand(-1, 3, *estimate.image.shape[2:]), scan.mask) - scan.kspace
        assert float(value) == pytest.approx(sum(energy(residual[:, f]) for f in range(3) if f != frame) / (2 * N), rel=1e-4)
        given.add(frame)
    assert given == {0, 1, 2}


def test_noise2noise_may_leave_the_repetitions_apart():
    """Then they are the network's own; the average of the same images otherwise."""
    scan, network = repetitions(), SMALL_NETWORK.build(0, EXAMPLE).requires_grad_(False)
    alone = [network(replace(scan, **{k: getattr(scan, k)[:, f : f + 1] for k in ("kspace", "mask", "padding")})).image for f in range(3)]
    apart, mean = (reconstruction_of(Noise2Noise(average=average), network, scan, Draw(0)).image for average in (False, True))
    assert torch.equal(apart, network(scan).image)
    torch.testing.assert_close(apart, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mean, torch.cat(alone, dim=1).mean(dim=1, keepdim=True).expand_as(apart), rtol=1e-4, atol=1e-5)
    assert energy(apart[:, 0] - apart[:, 1]) > 1e-4 * energy(apart)


def test_noise2noise_keeps_the_sensitivities_that_were_found():
    scan = make_scan(frames=2, mask=column_mask(SHAPE).expand(1, 2, 1, *SHAPE))
    estimate = reconstruction_of(Noise2Noise(), LEARNED.build(0, EXAMPLE), scan, Draw(0))
    assert estimate.csm is not None and estimate.csm.shape == scan.csm.shape and not torch.allclose(estimate.csm, scan.csm)
    assert reconstruction_of(Noise2Noise(), SMALL_NETWORK.build(0, EXAMPLE), scan, Draw(0)).csm is None
