"""Complex images enter a denoiser as pairs of real channels, here and nowhere else."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked


@checked
def as_channels(image: Complex[Tensor, "batch frames maps *x"]) -> Float[Tensor, "folded channels *x"]:
    """Return real and imaginary parts as channels, with the frames folded into the batch.

    For one map set the result has the channels-last layout, and nothing is copied.
    """
    parts = torch.view_as_real(image).movedim(2, -2)
    return parts.flatten(-2).flatten(0, 1).movedim(-1, 1)


@checked
def as_image(
    channels: Float[Tensor, "folded channels *x"], like: Complex[Tensor, "batch frames maps *x"]
) -> Complex[Tensor, "batch frames maps *x"]:
    """Return the image that `as_channels` made these channels of; `like` has its shape and its precision."""
    batch, frames, maps, *space = like.shape
    parts = channels.movedim(1, -1).to(like.real.dtype).reshape(batch, frames, *space, maps, 2)
    return torch.view_as_complex(parts.contiguous()).movedim(-1, 2)
