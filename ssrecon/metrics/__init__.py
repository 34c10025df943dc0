"""Scores of images and of k-space: pure functions, each with its convention in its docstring.

In come an image and its reference (or a residual and its noise level), out comes a number. Read `score_volume` first.
"""

from ssrecon.metrics.hfen import hfen
from ssrecon.metrics.nmse import nmse, nrmse
from ssrecon.metrics.psnr import psnr
from ssrecon.metrics.residual import heldout_residual
from ssrecon.metrics.rings import fourier_ring_correlation
from ssrecon.metrics.ssim import Window, ssim
from ssrecon.metrics.volume import Convention, Value, score_volume

__all__ = [
    "Convention",
    "Value",
    "Window",
    "fourier_ring_correlation",
    "heldout_residual",
    "hfen",
    "nmse",
    "nrmse",
    "psnr",
    "score_volume",
    "ssim",
]
