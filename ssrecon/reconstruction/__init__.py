"""Trained networks are loaded here, and scans go through them.

In come a network and raw scans, out come images with their place in the patient: `reconstruct_volume` in memory, which is the engine,
`reconstruct` in files. `load_checkpoint` gives the network as it was trained, with its recipe and the domain of its training scans. Read
``engine.py`` first.
"""

from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.reconstruction.domain import TrainingDomain
from ssrecon.reconstruction.engine import ReconstructedVolume, reconstruct_volume
from ssrecon.reconstruction.hdf5 import write_images
from ssrecon.reconstruction.loaded_network import LoadedNetwork, load_checkpoint
from ssrecon.reconstruction.reconstruct import reconstruct

__all__ = [
    "LoadedNetwork",
    "ReconstructedVolume",
    "TrainingDomain",
    "load_checkpoint",
    "read_checkpoint",
    "reconstruct",
    "reconstruct_volume",
    "write_images",
]
