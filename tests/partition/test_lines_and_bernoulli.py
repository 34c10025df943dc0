"""Whole lines, and independent flips with their exact densities."""

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.partition import Bernoulli, Lines
from ssrecon.partition.selection import radius_below_one
from tests.partition.scans import columns, many, masked, scattered


@pytest.mark.parametrize("partitioner", [Lines(0.4), Bernoulli(0.4, lines=True)])
def test_lines_need_lines(partitioner):
    with pytest.raises(BadInput, match="v/0: found a mask that varies along the readout"):
        partitioner.split(masked(scattered((24, 24))), Draw(0))
    with pytest.raises(BadInput, match="v/0: found a scan without a readout axis"):
        partitioner.split(masked(columns(24, 24), readout=False), Draw(0))


@pytest.mark.parametrize("partitioner", [Lines(0.4), Bernoulli(0.4, lines=True)])
def test_an_asymmetric_echo_is_still_lines(partitioner):
    """The first fifth of every readout was not acquired."""
    mask = columns(36, 20)
    mask[:, :4] = False
    lambda_ = partitioner.split(masked(mask), Draw(0)).lambda_[0, 0, 0]
    assert not lambda_[:, :4].any() and torch.equal(lambda_[:, 4:].any(-1), lambda_[:, 4:].all(-1))


def test_lines_are_uniform_outside_the_centre():
    mask, repeats = columns(48, 4), 2000
    part = Lines(0.4).split(many(masked(mask), [f"s{i}" for i in range(repeats)]), Draw(0))
    found, expected = part.lambda_[:, 0, 0, :, 0].double().mean(0), part.inclusion[0, 0, 0, :, 0].double()
    assert torch.equal(expected[22:26], torch.zeros(4, dtype=torch.float64))
    assert (found - expected).abs().max() < 4.5 * (0.25 / repeats) ** 0.5


def test_lines_of_a_volume_are_locations_of_its_phase_encoding_plane():
    plane = scattered((10, 12))
    lambda_ = Lines(0.5, protected=2).split(masked(plane[..., None].expand(10, 12, 6).clone()), Draw(0)).lambda_[0, 0, 0]
    assert torch.equal(lambda_.any(-1), lambda_.all(-1))
    assert not lambda_[4:6, 5:7].any()
    assert not torch.equal(lambda_.any(-1), plane & lambda_.any(-1).any(0))  # not whole columns of the plane


def test_bernoulli_is_exactly_its_fraction_and_independent():
    mask = torch.ones(12, 12, dtype=torch.bool)
    part = Bernoulli(0.3).split(many(masked(mask), [f"s{i}" for i in range(4000)]), Draw(0))
    assert set(part.inclusion.unique().tolist()) == {0.0, np.float32(0.3)}
    sizes = part.lambda_.flatten(1).sum(1).double()
    # A binomial count of 128 points: mean 38.4, variance 26.9; an exact count would have none.
    assert abs(float(sizes.mean()) - 38.4) < 4 * (26.88 / 4000) ** 0.5
    assert float(sizes.var()) == pytest.approx(26.88, rel=0.1)


def test_bernoulli_does_not_look_at_omega():
    """What the density-compensating theory asks for: the flip of a location is the same whatever else was acquired."""
    dense, sparse = torch.ones(24, 20, dtype=torch.bool), scattered((24, 20), 0.4)
    law = Bernoulli(0.4, order=3.0)
    first, second = law.split(masked(dense), Draw(0)), law.split(masked(sparse), Draw(0))
    assert torch.equal(first.lambda_ & sparse, second.lambda_)
    assert torch.equal(torch.where(sparse, first.inclusion, 0), second.inclusion)


@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("order", [1.0, 8.0])
def test_the_kept_density_falls_from_the_centre_with_the_mean_asked_for(fraction, order):
    part = Bernoulli(fraction, order=order, protected=()).split(masked(torch.ones(32, 30, dtype=torch.bool)), Draw(0))
    inclusion = part.inclusion[0, 0, 0].double().numpy()
    assert inclusion.mean() == pytest.approx(fraction, abs=1e-5)
    by_radius = inclusion.ravel()[np.argsort(radius_below_one((32, 30)).ravel(), kind="stable")]
    assert (np.diff(by_radius) >= -1e-6).all() and by_radius[0] < by_radius[-1]
