"""What was encoded: the box around what was acquired, its ends, partial Fourier, padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.sampling.describe.description import Support

BY_CHANCE = 1e-4
"""Random lines leave a run out at one end by chance; one that is less likely than this was left out on purpose."""


@dataclass(frozen=True)
class AxisEnds:
    """How far an axis was acquired, and what its ends tell."""

    first: int
    last: int
    part: float
    """The acquired part of the symmetric extent, where a side was left out on purpose; else 1."""
    side: str
    """The side that was left out on purpose: ``low``, ``high`` or empty."""
    low_by_chance: bool
    """Whether the pattern alone may have left out all that lies below `first`."""
    high_by_chance: bool


@checked
def acquired_bounds(mask: Bool[Tensor, "*k"]) -> list[tuple[int, int]]:
    """Return the first and the last acquired place along each axis; (0, -1) where nothing was acquired."""
    places = mask.nonzero()
    if not len(places):
        return [(0, -1)] * mask.ndim
    return list(zip(places.amin(0).tolist(), places.amax(0).tolist(), strict=True))


@checked
def encoded_support(mask: Bool[Tensor, "*k"]) -> Bool[Tensor, "*k"]:
    """Return a mask of the smallest box that holds every acquired location."""
    support = torch.zeros_like(mask)
    support[tuple(slice(low, high + 1) for low, high in acquired_bounds(mask))] = True
    return support & bool(mask.any())


def is_partial_fourier(first: int, last: int, centre: int, matrix: int) -> bool:
    """Tell whether the lines `first` to `last` reach much farther on one side of `centre` than on the other.

    An undersampled lattice ends a few lines early on one side, so that a difference of up to 8 % of the matrix (and of 4 lines) is none;
    the mildest partial Fourier in use, 7/8, makes 12 %.
    """
    return abs((centre - first) - (last + 1 - centre)) > max(4.0, 0.08 * matrix)


@checked
def ends_along(union: Bool[Tensor, "*k"], axis: int) -> AxisEnds:
    """Return the ends of what was acquired along an axis. A side counts as left out where chance would hardly leave so much out."""
    matrix, centre = union.shape[axis], union.shape[axis] // 2
    lines = union.movedim(axis, 0).flatten(1).any(dim=1)
    places = lines.nonzero().flatten()
    if not len(places):
        return AxisEnds(0, -1, 1.0, "", False, False)
    first, last = int(places[0]), int(places[-1])
    low = high = centre
    while low > first and lines[low - 1]:
        low -= 1
    while high < last and lines[high + 1]:
        high += 1
    outside = torch.cat([lines[first:low], lines[high + 1 : last + 1]]).float()
    longest = int(places.diff().max()) if len(places) > 1 else 1
    # Fully sampled from its middle to its ends, nothing was left to chance.
    missed = 1 - float(outside.mean()) if len(outside) else 0.0
    below, above = centre - first, last + 1 - centre

    def by_chance(left_out: int) -> bool:
        return left_out < longest or (missed**left_out > BY_CHANCE and left_out <= 3 * longest)

    ends = by_chance(first), by_chance(matrix - 1 - last)
    if not is_partial_fourier(first, last, centre, matrix) or by_chance(abs(above - below)):
        return AxisEnds(first, last, 1.0, "", *ends)
    part = (last + 1 - first) / (2 * max(below, above))
    return AxisEnds(first, last, part, "low", False, ends[1]) if below < above else AxisEnds(first, last, part, "high", ends[0], False)


@checked
def encoded_box(filled: Bool[Tensor, "*k"], ends: Sequence[AxisEnds]) -> Support:
    """Return the box that was encoded: what was acquired, and what the pattern left out beyond it by chance. Padding (`filled`) is no part
    of it."""
    box = []
    for axis, end in enumerate(ends):
        known = (~filled).movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten()
        low, high = end.first, end.last + 1
        if len(known) and high > low:
            low = min(low, int(known[0])) if end.low_by_chance else low
            high = max(high, int(known[-1]) + 1) if end.high_by_chance else high
        box.append((low, high))
    return tuple(box)


@checked
def padding_fractions(union: Bool[Tensor, "*k"]) -> tuple[float, ...]:
    """Return, per axis, the part of the matrix beyond what was acquired on both sides. The last step of a lattice is no padding."""
    fractions = []
    for axis, (first, last) in enumerate(acquired_bounds(union)):
        n = union.shape[axis]
        steps = union.movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten().diff()
        beyond = min(first, n - 1 - last) if last >= first else 0
        fractions.append(2 * beyond / n if beyond >= max(2, int(steps.max()) if len(steps) else 2) else 0.0)
    return tuple(fractions)
