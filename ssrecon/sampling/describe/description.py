"""The record of how a scan was sampled."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

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
"""Every pattern with its family. Networks may be exchanged within a family: one mask does not always tell a constant density from a
variable one."""

Support = tuple[tuple[int, int], ...]
"""The first place along each axis, and the one behind the last."""


@dataclass(frozen=True)
class SamplingDescription:
    """This record holds what a mask tells. Sizes are in the order of ``*k``; an axis is named by its place there."""

    pattern: str
    """One of `FAMILIES`."""
    step: tuple[float, ...]
    """The steps of a lattice: the distance between lines, or along each phase-encoded axis; for CAIPI also the shift from row to row."""
    acceleration: float
    r"""The effective acceleration :math:`|S| / |\Omega|`. S is the encoded `support`, :math:`\Omega` what was acquired, as a mean over the
    frames."""
    calibration: tuple[int, ...]
    """The sides of the largest box about DC that all frames sampled fully, or of that of the separate measurement; 0 where a prepared scan
    keeps nothing of the latter."""
    calibration_source: str
    """``in the scan`` or ``measured apart``."""
    partial_fourier: tuple[float, ...]
    """The part of the symmetric extent that was acquired, per axis. It is 1 where both sides reach equally far."""
    missing_side: tuple[str, ...]
    """The side that partial Fourier or an asymmetric echo left out, per axis: ``low``, ``high`` or empty."""
    elliptical: bool
    """Whether a shutter left the corners out."""
    padding: tuple[float, ...]
    """The part of the matrix that lies beyond everything acquired on both sides, per axis, declared as padding or not."""
    frames_differ: bool
    support: Support = ()
    """The box that this scan encoded, or all the scans of its protocol (`on_protocol`). A shutter cuts its corners."""
    extent: Support = ()
    """The smallest box around what this scan acquired. The support is larger by what its pattern may have left out by chance."""
    acquired: float = 0.0
    """The number of locations that were acquired, a mean over the frames."""
    outside: int = 0
    """The number of locations of the `support` that the shutter left out."""
    offset: tuple[float, ...] = ()
    """The first place of a lattice along each phase-encoded axis (of CAIPI the first row, and the first place in that row), as of
    `ssrecon.sampling.Equispaced`. It is empty where there is no lattice, and where its step is no whole number."""
    scans: int = 1
    """How many scans the support was told from. A single scan knows nothing more of its protocol than itself."""

    @property
    def words(self) -> str:
        """This is the pattern with its steps, in words."""
        steps = " every " + " x ".join(f"{n:.3g}" for n in self.step[:2]) if self.step else ""
        return f"{self.pattern}{steps}" + (f", shift {self.step[2]:g}" if len(self.step) > 2 else "")

    @property
    def family(self) -> str:
        """This is the family of the pattern (`FAMILIES`)."""
        return FAMILIES[self.pattern]

    @property
    def is_full(self) -> bool:
        """Whether every frame acquired all of the support. Partial Fourier, low resolution and an elliptical shutter may still be full."""
        return self.pattern == "full" and not self.frames_differ and self.acceleration <= 1

    def on(self, support: Support, scans: int = 1) -> "SamplingDescription":
        """Return the same description, its acceleration counted on the support that `scans` scans of its protocol acquired between them."""
        if not support or not self.acquired:
            return replace(self, scans=scans)
        locations = math.prod(high - low for low, high in support)
        own = max(1, math.prod(high - low for low, high in self.support))
        # What the shutter leaves out of a box grows with the box.
        encoded = locations - self.outside * locations / own
        outside = round(locations - encoded)
        return replace(self, support=support, acceleration=encoded / max(1.0, self.acquired), scans=scans, outside=outside)


def read_description(written: Mapping[str, Any]) -> SamplingDescription:
    """Return a description from the JSON of its fields. Fields that another version wrote are passed over."""
    known = {f.name for f in fields(SamplingDescription)}
    return SamplingDescription(**{name: tuples_of(value) for name, value in written.items() if name in known})


def tuples_of(value: Any) -> Any:
    """Return a value that was read from JSON with its lists turned back into tuples."""
    return tuple(map(tuples_of, value)) if isinstance(value, (list, tuple)) else value
