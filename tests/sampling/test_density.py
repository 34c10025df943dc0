"""The sampling density of an archive, from its masks alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.sampling import Equispaced, PoissonDisc, RandomColumns, Sampling
from tests.scans import make_scan

SHAPE = (48, 48)


def scans(pattern, count, seed=0, slices=1):
    for volume in range(count):
        mask = pattern.sample(SHAPE, Draw(seed).generator("undersampling", f"v{volume}"))
        for index in range(slices):
            yield make_scan(SHAPE, coils=1, mask=mask.expand(1, 1, 1, *SHAPE), scan_id=f"v{volume}/slice-{index:03d}")


def truth_of(pattern):
    drawn = [pattern.sample(SHAPE, Draw(99).generator("m", str(i))).numpy() for i in range(300)]
    return np.mean(drawn, axis=0)


@pytest.mark.parametrize("pattern", [RandomColumns(4, 8), PoissonDisc(6, 8, retrospective_2d=True)], ids=["columns", "poisson"])
@pytest.mark.parametrize("count", [8, 30])
def test_closer_to_the_truth_than_the_frequencies(pattern, count):
    """Few masks leave frequencies of 0, 1/8, 2/8; smoothed as wide as the masks themselves support, they are nearer to the law."""
    sampling = Sampling.of(scans(pattern, count, slices=2))
    (density,) = sampling.densities.values()
    truth = truth_of(pattern)
    plain = np.mean(density.masks, axis=0)
    assert len(density.masks) == count and density.lines == isinstance(pattern, RandomColumns) and density.width > 0
    assert (density.probability[20:28, 20:28] == 1).all() or density.lines
    assert np.abs(density.probability - truth).mean() < 0.7 * np.abs(plain - truth).mean()
    assert np.array_equal(density.never, plain == 0)


def test_a_lattice_stays_a_lattice():
    """One offset for all: 0 and 1. A drawn offset: 1/4 everywhere, though no two neighbours are ever acquired together."""
    fixed = Sampling.of(scans(Equispaced(4, 8, offset=0, overall=False), 12))
    (density,) = fixed.densities.values()
    assert density.width == 0 and set(np.unique(density.probability)) == {0.0, 1.0}
    assert "of the locations of 48x48 are in none of 12 masks" in fixed.remarks()[0]
    (density,) = Sampling.of(scans(Equispaced(4, 8, overall=False), 60)).densities.values()
    assert np.abs(density.probability[:16] - 0.25).max() < 0.15 and not density.never.any()


def test_one_mask_is_always_acquired():
    (density,) = Sampling.of(scans(RandomColumns(4, 8), 1)).densities.values()
    assert np.array_equal(density.probability, np.asarray(density.masks[0], dtype=float))


def test_padding_is_not_acquired_and_frames_count_each():
    scan = next(scans(RandomColumns(2, 8), 1))
    padding = torch.zeros_like(scan.mask)
    padding[..., :4] = True
    (density,) = Sampling.of([replace(scan, padding=padding)]).densities.values()
    assert (density.probability[:, :4] == 0).all() and density.lines
    (density,) = Sampling.of([make_scan(SHAPE, frames=3)]).densities.values()
    assert len(density.masks) == 3


def test_what_no_scan_encodes_is_no_failure_to_acquire():
    """An asymmetric echo and partial Fourier: the density up to their edges is that of the lines, and 0 beyond."""
    pattern = RandomColumns(4, 8)
    truth = truth_of(pattern)
    cut = []
    for scan in scans(pattern, 30):
        mask = scan.mask.clone()
        mask[..., :10], mask[..., :9, :] = False, False
        cut.append(replace(scan, mask=mask))
    (density,) = Sampling.of(cut).densities.values()
    assert density.lines and (density.probability[:, :10] == 0).all() and (density.probability[:9] == 0).all()
    assert np.abs(density.probability[9:, 10:] - truth[9:, 10:]).max() < 0.15
    assert (density.probability[9:, 10:] == density.probability[9:, 10:11]).all()
    # The first encoded line has neighbours on one side only; it is as likely as the next ones.
    assert density.probability[9, 20] > 0.7 * truth[9:14, 20].mean()


def test_nested_masks_are_others_too():
    def lattice(step):
        mask = torch.zeros(SHAPE, dtype=torch.bool)
        mask[::step] = True
        return mask.expand(1, 1, 1, *SHAPE)

    few, many = (make_scan(SHAPE, coils=1, mask=lattice(step), scan_id=f"r{step}/slice-000") for step in (4, 2))
    sampling = Sampling.of([few, many])
    assert torch.equal(sampling.other_masks(few, Draw(0), "other"), many.mask)
    assert torch.equal(sampling.other_masks(many, Draw(0), "other"), few.mask)


def test_other_masks_are_others():
    pool = list(scans(RandomColumns(4, 8), 5))
    sampling = Sampling.of(pool)
    seen = set()
    for epoch in range(40):
        other = sampling.other_masks(pool[0], Draw(0, epoch), "other")
        assert not torch.equal(other, pool[0].mask)
        seen.add(tuple(other.flatten().tolist()))
    assert len(seen) == 4
    # A scan that gives up its Gamma is not another.
    less = pool[0].on(torch.rand(pool[0].mask.shape, generator=torch.Generator().manual_seed(0)) < 0.8)
    assert all(not (pool[0].mask == sampling.other_masks(less, Draw(0, epoch), "other")).all() for epoch in range(20))
    with pytest.raises(BadInput, match="v0/slice-000: found one sampling mask in all scans"):
        Sampling.of(pool[:1]).other_masks(pool[0], Draw(0), "other")
