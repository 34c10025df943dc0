"""One training loop for every objective.

In come a `Recipe`, a `Store` and who trains and validates; out come checkpoints and a history. The checkpoint is chosen, and the training
stopped, by Gamma. Read ``trainer.py`` first.
"""

from ssrecon.training.preflight import Preflight, preflight
from ssrecon.training.state import Trained
from ssrecon.training.trainer import Trainer

__all__ = [
    "Preflight",
    "Trained",
    "Trainer",
    "preflight",
]
