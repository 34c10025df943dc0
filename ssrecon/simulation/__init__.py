"""Archives that are made and not read: heads from scratch, and measured images through simulated coils.

In come sizes, a seed and, for `ComplexImages`, a file of images; out comes an `Archive` whose scans have a reference, and the phantom's a
noiseless truth. `simulate` writes one to disk. Read ``phantom/archive.py`` first.
"""

from ssrecon.simulation.complex_images import ComplexImages
from ssrecon.simulation.phantom import (
    MPRAGE,
    Contrast,
    Flair,
    PhantomArchive,
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
]
