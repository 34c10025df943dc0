"""Trained networks, and scans through them.

In come a checkpoint and raw scans, out come images in files. `load_checkpoint` gives the network as it was trained, with its recipe and the
domain of its training scans. Read ``loaded_network.py`` first.
"""

from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.reconstruction.domain import TrainingDomain
from ssrecon.reconstruction.loaded_network import LoadedNetwork, load_checkpoint
from ssrecon.reconstruction.reconstruct import reconstruct

__all__ = [
    "LoadedNetwork",
    "TrainingDomain",
    "load_checkpoint",
    "read_checkpoint",
    "reconstruct",
]
