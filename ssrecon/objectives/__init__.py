"""Training methods, one a file, one paper a file: each a frozen object with its loss and its reconstruction rule."""

from ssrecon.objectives.base import Loss, Objective
from ssrecon.objectives.ddss import DDSS
from ssrecon.objectives.ensure import ENSURE
from ssrecon.objectives.equivariant_imaging import EquivariantImaging
from ssrecon.objectives.heteroscedastic import Heteroscedastic
from ssrecon.objectives.jssl import JSSL
from ssrecon.objectives.k_weighted import KWeighted
from ssrecon.objectives.mo_ei import MultiOperatorEI
from ssrecon.objectives.multi_mask_ssdu import MultiMaskSSDU
from ssrecon.objectives.multi_operator_imaging import MultiOperatorImaging
from ssrecon.objectives.noise2noise import Noise2Noise
from ssrecon.objectives.noise2recon import Noise2Recon
from ssrecon.objectives.parallel_branches import ParallelBranches
from ssrecon.objectives.robust_equivariant_imaging import RobustEI
from ssrecon.objectives.robust_ssdu import RobustSSDU
from ssrecon.objectives.spicer import SPICER
from ssrecon.objectives.ssdu import SSDU
from ssrecon.objectives.supervised import Supervised
from ssrecon.objectives.sure import SURE

__all__ = [
    "DDSS",
    "ENSURE",
    "JSSL",
    "SPICER",
    "SSDU",
    "SURE",
    "EquivariantImaging",
    "Heteroscedastic",
    "KWeighted",
    "Loss",
    "MultiMaskSSDU",
    "MultiOperatorEI",
    "MultiOperatorImaging",
    "Noise2Noise",
    "Noise2Recon",
    "Objective",
    "ParallelBranches",
    "RobustEI",
    "RobustSSDU",
    "Supervised",
]
