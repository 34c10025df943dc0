"""Archives that are computed and not read: heads from scratch, and measured images seen through simulated coils.

In come sizes, a seed and, for `ComplexImages`, a file of images; out comes an `Archive` whose scans have a reference, and the phantom's a
noiseless truth. `simulate` writes one to disk. Read ``phantom/archive.py`` first.
"""

from ssrecon.simulation.complex_images import ComplexImages, simulate_coils
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
from ssrecon.simulation.simulate import simulate

__all__ = [
    "ComplexImages",
    "Contrast",
    "Flair",
    "MPRAGE",
    "PhantomArchive",
    "ProtonDensity",
    "SpinEcho",
    "SpoiledGradientEcho",
    "T1Weighted",
    "T2Weighted",
    "simulate",
    "simulate_coils",
]
