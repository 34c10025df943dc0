"""How the samples of a scan lie in k-space: one frozen class a kind, which a reader chooses from the samples."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Encoding:
    """How a scan was encoded. What depends on it asks for the class, or for `has_readout`, and never for the format of the file."""

    has_readout: ClassVar[bool] = False
    """Whether the last axis of ``*k`` is a readout that was acquired as a whole, line by line."""


@dataclass(frozen=True)
class WholeLines(Encoding):
    """Whole readouts along the last axis: Cartesian scans as scanners acquire them. An asymmetric echo is whole, and shorter."""

    has_readout: ClassVar[bool] = True


@dataclass(frozen=True)
class GridPoints(Encoding):
    """Any set of points on a Cartesian grid: retrospective masks of single points, pseudo-radial masks, slices transformed elsewhere."""


@dataclass(frozen=True)
class HybridSlice(Encoding):
    """A slice ``kz ky`` of a 3-D Cartesian scan that was Fourier transformed along its readout: it has no readout axis."""

    position: int = 0
    """Its place along the readout, counted from 0."""
    positions: int = 1
    """How many places there are along the readout."""


@dataclass(frozen=True)
class Trajectory(Encoding):
    """Samples at any places, non-Cartesian: k-space is ``batch frames coils samples``. The Cartesian operators refuse it by name."""


@dataclass(frozen=True)
class ParallelBeam(Encoding):
    """Line integrals of parallel rays, tomography: data are ``batch frames 1 angles bins``. The Fourier operators refuse it by name."""
