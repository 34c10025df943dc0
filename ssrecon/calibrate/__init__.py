"""A scan becomes what networks see: whitening, noise level, coil compression, sensitivities and scale are found and applied.

In come the `Scan` objects of a volume, out come `Prepared` ones, with what was done to them on record. ``verdict.py`` decides whether a
scan may train. Read ``calibrator.py`` first, then ``volume_calibration.py``.
"""

from ssrecon.calibrate.calibrator import Calibrator
from ssrecon.calibrate.compress import compression_matrix
from ssrecon.calibrate.espirit import espirit
from ssrecon.calibrate.noise_level import estimated_covariance
from ssrecon.calibrate.region import Region
from ssrecon.calibrate.verdict import Verdict, unfit
from ssrecon.calibrate.volume_calibration import VolumeCalibration
from ssrecon.calibrate.whiten import Whitening, mix_coils, noise_covariance, whitening

__all__ = [
    "Calibrator",
    "Region",
    "Verdict",
    "VolumeCalibration",
    "Whitening",
    "compression_matrix",
    "espirit",
    "estimated_covariance",
    "mix_coils",
    "noise_covariance",
    "unfit",
    "whitening",
]
