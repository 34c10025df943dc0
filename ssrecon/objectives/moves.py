"""Moves of an image: the group actions of equivariant imaging, one by one.

All act within the last two axes, alike on all frames, maps and further axes of a scan, and on real and imaginary parts together; lengths
are pixels, so that angles are true for square pixels.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from ssrecon.core.shapes import checked

Images = Complex[Tensor, "frames maps *x"]


class Move(ABC):
    """A move acts on images, alike on all of a scan's frames and maps."""

    @abstractmethod
    def __call__(self, images: Images) -> Images:
        """Return the images, moved. A move is linear, and differentiable in the images."""


@checked
def moved(image: Complex[Tensor, "batch frames maps *x"], moves: Sequence[Move]) -> Complex[Tensor, "batch frames maps *x"]:
    """Return every scan's image, each moved in its own way."""
    return torch.stack([move(one) for move, one in zip(moves, image, strict=True)])


@checked
@dataclass(frozen=True)
class PullBack(Move):
    """Every pixel takes the value that lies at its place of a grid: bicubic, zero outside."""

    grid: Float[Tensor, "y x 2"]
    """This says where the image at each pixel comes from, (x, y) from -1 to 1."""

    @checked
    def __call__(self, images: Images) -> Images:
        planes = torch.view_as_real(images.reshape(-1, *images.shape[-2:])).movedim(-1, 1)
        channels = planes.reshape(1, -1, *planes.shape[-2:])
        at = self.grid.to(channels.device, channels.dtype)[None]
        found = grid_sample(channels, at, mode="bicubic", padding_mode="zeros", align_corners=True)
        return torch.view_as_complex(found.reshape(planes.shape).movedim(1, -1).contiguous()).reshape(images.shape)

    def to(self, device: torch.device | str) -> "PullBack":
        """Return the same move for images on another device."""
        return PullBack(self.grid.to(device))


def rotation(shape: tuple[int, ...], degrees: float) -> PullBack:
    """Return a rotation about N // 2, counterclockwise where the first axis points down."""
    angle = math.radians(degrees)
    y, x = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) - n // 2 for n in shape], indexing="ij")
    from_y = math.cos(angle) * y + math.sin(angle) * x
    from_x = -math.sin(angle) * y + math.cos(angle) * x
    places = [2 * (place + n // 2) / max(n - 1, 1) - 1 for place, n in ((from_x, shape[1]), (from_y, shape[0]))]
    return PullBack(torch.stack(places, dim=-1))


@dataclass(frozen=True)
class QuarterTurn(Move):
    """The images are turned so many times by 90 degrees, in the sense of `rotation`."""

    count: int

    @checked
    def __call__(self, images: Images) -> Images:
        for _ in range(self.count % 4):
            images = mirrored(images.transpose(-2, -1), -2)
        return images


@dataclass(frozen=True)
class Flip(Move):
    """The images are mirrored about the pixel N // 2 along the given axes."""

    axes: tuple[int, ...]

    @checked
    def __call__(self, images: Images) -> Images:
        for axis in self.axes:
            images = mirrored(images, axis)
        return images


@dataclass(frozen=True)
class Shift(Move):
    """The images are shifted circularly by so many pixels along the last two axes."""

    by: tuple[int, ...]

    @checked
    def __call__(self, images: Images) -> Images:
        return images.roll(self.by, dims=(-2, -1))


@checked
def mirrored(images: Images, axis: int) -> Images:
    """Return the images mirrored about the pixel N // 2, circularly."""
    return images.flip(axis).roll(1 - images.shape[axis] % 2, dims=axis)
