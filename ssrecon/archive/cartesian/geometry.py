"""Steps that readers of several formats share: readout oversampling and partial Fourier."""

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.window import crop


def remove_readout_oversampling(kspace: Complex[Tensor, "*lines x"], kept: int) -> Complex[Tensor, "*lines kept"]:
    """Transform along the readout, keep the central field of view, transform back. Orthonormal: white noise keeps its variance.

    Without this step neighbouring samples of a readout are correlated, and a sample that is held out can be interpolated.
    """
    samples = kspace.shape[-1]
    if kept >= samples:
        return kspace
    profile = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(kspace, dim=-1), norm="ortho"), dim=-1)
    profile = crop(profile, (kept,))
    return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(profile, dim=-1), norm="ortho"), dim=-1)


def is_partial_fourier(first: int, last: int, centre: int, matrix: int) -> bool:
    """Whether the lines `first` to `last` reach much farther on one side of `centre` than on the other.

    An undersampled lattice ends a few lines early on one side, so that a difference of up to 8 % of the matrix (and of 4 lines) is none;
    the mildest partial Fourier in use, 7/8, makes 12 %.
    """
    return abs((centre - first) - (last + 1 - centre)) > max(4.0, 0.08 * matrix)
