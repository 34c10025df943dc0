"""Patterns of lines along one phase-encoded axis: one block, lattices, random lines of constant or variable density."""

import math

import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.sampling.centre import run_about_centre
from ssrecon.sampling.describe.pattern import Pattern, most_frequent

SPREAD = 1.6
"""Lines are of variable density where the inner half of those outside the calibration block is so many times denser than the outer half."""
FEWEST_STEPS = 3
"""Between lines outside the calibration block, for them to be a lattice."""


@checked
def classify_columns(lines: Bool[Tensor, " n"]) -> Pattern:
    """Classify a pattern of lines. The calibration block is left aside."""
    places = lines.nonzero().flatten()
    ((first, behind),) = run_about_centre(lines)
    width = behind - first
    # A lattice may touch the calibration block, whose own edge then looks a line farther out; two lines to either side are left aside.
    outside = places[(places < first - 1) | (places > first + width)] if width > 2 else places
    if len(outside) < 3:
        return Pattern("one block" if width >= 0.8 * len(places) else "irregular")
    span = torch.cat([outside[outside < first].diff(), outside[outside >= first + width].diff()])
    step = int(span.min()) if len(span) else 0
    # Two or three random lines keep equal distances by chance.
    if len(span) >= FEWEST_STEPS and step > 1 and bool((span % step == 0).all()) and float((span == step).float().mean()) > 0.9:
        return Pattern("lattice", (float(step),), (float(most_frequent(outside % step)),))
    if len(span) > FEWEST_STEPS and step > 1 and int(span.max()) - step <= 1:
        # A distance that is no whole number, rounded to the grid: where it starts cannot be told from a few lines.
        return Pattern("lattice", (float(span.float().mean()),))
    return Pattern(_name_by_density(outside, first, width, len(lines)))


def _name_by_density(outside: Tensor, first: int, width: int, n: int) -> str:
    """Tell random columns of constant density from those of variable density: the Poisson counts of the inner and the outer half of the
    places are compared, at 3.5 sigma."""
    middle, reach = first + width / 2, float((outside - (first + width / 2)).abs().max())
    half = (width / 2 + reach) / 2
    distance = (outside - middle).abs()
    inner, outer = float((distance <= half).sum()), float((distance > half).sum())
    # The halves hold the same number of places but for those the matrix cuts off on one side.
    free = (torch.arange(n) - middle).abs()
    inner_places, outer_places = float(((free <= half) & (free > width / 2)).sum()), float(((free > half) & (free <= reach)).sum())
    if not inner_places or not outer_places or not outer:
        return "variable-density columns" if inner else "irregular"
    ratio = (inner / inner_places) / (outer / outer_places)
    sigma = math.sqrt(1 / max(inner, 1) + 1 / outer)
    return "variable-density columns" if ratio > SPREAD and math.log(ratio) > 3.5 * sigma else "random columns"
