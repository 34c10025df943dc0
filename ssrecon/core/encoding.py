"""The ways in which the samples of a scan lie in k-space. Each is one frozen class, which a reader chooses from the samples."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Encoding:
    """How a scan was encoded. What depends on it asks for the class, or for `has_readout`, and never for the format of the file."""

    has_readout: ClassVar[bool] = False
    """Whether the last axis of ``*k`` is a readout that was acquired as a whole, line by line."""


@dataclass(frozen=True)
class WholeLines(Encoding):
    """Readouts are whole along the last axis, as scanners acquire Cartesian scans. An asymmetric echo is whole, and shorter."""

    has_readout: ClassVar[bool] = True


@dataclass(frozen=True)
class GridPoints(Encoding):
    """Any points of a Cartesian grid are sampled: by retrospective masks of points, pseudo-radial masks, or in slices transformed
    elsewhere."""


@dataclass(frozen=True)
class HybridSlice(Encoding):
    """The scan is a slice ``kz ky`` of a 3-D Cartesian scan that was Fourier transformed along its readout: it has no readout axis."""

    position: int = 0
    """Its place along the readout, counted from 0."""
    positions: int = 1
    """How many places there are along the readout."""


@dataclass(frozen=True)
class Trajectory(Encoding):
    """Samples lie anywhere (non-Cartesian): k-space is ``batch frames coils samples``. `ssrecon.operators.encoding` refuses it by name."""


@dataclass(frozen=True)
class ParallelBeam(Encoding):
    """Data are line integrals of parallel rays (tomography): ``batch frames 1 angles bins``. `ssrecon.operators.encoding`
    refuses it by name.
    """
