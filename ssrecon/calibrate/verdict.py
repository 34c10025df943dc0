"""A first look at a scan: how it was sampled, what its noise level could come from, and whether it may train."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.scan import Scan
from ssrecon.core.shapes import checked

SMALLEST_CALIBRATION = 8
"""Phase-encoded width of the smallest calibration region from which sensitivities can be estimated: a kernel of 6 and a little more."""

NOISE_REGION = 18
"""Shortest side of the smallest calibration region of a scan from which its noise level can be told (`ssrecon.calibrate.noise_level`)."""


@dataclass(frozen=True)
class Verdict:
    """What `verdict` found."""

    may_train: bool
    reasons: tuple[str, ...]
    """Why not; empty where it may."""
    matrix: tuple[int, ...]
    coils: int
    frames: int
    pattern: str
    """``full``, ``equispaced, every N``, ``random columns`` or ``2-D``, of lines or of points."""
    acceleration: float
    """Locations of the encoded support over locations acquired."""
    calibration: tuple[int, ...]
    """The size of the fully sampled region around the centre of k-space, or of the separate measurement."""
    calibration_source: str
    noise: str
    """``noise scan``, ``can be estimated`` or ``unknown``."""

    def __str__(self) -> str:
        def size(numbers: tuple[int, ...]) -> str:
            return "x".join(map(str, numbers))

        frames = f"{self.frames} frames, " if self.frames > 1 else ""
        trains = "may train" if self.may_train else "may not train: " + "; ".join(self.reasons)
        return (
            f"{size(self.matrix)}, {frames}{self.coils} coils, {self.pattern}, R={self.acceleration:.2f}, "
            f"calibration {size(self.calibration)} {self.calibration_source}, noise level: {self.noise}: {trains}"
        )


def verdict(scan: Scan) -> Verdict:
    """How a scan was sampled, and whether it may train. Pure: it looks at nothing but the scan."""
    mask = scan.mask[0, :, 0]
    source = "in the scan" if scan.calibration is None else "measured apart"
    region = calibration_extent(mask.all(dim=0) if scan.calibration is None else scan.calibration.mask[0, 0, 0])
    support = encoded_support(mask.any(dim=0))
    narrowest = min(region[:-1] if scan.header.encoding.has_readout else region)
    usable = narrowest >= SMALLEST_CALIBRATION
    reasons = []
    if not usable and scan.csm is None:
        reasons.append(f"no calibration region or separate calibration {SMALLEST_CALIBRATION} lines wide, and no sensitivities given")
    if empty := empty_locations(scan):
        reasons.append(f"{empty:.0%} of what is said to be acquired is exactly zero in every coil: the file does not say its sampling")
    estimable = scan.calibration is None and min(region) >= NOISE_REGION
    noise = "noise scan" if scan.noise is not None else "can be estimated" if estimable else "unknown"
    return Verdict(
        may_train=not reasons,
        reasons=tuple(reasons),
        matrix=tuple(scan.kspace.shape[3:]),
        coils=scan.kspace.shape[2],
        frames=scan.kspace.shape[1],
        pattern=_pattern(mask.any(dim=0), support, scan.header.encoding.has_readout),
        acceleration=acceleration(scan.mask),
        calibration=region,
        calibration_source=source,
        noise=noise,
    )


@checked
def acceleration(mask: Bool[Tensor, "1 frames 1 *k"]) -> float:
    """Locations of the encoded support over locations acquired, over all frames."""
    frames = mask[0, :, 0]
    return float(encoded_support(frames.any(dim=0)).sum()) * len(frames) / max(1.0, float(frames.sum()))


@checked
def calibration_extent(mask: Bool[Tensor, "*k"]) -> tuple[int, ...]:
    """The size of the box around DC, grown side by side in turn, of which every location was acquired; zeros where DC was not."""
    centre = [n // 2 for n in mask.shape]
    if not mask[tuple(centre)]:
        return (0,) * mask.ndim
    low, high = list(centre), [c + 1 for c in centre]
    growing = True
    while growing:
        growing = False
        for axis in range(mask.ndim):
            for bounds, step, edge in ((low, -1, 0), (high, 1, mask.shape[axis])):
                if bounds[axis] == edge:
                    continue
                face = [slice(a, b) for a, b in zip(low, high, strict=True)]
                at = bounds[axis] - 1 if step < 0 else bounds[axis]
                face[axis] = slice(at, at + 1)
                if mask[tuple(face)].all():
                    bounds[axis] += step
                    growing = True
    return tuple(b - a for a, b in zip(low, high, strict=True))


@checked
def encoded_support(mask: Bool[Tensor, "*k"]) -> Bool[Tensor, "*k"]:
    """The smallest box that holds every acquired location: what the scan encoded, be it less than the matrix."""
    support = torch.zeros_like(mask)
    places = mask.nonzero()
    if len(places):
        support[tuple(slice(int(a), int(b) + 1) for a, b in zip(places.amin(0), places.amax(0), strict=True))] = True
    return support


def empty_locations(scan: Scan) -> float:
    """The fraction of lines said to be acquired that are exactly zero in every coil: no receiver is that quiet."""
    acquired = scan.mask[:, :, 0]
    if not acquired.any():
        return 1.0
    empty = (scan.kspace == 0).all(dim=2) & acquired
    if scan.header.encoding.has_readout:
        acquired, empty = acquired.any(dim=-1), (empty | ~acquired).all(dim=-1) & acquired.any(dim=-1)
    return float(empty.sum()) / float(acquired.sum())


def _pattern(mask: Tensor, support: Tensor, readout: bool) -> str:
    if not mask.any():
        return "empty"
    if bool((mask | ~support).all()):
        return "full"
    box = support.nonzero()
    lines = mask[tuple(slice(int(a), int(b) + 1) for a, b in zip(box.amin(0), box.amax(0), strict=True))]
    if readout:
        lines = lines.any(dim=-1)
    for axis in reversed(range(lines.ndim)):
        # An axis along which nothing changes was not skipped along.
        if lines.ndim > 1 and bool((lines == lines.any(dim=axis, keepdim=True)).all()):
            lines = lines.any(dim=axis)
    if bool(lines.all()):
        return "full"  # but for the readout, of which an asymmetric echo lacks a part
    return "2-D" if lines.ndim > 1 else _columns(lines)


def _columns(lines: Tensor) -> str:
    places = lines.nonzero().flatten()
    steps = places.diff()
    # Steps that touch a run of neighbours (the calibration lines) say nothing of the lattice outside it.
    beside = steps == 1
    in_run = torch.cat([beside, beside[:0].new_zeros(1)]) | torch.cat([beside[:0].new_zeros(1), beside])
    apart = steps[~in_run[:-1] & ~in_run[1:]]
    if len(apart) > 2 and int(apart.max() - apart.min()) <= 1:
        return f"equispaced, every {float(apart.float().mean()):.3g}"
    return "random columns"
