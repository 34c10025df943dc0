"""From a scan as its file holds it to what networks see: whitening, noise level, coil compression, sensitivities, scale."""

from ssrecon.calibrate.calibrator import Calibrator, VolumeCalibration
from ssrecon.calibrate.compress import compression_matrix
from ssrecon.calibrate.espirit import espirit
from ssrecon.calibrate.noise_level import estimated_covariance
from ssrecon.calibrate.whiten import Whitening, mix_coils, noise_covariance, whitening

__all__ = [
    "Calibrator",
    "VolumeCalibration",
    "Whitening",
    "compression_matrix",
    "espirit",
    "mix_coils",
    "noise_covariance",
    "estimated_covariance",
    "whitening",
]
