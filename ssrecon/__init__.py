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
    from ssrecon.archive import open_archive
    from ssrecon.calibrate import Calibrator
    from ssrecon.distributed import process
    from ssrecon.draw import Draw
    from ssrecon.errors import SsreconError
    from ssrecon.recipe import Comparison, Data, Recipe, Training
    from ssrecon.scan import CalibratedScan, Estimate, Scan
    from ssrecon.store import Store
    from ssrecon.study.comparison import run
    from ssrecon.trained import load_checkpoint

_PLACES = {
    "CalibratedScan": "scan",
    "Calibrator": "calibrate",
    "Comparison": "recipe",
    "Data": "recipe",
    "Draw": "draw",
    "Estimate": "scan",
    "Recipe": "recipe",
    "Scan": "scan",
    "SsreconError": "errors",
    "Store": "store",
    "Training": "recipe",
    "load_checkpoint": "trained",
    "open_archive": "archive",
    "process": "distributed",
    "run": "study.comparison",
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
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'ssrecon' has no attribute {name!r}")
    return getattr(import_module(f"ssrecon.{_PLACES[name]}"), name)
