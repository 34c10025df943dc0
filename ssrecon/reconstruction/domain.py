"""What a network was trained on, and how a scan differs from it."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan

SCALE_MARGIN = 30.0
"""Scales differ between protocols and receivers; only one beyond this factor of all training scans is worth a warning."""
MATRIX_MARGIN = 1.5
ACCELERATION_MARGIN = 1.15
NOISE_MARGIN = 2.0


class DomainWarning(UserWarning):
    """A scan is unlike the archive its network was trained on: the image may be wrong in ways that do not show."""


@dataclass(frozen=True)
class TrainingDomain:
    """The range of the training scans; kept with a checkpoint as JSON."""

    coils: tuple[int, ...]
    maps: tuple[int, ...]
    matrices: tuple[tuple[int, ...], ...]
    patterns: tuple[str, ...]
    """Names given by `pattern_name`."""
    acceleration: tuple[float, float]
    """Least and greatest, over what was not filled in by the scanner."""
    scale: tuple[float, float]
    noise_std: tuple[float, float] | None = None
    """Least and greatest in scaled units; None where no scan's noise was known."""

    @staticmethod
    def of(scans: Iterable[CalibratedScan]) -> "TrainingDomain":
        """The domain of some scans, read once. Raises BadInput where there are none."""
        singles = [_Facts(scan[i]) for scan in scans for i in range(len(scan.headers))]
        if not singles:
            raise BadInput("training domain", found="no scans", expected="at least one")
        noise = [f.noise_std for f in singles if f.noise_std is not None]
        return TrainingDomain(
            coils=tuple(sorted({f.coils for f in singles})),
            maps=tuple(sorted({f.maps for f in singles})),
            matrices=tuple(sorted({f.matrix for f in singles})),
            patterns=tuple(sorted({f.pattern for f in singles})),
            acceleration=(min(f.acceleration for f in singles), max(f.acceleration for f in singles)),
            scale=(min(f.scale for f in singles), max(f.scale for f in singles)),
            noise_std=(min(noise), max(noise)) if noise else None,
        )

    def unlike(self, scan: CalibratedScan) -> list[str]:
        """How a scan (a batch of one) differs, one sentence each; empty where it does not."""
        facts, found = _Facts(scan), []
        if facts.coils not in range(self.coils[0], self.coils[-1] + 1):
            found.append(f"{facts.coils} coils; trained on {_span(self.coils[0], self.coils[-1])}")
        if facts.maps not in self.maps:
            found.append(f"{facts.maps} sets of sensitivity maps; trained on {_listed(self.maps)}")
        if not any(_alike(matrix, facts.matrix) for matrix in self.matrices):
            found.append(f"matrix {_size(facts.matrix)}; trained on {_listed(map(_size, self.matrices))}")
        if facts.pattern not in self.patterns:
            found.append(f"sampling pattern '{facts.pattern}'; trained on {_listed(self.patterns)}")
        if not _within(facts.acceleration, self.acceleration, ACCELERATION_MARGIN):
            found.append(f"acceleration {facts.acceleration:.2f}; trained on {_span(*self.acceleration)}")
        if not _within(facts.scale, self.scale, SCALE_MARGIN):
            found.append(f"scale {facts.scale:.3g}; trained on {_span(*self.scale)}")
        if facts.noise_std is not None and self.noise_std is not None and not _within(facts.noise_std, self.noise_std, NOISE_MARGIN):
            found.append(f"noise {facts.noise_std:.3g} of the bright tissue; trained on {_span(*self.noise_std)}")
        return found


class _Facts:
    """What is compared, of one scan."""

    def __init__(self, scan: CalibratedScan):
        self.coils, self.maps, self.matrix = scan.kspace.shape[2], scan.csm.shape[1], tuple(scan.kspace.shape[3:])
        self.pattern = pattern_name(scan.mask | scan.padding, scan.headers[0].encoding.has_readout)
        self.acceleration = acceleration(scan)
        self.scale = float(scan.scale[0])
        self.noise_std = None if scan.noise_std is None else float(scan.noise_std[0])


def acceleration(scan: CalibratedScan) -> float:
    """Encoded locations over acquired ones; what the scanner filled in counts as neither. Infinite where nothing was acquired."""
    encoded, acquired = float((~scan.padding).sum()), float((scan.mask & ~scan.padding).sum())
    return encoded / acquired if acquired else float("inf")


def pattern_name(mask: Bool[Tensor, "1 frames 1 *k"], readout: bool = True) -> str:
    """A name for what a mask looks like, seen in its first frame: ``full``, ``equispaced lines``, ``irregular lines``, or ``points``.

    Lines are equispaced when outside their longest run (the calibration lines) most gaps are the same.
    """
    first = mask[0, 0, 0]
    lines = first.any(dim=-1)
    if bool(first.all()):
        return "full"
    whole = bool((first == lines.unsqueeze(-1)).all()) if readout else False
    if not whole or lines.ndim > 1:
        return "points"
    places = torch.nonzero(lines).flatten()
    gaps = places.diff()
    outside = gaps[gaps > 1]
    if len(outside) == 0:
        return "full" if len(places) == len(lines) else "one block of lines"
    commonest = outside.mode().values
    return "equispaced lines" if bool((outside == commonest).float().mean() >= 0.75) else "irregular lines"


def _within(value: float, span: tuple[float, float], margin: float) -> bool:
    return span[0] / margin <= value <= span[1] * margin


def _alike(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return len(a) == len(b) and all(n / MATRIX_MARGIN <= m <= n * MATRIX_MARGIN for n, m in zip(a, b, strict=True))


def _span(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _size(matrix: tuple[int, ...]) -> str:
    return "x".join(map(str, matrix))


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
