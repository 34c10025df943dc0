"""What everything else leans on, and nothing of MRI but its records.

`Scan` is what a reader gives, `CalibratedScan` what networks see, `Estimate` what they return: ``scan.py`` is to be read first, it says
what every axis is. `Draw` is all the randomness there is. The rest is the package's own house-keeping: errors that name what was found and
what was expected, frozen descriptions to JSON and back, files that are whole or not there, progress, processes, where a result comes from.
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
    "Example",
    "WholeLines",
    "Trajectory",
    "ParallelBeam",
    "HybridSlice",
    "GridPoints",
    "Encoding",
    "BadInput",
    "BadRecipe",
    "BadShape",
    "CalibratedScan",
    "Calibration",
    "Draw",
    "Estimate",
    "Geometry",
    "Header",
    "Network",
    "NoCalibration",
    "Origin",
    "OutputInUse",
    "Prepared",
    "Process",
    "Scan",
    "SsreconError",
    "TrainingDiverged",
    "process",
]
