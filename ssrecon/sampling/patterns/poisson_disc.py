"""Poisson-disc points: random, but no two close to each other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.radius import radius
from ssrecon.core.window import centre_block
from ssrecon.sampling.patterns.base import Pattern, budget, over_readout, points_matrix

LEVELS = 8
"""Discs come in this many sizes to the pixel."""

SPREAD = 0.25
"""Largest relative difference of a disc's growth from the mean."""

TRIES = 24
"""Halvings of the search for the disc's size: more than enough to exhaust the precision of `LEVELS`."""


@dataclass(frozen=True)
class PoissonDisc(Pattern):
    r"""This pattern keeps exactly round(N / R) points of two phase-encoded axes: a calibration block, and points none of which lies in the
    disc of an earlier one.

    The disc's radius in pixels is :math:`1 + s r` with r from 0 at DC to 1 at the ends of the axes (variable density), or :math:`1 + s`
    everywhere, where s differs by up to `SPREAD` from disc to disc. Points are tried in random order and kept where no disc covers them
    (random sequential addition); s is found by bisection as the largest that leaves enough of them, and a surplus of a few is removed at
    random.

    Bridson. Fast Poisson disk sampling in arbitrary dimensions. SIGGRAPH sketches (2007). doi:10.1145/1278780.1278807
    Vasanawala et al. Practical parallel imaging compressed sensing MRI. ISBI 2011:1039-1043. doi:10.1109/ISBI.2011.5872579
    """

    acceleration: float
    """Overall, of the whole matrix, the calibration block included."""
    calibration: int = 24
    """Side of the calibration block."""
    variable: bool = True
    """Whether the discs grow with the distance from DC."""
    crop_corners: bool = False
    """Whether only the ellipse within the matrix is sampled, as an elliptical shutter does."""
    retrospective_2d: bool = False
    """Allow single points along the readout of a 2-D slice: no scanner can, published studies do."""

    def sample(self, matrix: tuple[int, ...], generator: np.random.Generator, readout: bool = True) -> Bool[Tensor, "*k"]:
        """Draw the points. Raises `BadInput` where the acceleration cannot be had, a readout would be broken up, or there are not two
        phase-encoded axes."""
        axes = points_matrix(self, matrix, readout, self.retrospective_2d)
        if len(axes) != 2:
            raise BadInput("undersampling PoissonDisc", found=f"phase-encoded axes {axes}", expected="two of them")
        r = radius(axes)
        block = np.zeros(axes, dtype=bool)
        block[tuple(centre_block(n, self.calibration) for n in axes)] = True
        allowed = ~block & ((r <= 1) | (not self.crop_corners))
        kept = budget(self, block.size, self.acceleration, int(block.sum())) - int(block.sum())
        if kept > allowed.sum():
            raise BadInput("undersampling PoissonDisc", found=f"{kept} points for {allowed.sum()} places", expected="a higher acceleration")
        order = generator.permutation(np.flatnonzero(allowed))
        # On a grid a disc gains places in jumps (at 1, 1.41, 2 ... pixels); discs of slightly different size keep these out of the density.
        growth = (r if self.variable else np.ones(axes)) * generator.uniform(1 - SPREAD, 1 + SPREAD, size=axes)
        chosen = _places_of_largest_discs(order, growth, kept, axes)
        points = block.ravel()
        points[generator.permutation(chosen)[:kept]] = True
        return over_readout(points.reshape(axes), matrix)


def _places_of_largest_discs(order: np.ndarray, growth: np.ndarray, kept: int, axes: tuple[int, int]) -> np.ndarray:
    """Return the places that the largest possible discs leave: at least `kept`, and as few more as `LEVELS` sizes to the pixel allow."""
    low, high = 0.0, float(max(axes))
    best = order  # s = 0 leaves all
    if kept == 0:
        return order[:0]
    for _ in range(TRIES):
        # A disc of area pi d^2 keeps about .7 / d^2 of the places: start the search there, not in the middle of the matrix.
        middle = (low + high) / 2 if high < max(axes) else min(2 * max(low, 0.5 * np.sqrt(growth.size / kept)), high)
        found = _uncovered_places(order, growth, middle, axes, kept)
        if len(found) >= kept:
            low, best = middle, found
        else:
            high = middle
        if len(best) <= 1.01 * kept or high - low < 0.1 / LEVELS:
            break
    return best


def _uncovered_places(order: np.ndarray, growth: np.ndarray, s: float, axes: tuple[int, int], kept: int) -> np.ndarray:
    """Return the places that no earlier disc covers, when they are tried in `order` with discs of radius 1 + s growth."""
    level = np.round(s * growth * LEVELS).astype(int)
    margin = int(level.max() / LEVELS) + 2
    width = axes[1] + 2 * margin
    free = bytearray(b"\1") * ((axes[0] + 2 * margin) * width)
    covered = np.frombuffer(free, dtype=np.uint8)
    discs = {size: _disc_offsets(1 + size / LEVELS, width) for size in np.unique(level.flat[order])}
    rows, columns = np.divmod(order, axes[1])
    found = []
    padded = (rows + margin) * width + columns + margin
    for i, (place, size) in enumerate(zip(padded.tolist(), level.flat[order].tolist(), strict=True)):
        if free[place]:
            covered[discs[size] + place] = 0
            found.append(i)
    return order[found]


def _disc_offsets(radius_: float, width: int) -> np.ndarray:
    reach = int(np.ceil(radius_))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = y**2 + x**2 < radius_**2
    return (y[inside] * width + x[inside]).astype(np.int64)
