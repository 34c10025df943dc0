"""How a scan was sampled, told from its mask: pattern, acceleration on the encoded support, partial Fourier, shutter, padding."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.archive.cartesian.geometry import is_partial_fourier
from ssrecon.calibrate.verdict import calibration_extent, encoded_support
from ssrecon.core.scan import Scan
from ssrecon.inspect.points import classify_points

SPREAD = 1.6
"""Lines are of variable density where the inner half of those outside the calibration block is so many times denser than the outer half."""
CORNERS = 0.1
"""An elliptical shutter leaves the corners of its box less than this part as dense as the rim just inside the ellipse."""

BY_CHANCE = 1e-4
"""Random lines leave a run out at one end by chance; one that is less likely than this was left out on purpose."""


@dataclass(frozen=True)
class Sampling:
    """What a mask tells. Sizes are in the order of ``*k``; an axis is named by its place there."""

    pattern: str
    """``full``, ``one block``, ``lattice``, ``random columns``, ``variable-density columns``, ``2-D lattice``, ``CAIPI``, ``Poisson disc``,
    ``variable density``, ``random points``, ``radial`` or ``irregular``."""
    step: tuple[float, ...]
    """Of a lattice: the distance between lines, or along each phase-encoded axis; for CAIPI the shift of a row against the last one too."""
    acceleration: float
    """Locations of the encoded support over locations acquired."""
    calibration: tuple[int, ...]
    """The fully sampled box about DC, or of the separate measurement."""
    calibration_source: str
    partial_fourier: tuple[float, ...]
    """Per axis, the part of the symmetric extent that was acquired; 1 where both sides reach equally far."""
    missing_side: tuple[str, ...]
    """Per axis ``low``, ``high`` or empty: which side partial Fourier or an asymmetric echo left out."""
    elliptical: bool
    padding: tuple[float, ...]
    """Per axis, the part of the matrix that lies outside everything acquired on both sides, declared as padding or not."""
    frames_differ: bool


def sampling(scan: Scan) -> Sampling:
    """The geometry of one scan's mask. Looks at no sample."""
    frames = scan.mask[0, :, 0] & ~scan.padding[0, :, 0]
    union = frames.any(dim=0)
    apart = scan.calibration
    encoded = _encoded(union, scan.header.encoding.has_readout)
    box = _bounds(union)
    fractions, sides = zip(*(_side(a, b, union, axis) for axis, (a, b) in enumerate(box)), strict=True)
    lines = phase_encoded(frames[0] if bool(frames[0].any()) else union, scan.header.encoding.has_readout)
    elliptical = lines.ndim == 2 and is_elliptical(lines)
    support = encoded_support(union)
    if elliptical:
        inside = ellipse(lines)
        support &= inside if inside.ndim == union.ndim else inside[..., None]
    pattern, step = _pattern(lines, elliptical)
    return Sampling(
        pattern=pattern,
        step=step,
        acceleration=float(support.sum()) * len(frames) / max(1.0, float(frames.sum())),
        calibration=calibration_extent(frames.all(dim=0) if apart is None else apart.mask[0, 0, 0]),
        calibration_source="in the scan" if apart is None else "measured apart",
        partial_fourier=fractions,
        missing_side=sides,
        elliptical=elliptical,
        padding=tuple(encoded),
        frames_differ=bool((frames != frames[:1]).any()),
    )


def phase_encoded(mask: Bool[Tensor, "*k"], readout: bool) -> Bool[Tensor, "*phase"]:
    """The mask over the phase-encoded axes alone, those along which nothing changes left out: lines (1-D) or points (2-D)."""
    lines = mask.any(dim=-1) if readout else mask
    if lines.ndim == 2:
        box = lines[lines.any(dim=1)][:, lines.any(dim=0)]
        if box.numel() and bool((box == box[:1]).all()):
            return lines.any(dim=0)
        if box.numel() and bool((box == box[:, :1]).all()):
            return lines.any(dim=1)
    return lines


def is_elliptical(points: Bool[Tensor, "z y"]) -> bool:
    """Whether the corners of the box that was sampled were left out, as an elliptical shutter does.

    Compares the density outside the inscribed ellipse with that of its outer rim (normalised radius .8 to 1), which has about as many
    locations; both have to be expected to hold 20 points. A pattern whose density falls continuously to nothing towards its rim is none.
    """
    support = encoded_support(points)
    radius = _radius(points)
    corner, rim = support & (radius > 1.05), support & (radius > 0.8) & (radius <= 0.98)
    if not corner.any() or not rim.any():
        return False
    dense = float(points[rim].float().mean())
    return dense * float(corner.sum()) >= 20 and float(points[corner].float().mean()) < CORNERS * dense


def ellipse(points: Bool[Tensor, "z y"]) -> Bool[Tensor, "z y"]:
    """What lies inside the ellipse of the box that was sampled, and whatever was acquired outside."""
    return (encoded_support(points) & (_radius(points) <= 1.0)) | points


def _radius(points: Tensor) -> Tensor:
    """Distance from the middle of the sampled box, 1 at the end of each of its axes."""
    total = torch.zeros(points.shape)
    for axis, (low, high) in enumerate(_bounds(points)):
        place = torch.arange(points.shape[axis], dtype=torch.float32)
        shape = [1] * points.ndim
        shape[axis] = -1
        total = total + (((place - (low + high) / 2) / max(1.0, (high - low + 1) / 2)) ** 2).reshape(shape)
    return total.sqrt()


def _bounds(mask: Tensor) -> list[tuple[int, int]]:
    """First and last acquired place along each axis; (0, -1) where nothing was."""
    places = mask.nonzero()
    if not len(places):
        return [(0, -1)] * mask.ndim
    return list(zip(places.amin(0).tolist(), places.amax(0).tolist(), strict=True))


def _side(first: int, last: int, union: Tensor, axis: int) -> tuple[float, str]:
    """The part of the symmetric extent that was acquired and the side that is missing, where chance alone would not leave so much out."""
    matrix, centre = union.shape[axis], union.shape[axis] // 2
    below, above = centre - first, last + 1 - centre
    if last < first or not is_partial_fourier(first, last, centre, matrix):
        return 1.0, ""
    lines = union.movedim(axis, 0).flatten(1).any(dim=1)
    low = high = centre
    while low > first and lines[low - 1]:
        low -= 1
    while high < last and lines[high + 1]:
        high += 1
    outside = torch.cat([lines[first:low], lines[high + 1 : last + 1]]).float()
    apart = lines[first : last + 1].nonzero().flatten().diff()
    left_out, longest = abs(above - below), int(apart.max()) if len(apart) else 1
    # Fully sampled from its middle to its ends, nothing was left to chance.
    by_chance = (1 - float(outside.mean())) ** left_out if len(outside) else 0.0
    if by_chance > BY_CHANCE and left_out <= 3 * longest:
        return 1.0, ""
    return (last + 1 - first) / (2 * max(below, above)), "low" if below < above else "high"


def _encoded(union: Tensor, readout: bool) -> list[float]:
    """Per axis the part of the matrix beyond what was acquired on both sides; a lattice's last step is no padding."""
    parts = []
    for axis, (first, last) in enumerate(_bounds(union)):
        n = union.shape[axis]
        others = tuple(i for i in range(union.ndim) if i != axis)
        steps = union.any(dim=others).nonzero().flatten().diff() if others else union.nonzero().flatten().diff()
        beyond = min(first, n - 1 - last) if last >= first else 0
        parts.append(2 * beyond / n if beyond >= max(2, int(steps.max()) if len(steps) else 2) else 0.0)
    return parts


def _pattern(lines: Tensor, elliptical: bool) -> tuple[str, tuple[float, ...]]:
    if not lines.any():
        return "empty", ()
    inside = encoded_support(lines) if not elliptical else ellipse(lines)
    if bool((lines | ~inside).all()):
        return "full", ()
    if lines.ndim == 1:
        return _columns(lines)
    return classify_points(lines, inside)


def _columns(lines: Bool[Tensor, " n"]) -> tuple[str, tuple[float, ...]]:
    places = lines.nonzero().flatten()
    width = calibration_extent(lines)[0]
    first = len(lines) // 2
    while width and first > 0 and lines[first - 1]:
        first -= 1
    # A lattice may touch the calibration block, whose own edge then looks a line farther out; two lines to either side are left aside.
    outside = places[(places < first - 1) | (places > first + width)] if width > 2 else places
    if len(outside) < 3:
        return ("one block" if width >= 0.8 * len(places) else "irregular"), ()
    span = torch.cat([outside[outside < first].diff(), outside[outside >= first + width].diff()])
    step = int(span.min()) if len(span) else 0
    if step > 1 and bool((span % step == 0).all()) and float((span == step).float().mean()) > 0.9:
        return "lattice", (float(step),)
    if len(span) > 2 and step > 1 and int(span.max()) - step <= 1:
        return "lattice", (float(span.float().mean()),)  # a distance that is no whole number, rounded to the grid
    return _density(outside, first, width, len(lines)), ()


def _density(outside: Tensor, first: int, width: int, n: int) -> str:
    """Random columns of constant or variable density: Poisson counts of the inner and the outer half are compared, at 3.5 sigma."""
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
