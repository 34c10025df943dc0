"""Moves of an image that leave the distribution of images as it is: the group actions of equivariant imaging.

The image moves and the coils do not, so none of these touches a csm. All act within the last two axes, alike on all frames, maps and
further axes of a scan, and on real and imaginary parts together; lengths are pixels, so that angles are true for square pixels.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.core.shapes import checked

Images = Complex[Tensor, "frames maps *x"]
SQUARINGS = 6
"""A flow is halved so often before it is composed with itself."""


class Move(ABC):
    """One move of images, the same for all of a scan's frames and maps."""

    @abstractmethod
    def __call__(self, images: Images) -> Images:
        """The images, moved: linear, and differentiable in them."""

    def to(self, device: torch.device | str) -> "Move":
        """The same move for images on another device."""
        return self


class Transform(ABC):
    """A family of moves, one drawn a scan. Frozen dataclasses: the object is its own configuration."""

    commutes_with_sampling: ClassVar[bool] = False
    """Whether a move only changes the phase of k-space: then nothing that was not acquired is ever seen through it."""
    leaves_unseen: ClassVar[str] = ""
    """What of k-space no move of the family brings to where Cartesian lines are, in words; empty where everything is reached."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a person should know who trains with these."""
        return (self.leaves_unseen,) if self.leaves_unseen else ()

    @abstractmethod
    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        """One move of images whose last two sides are `shape`: linear, and differentiable in the image."""

    def moves(self, scan: CalibratedScan, draw: Draw, purpose: str = "transform") -> tuple[Move, ...]:
        """A move for every scan of a batch, each drawn for itself."""
        shape = tuple(scan.kspace.shape[-2:])
        return tuple(self.drawn(shape, draw.generator(purpose, key)) for key in scan.keys)


@checked
def moved(image: Complex[Tensor, "batch frames maps *x"], moves: Sequence[Move]) -> Complex[Tensor, "batch frames maps *x"]:
    """Every scan's image moved in its own way."""
    return torch.stack([move(one) for move, one in zip(moves, image, strict=True)])


@dataclass(frozen=True)
class Rotations(Transform):
    """By an angle uniform between -`largest` and `largest` degrees, about the pixel N // 2; bicubic, with zeros from outside."""

    largest: float = 180.0

    def __post_init__(self) -> None:
        if not 0 < self.largest <= 180:
            raise BadRecipe("Rotations.largest", found=repr(self.largest), expected="degrees above 0, up to 180")

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        return rotation(shape, float(generator.uniform(-self.largest, self.largest)))


@dataclass(frozen=True)
class QuarterTurns(Transform):
    """By 0, 90, 180 or 270 degrees about the pixel N // 2, exactly: what leaves the matrix enters on the other side. Raises BadInput for a
    matrix that is not square."""

    leaves_unseen: ClassVar[str] = "quarter turns show rows and columns of k-space alone; its corners stay unseen"

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        if shape[0] != shape[1]:
            raise BadInput("QuarterTurns", found=f"a matrix of {shape[0]}x{shape[1]}", expected="a square one, or rotations by any angle")
        return QuarterTurn(int(generator.integers(4)))


@dataclass(frozen=True)
class Flips(Transform):
    """About the pixel N // 2 along either axis, each with probability 1/2."""

    leaves_unseen: ClassVar[str] = "flips show the mirror image of a mask alone; a symmetric one gains nothing"

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        return Flip(tuple(axis for axis, heads in zip((-2, -1), generator.random(2) < 0.5, strict=True) if heads))


@dataclass(frozen=True)
class Shifts(Transform):
    """Circular, by any number of pixels. For Cartesian sampling they teach nothing: kept as the control that must fail."""

    commutes_with_sampling: ClassVar[bool] = True
    leaves_unseen: ClassVar[str] = "shifts change the phase of k-space alone"

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        return Shift(tuple(int(generator.integers(n)) for n in shape))


@dataclass(frozen=True)
class Diffeomorphisms(Transform):
    r"""Smooth and invertible: the flow of a random velocity field for unit time, by scaling and squaring.

    Each component of the velocity is a sum of :math:`c_{ab} \sin(\pi a y) \sin(\pi b x)` for a, b up to `frequencies`, with normal
    coefficients of a standard deviation that falls as 1 / (a b): it vanishes at the border, so that nothing leaves the field of view. The
    image is pulled back bicubically. MO-EI was published with another family (CPAB, doi:10.1109/TPAMI.2016.2646685).

    Arsigny et al. A log-Euclidean framework for statistics on diffeomorphisms. MICCAI 2006. doi:10.1007/11866565_113
    """

    strength: float = 0.05
    """Root mean square of the velocity, in parts of the field of view, on average over draws."""
    frequencies: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 0.1:
            # Beyond, flows fold between two pixels of the grids they are composed on.
            raise BadRecipe("Diffeomorphisms.strength", found=repr(self.strength), expected="a number above 0, up to 0.1")
        if self.frequencies < 1:
            raise BadRecipe("Diffeomorphisms.frequencies", found=repr(self.frequencies), expected="1 or more")

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        return PullBack(self.flow(shape, generator))

    def flow(self, shape: tuple[int, ...], generator: np.random.Generator) -> Float[Tensor, "y x 2"]:
        """Where the image at each pixel comes from, (x, y) from -1 to 1."""
        orders = np.arange(1, self.frequencies + 1)
        falling = 1 / (orders[:, None] * orders)
        # The mean square of sin sin is 1/4.
        scale = 2 * self.strength * 2 / math.sqrt((falling**2).sum())
        coefficients = scale * falling * generator.standard_normal((2, self.frequencies, self.frequencies))
        rows, columns = (np.sin(np.pi * orders[:, None] * np.linspace(0, 1, n)) for n in shape)
        velocity = torch.from_numpy(np.einsum("dab,ay,bx->yxd", coefficients, rows, columns))
        axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape]
        here = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)
        displacement = velocity / 2**SQUARINGS
        for _ in range(SQUARINGS):
            moved = grid_sample(displacement.permute(2, 0, 1)[None], (here + displacement)[None], align_corners=True, padding_mode="border")
            displacement = displacement + moved[0].permute(1, 2, 0)
        return here + displacement


@checked
@dataclass(frozen=True)
class PullBack(Move):
    """Every pixel takes the value that lies at its place of a grid: bicubic, zero outside."""

    grid: Float[Tensor, "y x 2"]
    """Where the image at each pixel comes from, (x, y) from -1 to 1."""

    @checked
    def __call__(self, images: Images) -> Images:
        planes = torch.view_as_real(images.reshape(-1, *images.shape[-2:])).movedim(-1, 1)
        channels = planes.reshape(1, -1, *planes.shape[-2:])
        at = self.grid.to(channels.device, channels.dtype)[None]
        found = grid_sample(channels, at, mode="bicubic", padding_mode="zeros", align_corners=True)
        return torch.view_as_complex(found.reshape(planes.shape).movedim(1, -1).contiguous()).reshape(images.shape)

    def to(self, device: torch.device | str) -> "PullBack":
        return PullBack(self.grid.to(device))


def rotation(shape: tuple[int, ...], degrees: float) -> PullBack:
    """Counterclockwise where the first axis points down, about N // 2."""
    angle = math.radians(degrees)
    y, x = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) - n // 2 for n in shape], indexing="ij")
    from_y = math.cos(angle) * y + math.sin(angle) * x
    from_x = -math.sin(angle) * y + math.cos(angle) * x
    places = [2 * (place + n // 2) / max(n - 1, 1) - 1 for place, n in ((from_x, shape[1]), (from_y, shape[0]))]
    return PullBack(torch.stack(places, dim=-1))


@dataclass(frozen=True)
class QuarterTurn(Move):
    """So many times 90 degrees, in the sense of `rotation`."""

    count: int

    @checked
    def __call__(self, images: Images) -> Images:
        for _ in range(self.count % 4):
            images = mirrored(images.transpose(-2, -1), -2)
        return images


@dataclass(frozen=True)
class Flip(Move):
    """About the pixel N // 2 along the given axes."""

    axes: tuple[int, ...]

    @checked
    def __call__(self, images: Images) -> Images:
        for axis in self.axes:
            images = mirrored(images, axis)
        return images


@dataclass(frozen=True)
class Shift(Move):
    """Circular, by so many pixels along the last two axes."""

    by: tuple[int, ...]

    @checked
    def __call__(self, images: Images) -> Images:
        return images.roll(self.by, dims=(-2, -1))


@checked
def mirrored(images: Images, axis: int) -> Images:
    """About the pixel N // 2, circularly."""
    return images.flip(axis).roll(1 - images.shape[axis] % 2, dims=axis)
