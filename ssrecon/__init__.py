"""ssrecon: train MRI reconstruction on undersampled k-space without ground truth, and compare it honestly.

The way the data goes::

    archive -> Scan -> (undersample) -> calibrate -> CalibratedScan -> store
    store -> objective{ partition -> network -> distance } -> checkpoint -> evaluate -> metrics, images -> statistics -> report
                                                                         \\-> reconstruct -> HDF5

Names below are imported when they are first used, so that ``import ssrecon`` and ``ssrecon --help`` cost nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssrecon.archive import open_archive, scan_from_arrays
    from ssrecon.calibrate import Calibrator
    from ssrecon.core import CalibratedScan, Draw, Estimate, Scan, SsreconError, process
    from ssrecon.recipe import Comparison, Recipe, Training
    from ssrecon.reconstruction import load_checkpoint
    from ssrecon.store import Data, Store
    from ssrecon.study import run
    from ssrecon.training import train

_PLACES = {
    "CalibratedScan": "core",
    "Calibrator": "calibrate",
    "Comparison": "recipe",
    "Data": "store",
    "Draw": "core",
    "Estimate": "core",
    "Recipe": "recipe",
    "Scan": "core",
    "SsreconError": "core",
    "Store": "store",
    "Training": "recipe",
    "load_checkpoint": "reconstruction",
    "open_archive": "archive",
    "process": "core",
    "run": "study",
    "scan_from_arrays": "archive",
    "train": "training",
}
__version__ = "0.1.0"
__all__ = [
    "CalibratedScan",
    "Calibrator",
    "Comparison",
    "Data",
    "Draw",
    "Estimate",
    "Recipe",
    "Scan",
    "SsreconError",
    "Store",
    "Training",
    "load_checkpoint",
    "open_archive",
    "process",
    "run",
    "scan_from_arrays",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'ssrecon' has no attribute {name!r}")
    return getattr(import_module(f"ssrecon.{_PLACES[name]}"), name)
