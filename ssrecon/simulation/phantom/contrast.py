"""Tissues, and the sequences that turn their relaxation times and proton density into signal."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from math import cos, radians, sin
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tissue:
    """A tissue has relaxation times in milliseconds and a proton density relative to water, which vary from place to place.

    ``rough`` is the relative standard deviation of the fine texture, in T1, T2 and proton density alike but independently.
    """

    t1: float
    t2: float
    density: float
    rough: float = 0.03
    fat: bool = False
    """Fat resonates 3.4 ppm lower and is therefore shifted along the readout."""


FIELD_STRENGTH = 3.0
"""Tesla: the field of the relaxation times below."""

TISSUES = {
    "white": Tissue(840, 72, 0.70, 0.035),
    "grey": Tissue(1330, 98, 0.81, 0.035),
    "caudate": Tissue(1270, 88, 0.80, 0.03),
    "putamen": Tissue(1200, 80, 0.79, 0.03),
    "pallidum": Tissue(960, 58, 0.74, 0.04),
    "thalamus": Tissue(1080, 80, 0.76, 0.045),
    "fluid": Tissue(4200, 1500, 1.00, 0.01),
    "plexus": Tissue(1500, 170, 0.90, 0.10),
    "lesion": Tissue(1500, 170, 0.86, 0.06),
    "blood": Tissue(1900, 40, 0.08, 0.20),
    "bone": Tissue(350, 4, 0.10, 0.20),
    "marrow": Tissue(420, 75, 0.42, 0.15, fat=True),
    "muscle": Tissue(1400, 38, 0.80, 0.08),
    "fatty": Tissue(380, 95, 0.65, 0.10, fat=True),
    "skin": Tissue(1000, 38, 0.70, 0.10),
}
"""At 3 T. Brain: Wansapura et al. NMR relaxation times in the human brain at 3.0 tesla. J Magn Reson Imaging 9:531-538 (1999).
doi:10.1002/(SICI)1522-2586(199904)9:4<531::AID-JMRI4>3.0.CO;2-L, and the ranges of Stanisz et al. Magn Reson Med 54:507-512 (2005).
doi:10.1002/mrm.20605. The rest are round values of the right order; flowing blood is a void."""


@dataclass(frozen=True)
class Contrast(ABC):
    """A contrast is a sequence: its signal equation with its timing in milliseconds."""

    name: ClassVar[str]

    @abstractmethod
    def signal(self, t1: Tensor, t2: Tensor, density: Tensor) -> Tensor:
        """Return the transverse magnetisation at the echo, real and possibly negative, for full proton density 1; times in milliseconds."""

    @property
    def timing(self) -> dict[str, float]:
        """These are the times (ms) and the flip angle (degrees) of the sequence, by the names that `ssrecon.core.Header` has for them."""
        names = {"te": "echo_time", "tr": "repetition_time", "ti": "inversion_time", "flip": "flip_angle"}
        return {names[f.name]: getattr(self, f.name) for f in fields(self) if f.name in names}

    def of(self, tissue: str) -> float:
        """Return the signal of a tissue without texture."""
        it = TISSUES[tissue]
        return float(self.signal(torch.tensor(it.t1), torch.tensor(it.t2), torch.tensor(it.density)))


@dataclass(frozen=True)
class SpinEcho(Contrast):
    r"""A spin echo's signal is :math:`\rho\,(1 - e^{-TR/T_1})\,e^{-TE/T_2}`."""

    tr: float
    te: float

    def signal(self, t1: Tensor, t2: Tensor, density: Tensor) -> Tensor:
        return density * (1 - torch.exp(-self.tr / t1)) * torch.exp(-self.te / t2)


@dataclass(frozen=True)
class T1Weighted(SpinEcho):
    """A spin echo with short repetition and echo times."""

    name: ClassVar[str] = "T1"
    tr: float = 550.0
    te: float = 9.0


@dataclass(frozen=True)
class T2Weighted(SpinEcho):
    """A spin echo with long repetition and echo times."""

    name: ClassVar[str] = "T2"
    tr: float = 6000.0
    te: float = 105.0


@dataclass(frozen=True)
class ProtonDensity(SpinEcho):
    """A spin echo with a long repetition time and a short echo time."""

    name: ClassVar[str] = "PD"
    tr: float = 3500.0
    te: float = 15.0


@dataclass(frozen=True)
class Flair(Contrast):
    r"""Inversion recovery nulls the fluid; its signal is :math:`\rho\,(1 - 2 e^{-TI/T_1} + e^{-TR/T_1})\,e^{-TE/T_2}`.

    Hajnal et al. Use of fluid attenuated inversion recovery (FLAIR) pulse sequences in MRI of the brain. J Comput Assist Tomogr
    16:841-844 (1992). doi:10.1097/00004728-199211000-00001
    """

    name: ClassVar[str] = "FLAIR"
    tr: float = 9000.0
    te: float = 110.0
    ti: float = 2450.0

    def signal(self, t1: Tensor, t2: Tensor, density: Tensor) -> Tensor:
        recovered = 1 - 2 * torch.exp(-self.ti / t1) + torch.exp(-self.tr / t1)
        return density * recovered * torch.exp(-self.te / t2)


@dataclass(frozen=True)
class MPRAGE(Contrast):
    r"""An inversion precedes a train of small flip angles :math:`\alpha` whose middle falls on TI: brain protocols' stronger T1 contrast.

    The signal is :math:`M = \rho\,(1 - 2 e^{-TI/T_1} / (1 + e^{-TR/T_1}))`, seen as :math:`|M| \sin\alpha`. The saturation by the train
    itself is left out. Mugler and Brookeman. Magn Reson Med 15:152-157 (1990). doi:10.1002/mrm.1910150117
    """

    name: ClassVar[str] = "MPRAGE"
    tr: float = 2300.0
    ti: float = 1000.0
    flip: float = 9.0

    def signal(self, t1: Tensor, t2: Tensor, density: Tensor) -> Tensor:
        return density * (1 - 2 * torch.exp(-self.ti / t1) / (1 + torch.exp(-self.tr / t1))) * sin(radians(self.flip))


@dataclass(frozen=True)
class SpoiledGradientEcho(Contrast):
    r"""A spoiled gradient echo's signal is :math:`\rho \sin\alpha\,(1 - E_1)/(1 - \cos\alpha\, E_1)\,e^{-TE/T_2}`.

    With :math:`E_1 = e^{-TR/T_1}`; T2 stands in for T2*.
    """

    name: ClassVar[str] = "GRE"
    tr: float = 30.0
    te: float = 4.0
    flip: float = 25.0

    def signal(self, t1: Tensor, t2: Tensor, density: Tensor) -> Tensor:
        e1 = torch.exp(-self.tr / t1)
        return density * sin(radians(self.flip)) * (1 - e1) / (1 - cos(radians(self.flip)) * e1) * torch.exp(-self.te / t2)
