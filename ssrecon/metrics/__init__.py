"""Scores of images and of k-space: pure functions, each with its convention in its docstring.

In come an image and its reference (or a residual and its noise level), out comes a number. Read `score_volume` first.
"""

from ssrecon.metrics.metrics import (
    Convention,
    Value,
    Window,
    fourier_ring_correlation,
    heldout_residual,
    hfen,
    nmse,
    nrmse,
    psnr,
    score_volume,
    ssim,
)

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
