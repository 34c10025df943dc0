"""Readout oversampling: readers of several formats remove it before anything else."""

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.core.window import crop


@checked
def remove_readout_oversampling(kspace: Complex[Tensor, "*lines x"], kept: int) -> Complex[Tensor, "*lines kept"]:
    """Transform along the readout, keep the central field of view, transform back; white noise keeps its variance.

    Without this step neighbouring samples of a readout are correlated, and a sample that is held out can be interpolated.
    """
    samples = kspace.shape[-1]
    if kept >= samples:
        return kspace
    profile = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(kspace, dim=-1), norm="ortho"), dim=-1)
    profile = crop(profile, (kept,))
    return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(profile, dim=-1), norm="ortho"), dim=-1)
