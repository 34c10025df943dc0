"""Sampling described once, from masks alone: pattern, acceleration on the encoded support, calibration, partial Fourier, shutter, padding.

The verdict, the audit, the strata of splits, a network's training domain and the report all ask here.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.scan import Scan
from ssrecon.core.shapes import checked
from ssrecon.sampling.centre import centred_region, run_about_centre
from ssrecon.sampling.points import classify_points

SPREAD = 1.6
"""Lines are of variable density where the inner half of those outside the calibration block is so many times denser than the outer half."""
CORNERS = 0.1
"""An elliptical shutter leaves the corners of its box less than this part as dense as the rim just inside the ellipse."""

FEWEST_STEPS = 3
"""Between lines outside the calibration block, for them to be a lattice."""
BY_CHANCE = 1e-4
"""Random lines leave a run out at one end by chance; one that is less likely than this was left out on purpose."""

SAME_CLASS = 1.15
"""Accelerations of a protocol differ by less than this factor from one to the next; a step that is larger parts two classes."""

FAMILIES = {
    "full": "full",
    "one block": "one block of lines",
    "lattice": "equispaced lines",
    "random columns": "irregular lines",
    "variable-density columns": "irregular lines",
    "irregular": "irregular lines",
    "2-D lattice": "lattice of points",
    "CAIPI": "lattice of points",
    "Poisson disc": "random points",
    "variable density": "random points",
    "random points": "random points",
    "radial": "radial",
    "empty": "empty",
}
"""Patterns that networks may be exchanged between: one mask does not always tell a constant density from a variable one."""

Key = TypeVar("Key", bound=Hashable)
Packed = tuple[tuple[int, ...], bytes]
Support = tuple[tuple[int, int], ...]
"""First place and the one behind the last along each axis."""


@dataclass(frozen=True)
class SamplingDescription:
    """What a mask tells. Sizes are in the order of ``*k``; an axis is named by its place there."""

    pattern: str
    """One of `FAMILIES`."""
    step: tuple[float, ...]
    """Of a lattice: the distance between lines, or along each phase-encoded axis; for CAIPI the shift of a row against the last one too."""
    acceleration: float
    r"""The effective acceleration :math:`|S| / |\Omega|`, S the encoded `support`, :math:`\Omega` what was acquired, mean over frames."""
    calibration: tuple[int, ...]
    """The largest fully sampled box about DC, of all frames, or that of the separate measurement."""
    calibration_source: str
    partial_fourier: tuple[float, ...]
    """Per axis, the part of the symmetric extent that was acquired; 1 where both sides reach equally far."""
    missing_side: tuple[str, ...]
    """Per axis ``low``, ``high`` or empty: which side partial Fourier or an asymmetric echo left out."""
    elliptical: bool
    padding: tuple[float, ...]
    """Per axis, the part of the matrix that lies outside everything acquired on both sides, declared as padding or not."""
    frames_differ: bool
    support: Support = ()
    """The box that was encoded: of this scan, or of all the scans of its protocol (`on_protocol`). A shutter cuts its corners."""
    extent: Support = ()
    """The smallest box around what this scan acquired. The support is larger by what its pattern may have left out by chance."""
    acquired: float = 0.0
    """Locations that were acquired, mean over the frames."""
    outside: int = 0
    """Locations of the `support` of this one scan that its shutter left out."""
    scans: int = 1
    """How many scans the support was told from. The union of a single scan is all that it knows of its protocol."""

    @property
    def words(self) -> str:
        """The pattern with its steps, for a person."""
        steps = " every " + " x ".join(f"{n:.3g}" for n in self.step[:2]) if self.step else ""
        return f"{self.pattern}{steps}" + (f", shift {self.step[2]:g}" if len(self.step) > 2 else "")

    @property
    def family(self) -> str:
        return FAMILIES[self.pattern]

    def on(self, support: Support, scans: int = 1) -> "SamplingDescription":
        """The same mask, its acceleration counted on the support that `scans` scans of its protocol acquired between them."""
        if not support or not self.acquired:
            return replace(self, scans=scans)
        locations = math.prod(high - low for low, high in support)
        own = max(1, math.prod(high - low for low, high in self.support))
        # What the shutter leaves out of a box grows with the box.
        encoded = locations - self.outside * locations / own
        outside = round(locations - encoded)
        return replace(self, support=support, acceleration=encoded / max(1.0, self.acquired), scans=scans, outside=outside)


def read_description(written: Mapping[str, Any]) -> SamplingDescription:
    """A description from the JSON of its fields; fields that another version wrote are passed over."""
    known = {f.name for f in fields(SamplingDescription)}
    return SamplingDescription(**{name: _tuples(value) for name, value in written.items() if name in known})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


def describe_sampling(scan: Scan) -> SamplingDescription:
    """The geometry of one scan's mask. Looks at no sample."""
    apart = None if scan.calibration is None else scan.calibration.mask[0, 0, 0]
    return describe_mask(scan.mask[0, :, 0], scan.padding[0, :, 0], scan.header.encoding.has_readout, apart)


@checked
def describe_mask(
    mask: Bool[Tensor, "frames *k"], padding: Bool[Tensor, "frames *k"], readout: bool, apart: Bool[Tensor, "*k"] | None = None
) -> SamplingDescription:
    """The geometry of a mask; `apart` is that of a calibration measured apart, `readout` whether the last axis is one."""
    return _described(_packed(mask), _packed(padding), readout, None if apart is None else _packed(apart))


@lru_cache(maxsize=32)
def _described(packed: Packed, packed_padding: Packed, readout: bool, packed_apart: Packed | None) -> SamplingDescription:
    """The slices of a volume mostly share a mask, which is described once."""
    mask, padding = _unpacked(packed), _unpacked(packed_padding)
    apart = None if packed_apart is None else _unpacked(packed_apart)
    frames, filled = mask & ~padding, padding.all(dim=0)
    union = frames.any(dim=0)
    ends = [_side(union, axis) for axis in range(union.ndim)]
    lines = phase_encoded(frames[0] if bool(frames[0].any()) else union, readout)
    elliptical = lines.ndim == 2 and is_elliptical(lines)
    pattern, step = _pattern(lines, elliptical)
    support = _support(union, filled, ends)
    box = torch.zeros_like(union)
    box[tuple(slice(low, high) for low, high in support)] = True
    outside = 0
    if elliptical:
        inside = ellipse(lines) if lines.ndim == union.ndim else ellipse(lines)[..., None]
        outside = int((box & ~inside).sum())
    acquired = float(frames.sum()) / len(frames)
    return SamplingDescription(
        pattern=pattern,
        step=step,
        acceleration=(float(box.sum()) - outside) / max(1.0, acquired),
        calibration=centred_region(frames.all(dim=0) if apart is None else apart),
        calibration_source="in the scan" if apart is None else "measured apart",
        partial_fourier=tuple(end.part for end in ends),
        missing_side=tuple(end.side for end in ends),
        elliptical=elliptical,
        padding=tuple(_beyond(union)),
        frames_differ=bool((frames != frames[:1]).any()),
        support=support,
        extent=tuple((end.first, end.last + 1) for end in ends),
        acquired=acquired,
        outside=outside,
    )


def _packed(mask: Tensor) -> Packed:
    return tuple(mask.shape), np.packbits(mask.cpu().numpy()).tobytes()


def _unpacked(packed: Packed) -> Tensor:
    shape, content = packed
    bits = np.unpackbits(np.frombuffer(content, np.uint8), count=math.prod(shape))
    return torch.from_numpy(bits.reshape(shape).astype(bool))


def on_protocol(found: Mapping[Key, SamplingDescription], protocol: Mapping[Key, Hashable]) -> dict[Key, SamplingDescription]:
    """Descriptions of scans on the union of the locations that their protocols ever acquire.

    `found` and `protocol` have the same keys, one a scan; scans of equal `protocol`, which includes the matrix, share their support. A
    location that one random draw left out at the end of an axis another has acquired.
    """
    members: dict[Hashable, list[SamplingDescription]] = {}
    for key, one in found.items():
        members.setdefault(protocol[key], []).append(one)
    supports = {name: common_support(scans) for name, scans in members.items()}
    return {key: one.on(supports[protocol[key]], len(members[protocol[key]])) for key, one in found.items()}


def common_support(scans: Iterable[SamplingDescription]) -> Support:
    """The smallest box around all that scans of one protocol acquired, and beyond it only what none of them gives reason to exclude: where
    one scan was too dense to have left an end out by chance (partial Fourier), no scan's support reaches beyond what was acquired there."""
    kept = [one for one in scans if one.acquired]
    if not kept:
        return ()
    box = []
    for axis in range(len(kept[0].support)):
        low = min(min(one.extent[axis][0] for one in kept), max(one.support[axis][0] for one in kept))
        high = max(max(one.extent[axis][1] for one in kept), min(one.support[axis][1] for one in kept))
        box.append((low, high))
    return tuple(box)


def union_of(supports: Iterable[Support]) -> Support:
    """The smallest box around several."""
    return tuple((min(low for low, _ in axis), max(high for _, high in axis)) for axis in zip(*supports, strict=True))


def acceleration_classes(values: Sequence[float | None]) -> dict[float | None, str]:
    """The class of each acceleration: values are of one where no step between neighbours exceeds `SAME_CLASS`; named by its median.

    So that scans of one protocol, whose draws differ by a line or two, are of one class wherever its values lie.
    """
    known = sorted({value for value in values if value is not None and value > 0})
    groups: list[list[float]] = []
    for value in known:
        if groups and value <= SAME_CLASS * groups[-1][-1]:
            groups[-1].append(value)
        else:
            groups.append([value])
    classes: dict[float | None, str] = {value: f"{group[len(group) // 2]:.2f}" for group in groups for value in group}
    return {value: classes.get(value, str(value)) for value in values}


def acceleration_range(values: Iterable[float]) -> str:
    """The least and the greatest of several, for a person."""
    known = sorted(values)
    low, high = f"{known[0]:.2f}", f"{known[-1]:.2f}"
    return low if low == high else f"{low} to {high}"


def is_partial_fourier(first: int, last: int, centre: int, matrix: int) -> bool:
    """Whether the lines `first` to `last` reach much farther on one side of `centre` than on the other.

    An undersampled lattice ends a few lines early on one side, so that a difference of up to 8 % of the matrix (and of 4 lines) is none;
    the mildest partial Fourier in use, 7/8, makes 12 %.
    """
    return abs((centre - first) - (last + 1 - centre)) > max(4.0, 0.08 * matrix)


@checked
def phase_encoded(mask: Bool[Tensor, "*k"], readout: bool) -> Bool[Tensor, "*phase"]:
    """The mask over the phase-encoded axes alone, those along which nothing changes left out: lines (1-D) or points (2-D)."""
    lines = mask.any(dim=-1) if readout else mask
    if lines.ndim == 2:
        rows, along = lines.any(dim=1), lines.any(dim=0)
        # Lines in either direction; where both have gaps it is a lattice of points.
        if bool((lines == (rows[:, None] & along)).all()) and not (_has_gaps(rows) and _has_gaps(along)):
            return rows if _has_gaps(rows) else along
    return lines


def _has_gaps(line: Bool[Tensor, " n"]) -> bool:
    return bool((line.nonzero().flatten().diff() > 1).any())


@checked
def encoded_support(mask: Bool[Tensor, "*k"]) -> Bool[Tensor, "*k"]:
    """The smallest box that holds every acquired location."""
    support = torch.zeros_like(mask)
    support[tuple(slice(low, high + 1) for low, high in _bounds(mask))] = True
    return support & bool(mask.any())


@checked
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


@checked
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


@dataclass(frozen=True)
class _Ends:
    """How far an axis was acquired, and what its ends tell."""

    first: int
    last: int
    part: float
    """The acquired part of the symmetric extent, where a side was left out on purpose."""
    side: str
    low_by_chance: bool
    """Whether the pattern alone may have left out all that lies below `first`."""
    high_by_chance: bool


def _side(union: Tensor, axis: int) -> _Ends:
    """The ends of what was acquired along an axis: which side was left out, where chance alone would not leave so much out."""
    matrix, centre = union.shape[axis], union.shape[axis] // 2
    lines = union.movedim(axis, 0).flatten(1).any(dim=1)
    places = lines.nonzero().flatten()
    if not len(places):
        return _Ends(0, -1, 1.0, "", False, False)
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
        return _Ends(first, last, 1.0, "", *ends)
    part = (last + 1 - first) / (2 * max(below, above))
    return _Ends(first, last, part, "low", False, ends[1]) if below < above else _Ends(first, last, part, "high", ends[0], False)


def _support(union: Tensor, filled: Tensor, ends: Sequence[_Ends]) -> Support:
    """The box that was encoded: what was acquired, and beyond it what the pattern left out by chance or as its last step; no padding."""
    box = []
    for axis, end in enumerate(ends):
        known = (~filled).movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten()
        low, high = end.first, end.last + 1
        if len(known) and high > low:
            low = min(low, int(known[0])) if end.low_by_chance else low
            high = max(high, int(known[-1]) + 1) if end.high_by_chance else high
        box.append((low, high))
    return tuple(box)


def _beyond(union: Tensor) -> list[float]:
    """Per axis the part of the matrix beyond what was acquired on both sides; a lattice's last step is no padding."""
    parts = []
    for axis, (first, last) in enumerate(_bounds(union)):
        n = union.shape[axis]
        steps = union.movedim(axis, 0).flatten(1).any(dim=1).nonzero().flatten().diff()
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
    ((first, behind),) = run_about_centre(lines)
    width = behind - first
    # A lattice may touch the calibration block, whose own edge then looks a line farther out; two lines to either side are left aside.
    outside = places[(places < first - 1) | (places > first + width)] if width > 2 else places
    if len(outside) < 3:
        return ("one block" if width >= 0.8 * len(places) else "irregular"), ()
    span = torch.cat([outside[outside < first].diff(), outside[outside >= first + width].diff()])
    step = int(span.min()) if len(span) else 0
    # Two or three random lines keep equal distances by chance.
    if len(span) >= FEWEST_STEPS and step > 1 and bool((span % step == 0).all()) and float((span == step).float().mean()) > 0.9:
        return "lattice", (float(step),)
    if len(span) > FEWEST_STEPS and step > 1 and int(span.max()) - step <= 1:
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
