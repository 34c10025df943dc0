"""One training loop for every objective.

In come a `Recipe`, calibrated scans (a `Store`, or any `ScanDataset`) and who trains and validates; out come checkpoints and a history.
The checkpoint is chosen, and the training stopped, by Gamma. `train` is the way in; read ``trainer.py`` first.
"""

from ssrecon.training.preflight import Preflight, preflight
from ssrecon.training.state import Trained
from ssrecon.training.train import train
from ssrecon.training.trainer import Trainer

__all__ = [
    "Preflight",
    "Trained",
    "Trainer",
    "preflight",
    "train",
]
