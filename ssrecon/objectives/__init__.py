"""Training methods, one a file, one paper a file: each a frozen object with its loss and its reconstruction rule."""

from ssrecon.objectives.base import Loss, Objective
from ssrecon.objectives.multi_mask_ssdu import MultiMaskSSDU
from ssrecon.objectives.ssdu import SSDU
from ssrecon.objectives.supervised import Supervised

__all__ = ["Loss", "MultiMaskSSDU", "Objective", "SSDU", "Supervised"]
