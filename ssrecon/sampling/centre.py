"""Boxes about DC (``N // 2``), for whoever protects the centre of k-space or calibrates on it."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.core.window import centre_block, window

Sides = tuple[int, ...]


def centre_box(shape: Sequence[int], sides: Sequence[int]) -> Bool[np.ndarray, "*k"]:
    """Return a mask of a box about DC, clipped to the matrix. With fewer sides than axes, the first one also holds for the leading axes."""
    box = np.zeros(tuple(shape), dtype=bool)
    if not sides:
        return box
    full = (*([sides[0]] * (len(shape) - len(sides))), *sides)[-len(shape) :]
    box[tuple(map(centre_block, shape, full))] = True
    return box


@checked
def centred_region(sampled: Bool[Tensor, " *k"], width: int | None = None) -> Sides:
    """Return the sides of the box about DC with the most samples in which everything was sampled; no side is longer than `width`.

    Boxes are compared by volume and then by their shortest side, so that the answer is one and the same for a mask. Zeros where DC itself
    was not acquired.
    """
    sides = tuple(n if width is None else min(width, n) for n in sampled.shape)
    patch = sampled[window(tuple(sampled.shape), sides)].cpu().numpy()
    if patch.all():
        return sides
    # A box of side s about the centre c of its axis holds the indices c - s // 2 ... c - s // 2 + s - 1. Growing by one adds an index
    # below, then one above, so the boxes along an axis are nested, and rank[i] is the side from which index i is inside.
    ranks = [np.where(np.arange(n) < n // 2, 2 * (n // 2 - np.arange(n)), 2 * (np.arange(n) - n // 2) + 1) for n in sides]
    missing = np.nonzero(~patch)
    needed = [rank[places] for rank, places in zip(ranks, missing, strict=True)]
    # Of every choice of the leading sides, the longest last side whose box holds no missing sample: the least rank of those inside, less 1.
    last = np.full([n + 1 for n in sides[:-1]], sides[-1] + 1)
    np.minimum.at(last, tuple(needed[:-1]), needed[-1])
    for axis in range(last.ndim):
        last = np.minimum.accumulate(last, axis=axis)
    last = np.minimum(last - 1, sides[-1])
    best: Sides = tuple(0 for _ in sides)
    volume, shortest = last.astype(np.int64), last.copy()
    for axis, n in enumerate(sides[:-1]):
        side = np.arange(n + 1).reshape([-1 if other == axis else 1 for other in range(last.ndim)])
        volume, shortest = volume * side, np.minimum(shortest, side)
    if int(volume.max()) > 0:
        # The first of the largest in the order of the leading sides, among equal volumes the one whose shortest side is longest.
        order = np.where(volume == volume.max(), shortest, -1)
        chosen = np.unravel_index(int(order.argmax()), order.shape) if order.ndim else ()
        best = (*(int(side) for side in chosen), int(last[chosen]))
    return best


@checked
def run_about_centre(sampled: Bool[Tensor, " *k"]) -> list[tuple[int, int]]:
    """Return the box of acquired locations that grows from DC side by side in turn: per axis its first place and the one behind its last.

    It need not lie symmetrically about DC, as a lattice's line may touch a calibration block. It is what is left aside when a pattern is
    named, and not what may be calibrated on (`centred_region`). The ranges are empty where DC was not acquired.
    """
    low, high = [n // 2 for n in sampled.shape], [n // 2 + 1 for n in sampled.shape]
    if not bool(sampled[tuple(low)]):
        return [(n, n) for n in low]
    growing = True
    while growing:
        growing = False
        for axis, (bounds, step) in itertools.product(range(sampled.ndim), ((low, -1), (high, 1))):
            if bounds[axis] == (0 if step < 0 else sampled.shape[axis]):
                continue
            face = [slice(a, b) for a, b in zip(low, high, strict=True)]
            at = bounds[axis] - 1 if step < 0 else bounds[axis]
            face[axis] = slice(at, at + 1)
            if bool(sampled[tuple(face)].all()):
                bounds[axis] += step
                growing = True
    return list(zip(low, high, strict=True))


def region_mask(shape: Sides, sides: Sides) -> Bool[Tensor, "1 1 1 *k"]:
    """Return a mask of the box of `sides` about DC."""
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[window(shape, sides)] = True
    return mask[None, None, None]
