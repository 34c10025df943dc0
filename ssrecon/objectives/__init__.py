"""Training methods, one a file, one paper a file: each a frozen object with its loss and its rule of reconstruction.

In come a network (any ``module(scan) -> Estimate``), a batch and what was drawn for it; out comes a `Loss`. ``distances/`` holds what is
inside a loss, ``transforms.py`` and ``moves.py`` what equivariance moves images by, ``measurement.py`` the steps that several methods
share. Read ``base.py`` first, then ``ssdu.py``.
"""

from ssrecon.core.scan import Network
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.ddss import DDSS
from ssrecon.objectives.distances import Distance, MeanSquare, NormalizedL1, NormalizedL1L2, NormalizedSquare
from ssrecon.objectives.ensure import ENSURE
from ssrecon.objectives.equivariant_imaging import EquivariantImaging
from ssrecon.objectives.heteroscedastic import Heteroscedastic
from ssrecon.objectives.jssl import JSSL
from ssrecon.objectives.k_weighted import KWeighted
from ssrecon.objectives.multi_mask_ssdu import MultiMaskSSDU
from ssrecon.objectives.multi_operator_ei import MultiOperatorEI
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
from ssrecon.objectives.transforms import Diffeomorphisms, Flips, QuarterTurns, Rotations, Shifts, Transform

__all__ = [
    "DDSS",
    "Diffeomorphisms",
    "Draws",
    "Distance",
    "ENSURE",
    "EquivariantImaging",
    "Flips",
    "Heteroscedastic",
    "JSSL",
    "KWeighted",
    "Loss",
    "MeanSquare",
    "MultiMaskSSDU",
    "MultiOperatorEI",
    "MultiOperatorImaging",
    "Network",
    "Noise2Noise",
    "Noise2Recon",
    "NormalizedL1",
    "NormalizedL1L2",
    "NormalizedSquare",
    "Objective",
    "ParallelBranches",
    "QuarterTurns",
    "RobustEI",
    "RobustSSDU",
    "Rotations",
    "SPICER",
    "SSDU",
    "SURE",
    "Shifts",
    "Supervised",
    "Transform",
]
