"""Patterns of points on two phase-encoded axes: lattices, CAIPI, Poisson discs, radial and random ones."""

import math

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ssrecon.core.radius import radius
from ssrecon.core.shapes import checked
from ssrecon.sampling.centre import run_about_centre
from ssrecon.sampling.describe.pattern import Pattern, most_frequent

LONGEST_STEP = 8
AGREES = 0.98
"""The part of the points that a lattice's step leads to which has to be there."""
NEIGHBOURS = 0.5
"""Poisson discs: pairs of direct neighbours over the pairs that independent points of the same local density would make."""
SPARSE = 0.4
"""Only where less than this part was sampled can neighbours be told from chance."""


@checked
def classify_points(points: Bool[Tensor, "z y"], support: Bool[Tensor, "z y"]) -> Pattern:
    """Classify a pattern of points; `support` is what was encoded. The calibration box is left aside."""
    outside = support & ~_calibration_box(points)
    if not bool((points & outside).any()):
        return Pattern("one block")
    if lattice := _lattice_steps(points, outside):
        rows, along, shift = lattice
        steps = (float(rows), float(along), *((float(shift),) if shift else ()))
        return Pattern("CAIPI" if shift else "2-D lattice", steps, _lattice_offset(points & outside, rows, along, shift))
    if _is_radial(points, outside):
        return Pattern("radial")
    local = _local_density(points & outside, outside)
    if _neighbour_ratio(points, outside, local) < NEIGHBOURS:
        return Pattern("Poisson disc")
    return Pattern("variable density" if _density_falls_outwards(points, outside) else "random points")


def _calibration_box(points: Tensor) -> Tensor:
    """Return a mask of the fully sampled box about DC and of one place around it, as a lattice may touch it."""
    box = torch.zeros_like(points)
    run = run_about_centre(points)
    if min(high - low for low, high in run) >= 3:
        box[tuple(slice(max(0, low - 1), high + 1) for low, high in run)] = True
    return box


def _shifted(a: Tensor, dz: int, dy: int) -> tuple[Tensor, Tensor]:
    """Return `a`, and `a` moved by (-dz, -dy), over the places that both have."""
    nz, ny = a.shape
    here = a[: nz - dz, max(0, -dy) : ny - max(0, dy)]
    there = a[dz:, max(0, dy) : ny - max(0, -dy)]
    return here, there


def _lattice_steps(points: Tensor, outside: Tensor) -> tuple[int, int, int] | None:
    """Return the step between rows, the step along a row and the shift from row to row of a lattice; None where the points are none."""

    def leads_to_points(dz: int, dy: int) -> bool:
        if dz >= points.shape[0] or dy >= points.shape[1]:
            return False
        here, there = _shifted(points & outside, dz, dy)
        valid = _shifted(outside, dz, dy)[1]
        pairs = here & valid
        return int(pairs.sum()) >= 20 and float(there[pairs].float().mean()) >= AGREES

    along = next((d for d in range(1, LONGEST_STEP + 1) if leads_to_points(0, d)), None)
    if along is None:
        return None
    for rows in range(1, LONGEST_STEP + 1):
        for shift in range(along):
            if leads_to_points(rows, shift):
                density = float((points & outside).sum()) / float(outside.sum())
                fits = 0.8 < density * rows * along < 1.25 and rows * along > 1
                return (rows, along, shift) if fits else None
    return None


def _lattice_offset(points: Tensor, rows: int, along: int, shift: int) -> tuple[float, float]:
    """Return the first row of a lattice, and the first place in that row."""
    z, y = points.nonzero().unbind(dim=1)
    first = most_frequent(z % rows)
    return float(first), float(most_frequent((y - shift * ((z - first) // rows)) % along))


def _is_radial(points: Tensor, outside: Tensor) -> bool:
    """Tell whether most points lie on spokes through DC that were sampled nearly from end to end."""
    centre = [n // 2 for n in points.shape]
    reach = min(centre)
    along = torch.arange(reach * 0.3, reach * 0.95, 0.5)
    angles = torch.arange(0, math.pi, math.pi / (4 * max(points.shape)))
    covered, spokes = torch.zeros_like(points), 0
    for sign in (1, -1):
        z = (centre[0] + sign * angles.sin()[:, None] * along * centre[0] / reach).round().long().clamp(0, points.shape[0] - 1)
        y = (centre[1] + sign * angles.cos()[:, None] * along * centre[1] / reach).round().long().clamp(0, points.shape[1] - 1)
        whole = points[z, y].float().mean(dim=1) > 0.8
        spokes += int(whole.sum())
        covered[z[whole], y[whole]] = True
    tested = points & outside
    return spokes >= 6 and float((covered & tested).sum()) > 0.6 * float(tested.sum()) and float(tested.sum()) < 0.6 * float(outside.sum())


def _local_density(points: Tensor, outside: Tensor, width: int = 11) -> Tensor:
    """Return the sampled part of the places in a square around each place."""

    def blur(a: Tensor) -> Tensor:
        return avg_pool2d(a.float()[None, None], width, stride=1, padding=width // 2)[0, 0]

    return blur(points) / blur(outside).clamp_min(1e-6)


def _neighbour_ratio(points: Tensor, outside: Tensor, density: Tensor) -> float:
    """Return the pairs of direct neighbours over those that independent points of the same local density would make."""
    tested = outside & (density < SPARSE)
    found = expected = 0.0
    for dz, dy in ((0, 1), (1, 0)):
        valid = torch.stack(_shifted(tested, dz, dy)).all(dim=0)
        found += float((torch.stack(_shifted(points, dz, dy)).all(dim=0) & valid).sum())
        expected += float(torch.stack(_shifted(density, dz, dy)).prod(dim=0)[valid].sum())
    # Fewer than 16 expected pairs cannot tell discs from chance (at 16, half of them or fewer come by chance once in 50,000).
    return found / expected if expected >= 16 else 1.0


def _density_falls_outwards(points: Tensor, outside: Tensor) -> bool:
    """Tell whether the outer half of the places is less densely sampled than the inner half, by 1.6 times and 3.5 sigma."""
    distance = torch.from_numpy(radius(points.shape)).to(points.device)
    middle = distance[outside].median()
    inner, outer = outside & (distance <= middle), outside & (distance > middle)
    a, b = float(points[inner].sum()), float(points[outer].sum())
    if b == 0:
        return a > 0
    ratio = (a / float(inner.sum())) / (b / float(outer.sum()))
    return ratio > 1.6 and math.log(ratio) > 3.5 * math.sqrt(1 / max(a, 1) + 1 / b)
