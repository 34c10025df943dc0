"""Calibrated scans on the disk, and what training reads.

In comes an archive and a `Calibrator` (`prepare`), out comes a `Store`: one HDF5 file a volume, read scan by scan. `Data` says where scans
come from and what is done to them; ``loader.py`` makes batches of one shape. Read ``store.py`` first.
"""

from ssrecon.store.data import Data
from ssrecon.store.dataset import ScanDataset, ScansInMemory
from ssrecon.store.loader import Schedule
from ssrecon.store.prepare import prepare
from ssrecon.store.store import Store

__all__ = [
    "Data",
    "ScanDataset",
    "ScansInMemory",
    "Schedule",
    "Store",
    "prepare",
]
