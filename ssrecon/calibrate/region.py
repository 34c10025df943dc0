"""Where a scan may be calibrated: the largest fully sampled rectangle about the centre of k-space."""

import itertools
import math

import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.errors import NoCalibration
from ssrecon.core.shapes import checked
from ssrecon.core.window import crop as crop
from ssrecon.core.window import window

Sides = tuple[int, ...]


@checked
def centred_region(sampled: Bool[Tensor, " *k"], width: int) -> Sides:
    """Sides of the largest box about DC in which everything was sampled, no side longer than `width`; the largest has the most samples.

    Boxes are compared by volume and then by their shortest side, so that the answer is one and the same for a mask. Zeros where DC itself
    was not acquired.
    """
    sides = tuple(min(width, n) for n in sampled.shape)
    patch = sampled[window(tuple(sampled.shape), sides)].cpu()
    # A box of side s about the centre c of its axis holds the indices c - s // 2 ... c - s // 2 + s - 1. Growing by one adds an index
    # below, then one above, so the boxes along an axis are nested, and rank[i] is the side from which index i is inside.
    ranks = []
    for n in sides:
        offset = torch.arange(n) - n // 2
        ranks.append(torch.where(offset < 0, -2 * offset, 2 * offset + 1))
    missing = (~patch).nonzero()
    if missing.numel() == 0:
        return sides
    needed = torch.stack([rank[missing[:, axis]] for axis, rank in enumerate(ranks)], dim=1)  # a box holds i if its sides reach needed[i]
    best: Sides = tuple(0 for _ in sides)
    for leading in itertools.product(*(range(1, n + 1) for n in sides[:-1])):
        inside = (needed[:, :-1] <= torch.tensor(leading, dtype=needed.dtype)).all(dim=1)
        last = min(sides[-1], int(needed[inside, -1].min()) - 1 if bool(inside.any()) else sides[-1])
        candidate = (*leading, last)
        if last > 0 and (math.prod(candidate), min(candidate)) > (math.prod(best), min(best)):
            best = candidate
    return best


@checked
def frames_region(mask: Bool[Tensor, "1 frames 1 *k"], width: int, smallest: int) -> tuple[Sides, bool]:
    """The region that every frame sampled; where that is smaller than `smallest`, the region that the frames sampled between them.

    Returns the sides, and whether every frame sampled them.
    """
    everywhere = centred_region(mask[0, :, 0].all(dim=0), width)
    if large_enough(everywhere, smallest) or mask.shape[1] == 1:
        return everywhere, True
    between = centred_region(mask[0, :, 0].any(dim=0), width)
    return (between, False) if large_enough(between, smallest) else (everywhere, True)


def large_enough(sides: Sides, smallest: int) -> bool:
    return min(sides) >= smallest


def require(where: object, sides: Sides, full: Sides, smallest: int) -> None:
    """Raises NoCalibration, saying which calibration would do, where a side is shorter than `smallest`."""
    if large_enough(sides, smallest):
        return
    wanted = " x ".join([str(smallest)] * len(sides))
    found = " x ".join(map(str, sides)) if min(sides) else "nothing at the centre of k-space"
    raise NoCalibration(
        where,
        found=f"a fully sampled centre of {found} in a k-space of {' x '.join(map(str, full))}",
        expected=f"at least {wanted} around the centre, a separate calibration scan (Scan.calibration) that covers as much, "
        "or sensitivity maps of your own (Scan.csm)",
    )


def region_mask(shape: Sides, sides: Sides) -> Bool[Tensor, "1 1 1 *k"]:
    """True in the box of `sides` about DC."""
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[window(shape, sides)] = True
    return mask[None, None, None]
