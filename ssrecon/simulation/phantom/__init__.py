"""The phantom archive, the embedded default: random heads, real physics, scans made as they are read.

fields -> head -> anatomy (layers of tissue) -> contrast (signal) -> acquisition (phase, coils, k-space, noise) -> archive.
"""

from ssrecon.simulation.phantom.archive import PhantomArchive
from ssrecon.simulation.phantom.contrast import (
    MPRAGE,
    Contrast,
    Flair,
    ProtonDensity,
    SpinEcho,
    SpoiledGradientEcho,
    T1Weighted,
    T2Weighted,
)

__all__ = [
    "MPRAGE",
    "Contrast",
    "Flair",
    "PhantomArchive",
    "ProtonDensity",
    "SpinEcho",
    "SpoiledGradientEcho",
    "T1Weighted",
    "T2Weighted",
]
