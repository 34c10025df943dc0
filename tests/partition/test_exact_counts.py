"""Exact sizes, the published law of selection, and inclusion probabilities against frequencies."""

import math

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.partition import Bernoulli, Gaussian, Lines, Uniform, VariableDensity
from ssrecon.partition.selection import inclusion_probability
from tests.partition.scans import columns, many, masked, published_mask, scattered

FRACTIONS = (0.01, 0.1, 0.29, 0.4, 0.5, 0.8, 0.95, 0.99)
POINTWISE = (Uniform, Gaussian, VariableDensity)


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("kind", POINTWISE)
def test_the_count_is_exact_at_every_fraction(kind, fraction):
    """Peers put 60 % into the loss set at .4, one sample too many, or spin for ever at high fractions."""
    mask = scattered((2, 1, 40, 36))
    scan = masked(mask)
    part = kind(fraction).split(scan, Draw(0))
    for frame in range(2):
        free = mask[frame, 0].clone()
        free[18:22, 16:20] = False
        assert int(part.lambda_[0, frame].sum()) == math.floor(fraction * int(free.sum()))
        assert float(part.inclusion[0, frame].double().sum()) == pytest.approx(int(part.lambda_[0, frame].sum()), rel=1e-5)


@pytest.mark.parametrize("fraction", FRACTIONS[2:])
def test_lines_are_counted_in_lines(fraction):
    mask = columns(60, 12)
    part = Lines(fraction).split(masked(mask), Draw(0))
    lines = part.lambda_[0, 0, 0]
    free = mask.any(-1).clone()
    free[28:32] = False
    assert torch.equal(lines.any(-1), lines.all(-1))
    assert int(lines.any(-1).sum()) == math.floor(fraction * int(free.sum()))


def test_the_published_sizes():
    """SSDU's uniform selection of 35200 samples: 14073 at .4 with the 4x4 centre kept."""
    mask = published_mask()
    assert int(mask.sum()) == 35200
    for kind in POINTWISE:
        part = kind(0.4).split(masked(mask), Draw(0))
        assert int(part.lambda_.sum()) == 14073
        assert not part.lambda_[0, 0, 0, 182:186, 158:162].any()


def rejection_loop(mask: np.ndarray, size: int, std_scale: float, normal) -> tuple[np.ndarray, int]:
    """The law that SSDU publishes, restated: round a Gaussian to the grid until `size` different free points were hit.

    `normal(mean, sigma)` gives one number. The kept centre is 4x4. Returns the points, and how many draws it took.
    """
    rows, cols = mask.shape
    free = mask.copy()
    free[rows // 2 - 2 : rows // 2 + 2, cols // 2 - 2 : cols // 2 + 2] = False
    chosen, count, draws = np.zeros_like(free), 0, 0
    while count < size:
        row = round(normal(rows // 2, (rows - 1) / std_scale))
        col = round(normal(cols // 2, (cols - 1) / std_scale))
        draws += 1
        if 0 <= row < rows and 0 <= col < cols and free[row, col] and not chosen[row, col]:
            chosen[row, col] = True
            count += 1
    return chosen, draws


def test_the_restated_loop_is_the_published_one():
    """Golden values of the published code: legacy stream of seed 0, one point more than ceil(.4 x 35200)."""
    mask = published_mask().numpy().T
    chosen, draws = rejection_loop(mask, 14081, 4.0, np.random.RandomState(0).normal)
    assert (draws, int(np.flatnonzero(chosen).sum())) == (68746, 830871140)
    centre = chosen[:, 172:196].sum() / mask[:, 172:196].sum()
    outer = (chosen.sum() - chosen[:, 172:196].sum()) / (mask.sum() - mask[:, 172:196].sum())
    assert (round(centre, 3), round(outer, 3)) == (0.553, 0.357)
    small = np.zeros((64, 64), dtype=bool)
    small[:, ::4] = small[:, 28:36] = True
    chosen, draws = rejection_loop(small, 565, 4.0, np.random.RandomState(0).normal)
    assert (int(small.sum()), draws, int(np.flatnonzero(chosen).sum())) == (1408, 2250, 1146589)


def test_gaussian_selects_the_published_share_of_the_centre():
    """.553 of the calibration band and .357 outside, within three standard deviations of one draw (.0041 and .0011).

    With a fixed total the two parts vary by less than binomially: the sd of the band is sqrt(7680 x .25 x 27520 / 35200) / 7680 at most.
    """
    scan = many(masked(published_mask()), [f"s{i}" for i in range(8)])
    part = Gaussian(0.4).split(scan, Draw(0))
    bound = math.sqrt(7680 * 0.25 * 27520 / 35200) / 7680
    lambda_ = part.lambda_[:, 0, 0].double()
    centre = lambda_[:, 172:196].sum((1, 2)) / 7680
    outer = (lambda_.sum((1, 2)) - lambda_[:, 172:196].sum((1, 2))) / 27520
    assert (centre - 0.553).abs().max() < 3.5 * bound and (outer - 0.357).abs().max() < 3.5 * bound * 7680 / 27520
    assert part.inclusion[0, 0, 0, 172:196].sum() / 7680 == pytest.approx(float(centre.mean()), abs=3 * bound / math.sqrt(8))


def loop_frequencies(mask: np.ndarray, size: int, std_scale: float, repeats: int, seed: int) -> np.ndarray:
    """Frequencies of `rejection_loop`, faster: first appearances in one long list of draws."""
    rng = np.random.default_rng(seed)
    rows, cols = mask.shape
    free = mask.copy()
    free[rows // 2 - 2 : rows // 2 + 2, cols // 2 - 2 : cols // 2 + 2] = False
    total = np.zeros(mask.size)
    for _ in range(repeats):
        row = np.round(rng.normal(rows // 2, (rows - 1) / std_scale, 12 * mask.size)).astype(int)
        col = np.round(rng.normal(cols // 2, (cols - 1) / std_scale, 12 * mask.size)).astype(int)
        inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
        hits = row[inside] * cols + col[inside]
        hits = hits[free.ravel()[hits]]
        points, first = np.unique(hits, return_index=True)
        assert len(points) >= size
        total[points[np.argsort(first)[:size]]] += 1
    return total.reshape(mask.shape) / repeats


def frequencies(partitioner, mask: torch.Tensor, repeats: int) -> np.ndarray:
    scan = many(masked(mask), [f"s{i}" for i in range(repeats)])
    return partitioner.split(scan, Draw(3)).lambda_[:, 0, 0].double().mean(0).numpy()


def mean_square_z(a: np.ndarray, b: np.ndarray, variance: np.ndarray) -> float:
    known = variance > 0
    return float((((a - b)[known]) ** 2 / variance[known]).mean())


@pytest.mark.parametrize("fraction", [0.2, 0.6])
def test_gaussian_has_the_law_of_the_rejection_loop(fraction):
    """Per-location frequencies differ as two samples of one law do: the mean squared z score over about 140 locations is 1 +- .12."""
    mask, repeats = scattered((18, 16)), 1500
    free = mask.clone()
    free[7:11, 6:10] = False
    size = math.floor(fraction * int(free.sum()))
    ours, theirs = (
        frequencies(Gaussian(fraction, std_scale=4.0), mask, repeats),
        loop_frequencies(mask.numpy(), size, 4.0, repeats, seed=11),
    )
    pooled = (ours + theirs) / 2
    variance = 2 * pooled * (1 - pooled) / repeats
    assert 0.6 < mean_square_z(ours, theirs, variance) < 1.4
    assert mean_square_z(frequencies(Uniform(fraction), mask, repeats), theirs, variance) > 5  # the test can tell laws apart


@pytest.mark.parametrize(
    "partitioner", [Uniform(0.3), Gaussian(0.2), Gaussian(0.4), Gaussian(0.9), VariableDensity(0.4, order=4.0), Bernoulli(0.4, order=2.0)]
)
def test_inclusion_is_the_frequency(partitioner):
    """Within sampling error and, for weighted selection without replacement, the approximation's order of 1 / count."""
    mask, repeats = scattered((18, 16)), 3000
    expected = partitioner.split(masked(mask), Draw(0)).inclusion[0, 0, 0].double().numpy()
    found = frequencies(partitioner, mask, repeats)
    spread = np.sqrt(np.maximum(expected * (1 - expected), 1e-4) / repeats)
    approximation = 0.0 if isinstance(partitioner, (Uniform, Bernoulli)) else 1.0 / expected.sum()
    assert np.abs(found - expected).max() < 4.5 * spread.max() + approximation
    assert abs((found - expected).sum()) < 4.5 * math.sqrt((spread**2).sum())


def test_inclusion_of_extreme_weights():
    """Where some weights underflow beside others the heavy elements are certain, and the sum still is the count."""
    eligible = np.ones(100, dtype=bool)
    logs = np.where(np.arange(100) < 30, 0.0, -60.0)
    result = inclusion_probability(eligible, 50, logs)
    assert result[:30] == pytest.approx(1.0) and result[30:] == pytest.approx(20 / 70, rel=1e-6)


def test_a_narrow_gaussian_stays_finite():
    """Eighty standard deviations wide: the outermost weights are below the smallest double, their logarithms are not."""
    mask = torch.ones(64, 64, dtype=torch.bool)
    part = Gaussian(0.99, std_scale=80.0).split(masked(mask), Draw(0))
    assert int(part.lambda_.sum()) == math.floor(0.99 * (64 * 64 - 16)) and torch.isfinite(part.inclusion).all()


def test_ten_thousand_scans_have_their_own_splits():
    """A peer seeds by the mean character of the file name: 46,800 slices share five splits."""
    ids = [f"file10{i // 36:05d}/slice-{i % 36:03d}" for i in range(10_000)]
    assert len({Draw(0).generator("partition", name).integers(1 << 62) for name in ids}) == 10_000
    part = Gaussian(0.4).split(many(masked(columns(16, 12, 2)), ids), Draw(0))
    splits = part.lambda_.flatten(1).numpy()
    assert len({row.tobytes() for row in np.packbits(splits, axis=1)}) == 10_000
    # Neighbours share no more than independent splits do: the overlap's mean is sum p^2.
    overlap = (splits[:-1] & splits[1:]).sum(1)
    frequency = splits.mean(0)
    assert abs(overlap.mean() - (frequency**2).sum()) < 4 * overlap.std() / 100


def test_protected_is_clipped_extended_and_optional():
    mask = torch.ones(3, 20, 20, dtype=torch.bool)
    part = Uniform(0.99, protected=(4, 6)).split(masked(mask), Draw(0))
    assert part.theta[0, 0, 0, :, 8:12, 7:13].all()
    assert int(part.lambda_.sum()) == math.floor(0.99 * (1200 - 3 * 4 * 6))
    assert int(Uniform(0.5, protected=()).split(masked(mask), Draw(0)).lambda_.sum()) == 600
    for wrong in ((-1, 4), 4):
        with pytest.raises(BadRecipe, match="Uniform.protected"):
            Uniform(protected=wrong)


def test_bad_densities_are_refused():
    for make in (lambda: Gaussian(std_scale=0.0), lambda: VariableDensity(order=-1.0), lambda: Bernoulli(order=float("inf"))):
        with pytest.raises(BadRecipe):
            make()
