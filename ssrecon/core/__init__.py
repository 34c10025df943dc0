"""The records that all rooms pass on, and the house-keeping that all rooms share; of MRI there is nothing else here.

A reader gives a `Scan`, networks see a `CalibratedScan` and return an `Estimate`, and all that is random comes from a `Draw`. In come plain
values, files and folders; out come checked records, frozen descriptions as JSON, files that are whole or not there, and errors that name
what was found and what was expected. Read ``scan.py`` first: it says what every axis is.
"""

from ssrecon.core.distributed import Process, process
from ssrecon.core.draw import Draw
from ssrecon.core.encoding import Encoding, GridPoints, HybridSlice, ParallelBeam, Trajectory, WholeLines
from ssrecon.core.errors import BadInput, BadRecipe, BadShape, NoCalibration, OutputInUse, SsreconError, TrainingDiverged
from ssrecon.core.example import Example
from ssrecon.core.geometry import Geometry
from ssrecon.core.origin import Origin
from ssrecon.core.scan import CalibratedScan, Calibration, Estimate, Header, Network, Prepared, Scan

__all__ = [
    "BadInput",
    "BadRecipe",
    "BadShape",
    "CalibratedScan",
    "Calibration",
    "Draw",
    "Encoding",
    "Estimate",
    "Example",
    "Geometry",
    "GridPoints",
    "Header",
    "HybridSlice",
    "Network",
    "NoCalibration",
    "Origin",
    "OutputInUse",
    "ParallelBeam",
    "Prepared",
    "Process",
    "Scan",
    "SsreconError",
    "TrainingDiverged",
    "Trajectory",
    "WholeLines",
    "process",
]
