"""Calibrated scans on the disk, and what training reads.

In comes an archive and a `Calibrator` (`prepare`), out comes a `Store`: one HDF5 file a volume, read scan by scan. `Data` says where scans
come from and what is done to them, `prepare_data` does it; ``loader.py`` makes batches of one shape. Read ``store.py`` first, then
``volume_file.py`` (the layout of a file) and ``prepare.py`` with ``volume_job.py`` (how a volume is made).
"""

from ssrecon.store.data import Data
from ssrecon.store.dataset import ScanDataset, ScansInMemory
from ssrecon.store.loader import Schedule
from ssrecon.store.prepare import LeftOut, prepare, prepare_data
from ssrecon.store.store import Store

__all__ = [
    "Data",
    "LeftOut",
    "ScanDataset",
    "ScansInMemory",
    "Schedule",
    "Store",
    "prepare",
    "prepare_data",
]
