"""A scan's mask described: which pattern it is, what it acquired of what, what it calibrates on."""

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.scan import CalibratedScan, Scan
from ssrecon.core.shapes import checked
from ssrecon.sampling.centre import centred_region
from ssrecon.sampling.describe.columns import classify_columns
from ssrecon.sampling.describe.description import SamplingDescription
from ssrecon.sampling.describe.ellipse import ellipse, fills_ellipse, is_elliptical
from ssrecon.sampling.describe.pattern import Pattern
from ssrecon.sampling.describe.points import classify_points
from ssrecon.sampling.describe.support import encoded_box, encoded_support, ends_along, padding_fractions

Packed = tuple[tuple[int, ...], bytes]
"""A mask as a key of a cache: its shape, and its values in bits."""


def describe_sampling(scan: Scan | CalibratedScan) -> SamplingDescription:
    """Describe how a scan was sampled; of a batch, the first scan. No sample is looked at.

    A prepared scan keeps nothing of a calibration that was measured apart but that it was: `calibration` is 0 then.
    """
    if isinstance(scan, Scan):
        header, apart = scan.header, None if scan.calibration is None else scan.calibration.mask[0, 0, 0]
    else:
        header, apart = scan.headers[0], None if bool(scan.calibration[0].any()) else scan.calibration[0, 0, 0]
    return describe_mask(scan.mask[0, :, 0], scan.padding[0, :, 0], header.encoding.has_readout, apart)


@checked
def describe_mask(
    mask: Bool[Tensor, "frames *k"], padding: Bool[Tensor, "frames *k"], readout: bool, apart: Bool[Tensor, "*own"] | None = None
) -> SamplingDescription:
    """Describe a mask, whose last axis is a readout where `readout` says so.

    `apart` is the mask of a calibration that was measured apart, on a matrix of its own.
    """
    return _describe_packed(_packed(mask), _packed(padding), readout, None if apart is None else _packed(apart))


@lru_cache(maxsize=32)
def _describe_packed(packed: Packed, packed_padding: Packed, readout: bool, packed_apart: Packed | None) -> SamplingDescription:
    # The slices of a volume mostly share a mask, which is described once.
    mask, padding = _unpacked(packed), _unpacked(packed_padding)
    apart = None if packed_apart is None else _unpacked(packed_apart)
    frames, filled = mask & ~padding, padding.all(dim=0)
    union = frames.any(dim=0)
    ends = [ends_along(union, axis) for axis in range(union.ndim)]
    lines = phase_encoded(frames[0] if bool(frames[0].any()) else union, readout)
    whole = fills_ellipse(lines)
    corners_left_out = whole and not bool(lines[encoded_support(lines)].all())
    elliptical = corners_left_out or (lines.ndim == 2 and is_elliptical(lines))
    inside = lines if whole else ellipse(lines) if elliptical else encoded_support(lines)
    pattern = _pattern_of(lines, inside)
    support = encoded_box(filled, ends)
    box = torch.zeros_like(union)
    box[tuple(slice(low, high) for low, high in support)] = True
    outside = int((box & ~(inside if lines.ndim == union.ndim else inside[..., None])).sum()) if elliptical else 0
    acquired = float(frames.sum()) / len(frames)
    return SamplingDescription(
        pattern=pattern.name,
        step=pattern.step,
        offset=pattern.offset,
        acceleration=(float(box.sum()) - outside) / max(1.0, acquired),
        calibration=centred_region(frames.all(dim=0) if apart is None else apart),
        calibration_source="in the scan" if apart is None else "measured apart",
        partial_fourier=tuple(end.part for end in ends),
        missing_side=tuple(end.side for end in ends),
        elliptical=elliptical,
        padding=padding_fractions(union),
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


def _pattern_of(lines: Tensor, inside: Tensor) -> Pattern:
    """Return the pattern of a mask, of which `inside` is what was encoded."""
    if not lines.any():
        return Pattern("empty")
    if bool((lines | ~inside).all()):
        return Pattern("full")
    return classify_columns(lines) if lines.ndim == 1 else classify_points(lines, inside)


@checked
def phase_encoded(mask: Bool[Tensor, "*k"], readout: bool) -> Bool[Tensor, "*phase"]:
    """Return the mask over the phase-encoded axes alone, without those along which nothing changes: lines (1-D) or points (2-D)."""
    lines = mask.any(dim=-1) if readout else mask
    if lines.ndim == 2:
        rows, along = lines.any(dim=1), lines.any(dim=0)
        # Lines in either direction; where both have gaps it is a lattice of points.
        if bool((lines == (rows[:, None] & along)).all()) and not (_has_gaps(rows) and _has_gaps(along)):
            return rows if _has_gaps(rows) else along
    return lines


def _has_gaps(line: Bool[Tensor, " n"]) -> bool:
    return bool((line.nonzero().flatten().diff() > 1).any())
