"""The scale of a volume is the one number that makes its intensities comparable with other volumes'."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.core.window import window
from ssrecon.operators import Sensitivity

QUANTILE = 0.99


@checked
def low_resolution_image(
    region: Complex[Tensor, "1 frames coils *c"], csm: Complex[Tensor, "1 maps coils *x"], full: tuple[int, ...]
) -> Float[Tensor, "frames *x"]:
    r"""Return the magnitude of the coil-combined image :math:`S^H F^H y` of a calibration region, on the grid of `csm`.

    `full` is the k-space matrix that the region was cut from. The grid may be coarser than that: the values are those that the image has at
    the coarse grid's positions in the orthonormal convention of the full matrix.
    """
    grid = tuple(csm.shape[3:])
    axes = tuple(range(-len(grid), 0))
    padded = region.new_zeros(*region.shape[:3], *grid)
    inner: tuple[Any, ...] = (..., *window(grid, tuple(region.shape[3:])))
    padded[inner] = region
    images = torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(padded, dim=axes), dim=axes, norm="forward"), dim=axes)
    combined = Sensitivity(csm).adjoint(images) / float(np.prod(full)) ** 0.5
    return torch.linalg.vector_norm(combined, dim=2)[0]


def volume_scale(images: list[Float[Tensor, "frames *x"]]) -> float:
    """Return the 99th percentile of the magnitudes of all the slices together. Dividing by it makes it 1."""
    values = np.concatenate([image.detach().cpu().numpy().ravel() for image in images])
    return float(np.quantile(values, QUANTILE))
