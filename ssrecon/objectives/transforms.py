"""Families of moves that leave the distribution of images as it is: what equivariant imaging draws from.

The image moves and the coils do not, so none of these touches a csm. What one move does stands in ``moves.py``.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives.moves import Flip, Move, PullBack, QuarterTurn, Shift, rotation

SQUARINGS = 6
"""A flow is halved so often before it is composed with itself."""


class Transform(ABC):
    """A transform is a family of moves, of which one is drawn for each scan. Frozen dataclasses: the object is its own configuration."""

    commutes_with_sampling: ClassVar[bool] = False
    """This tells whether a move only changes the phase of k-space: then nothing that was not acquired is ever seen through it."""
    leaves_unseen: ClassVar[str] = ""
    """This says, in words, what of k-space no move of the family brings to where Cartesian lines are; it is empty where everything is
    reached.
    """

    def remarks(self) -> tuple[str, ...]:
        """Return what a person should know who trains with these moves."""
        return (self.leaves_unseen,) if self.leaves_unseen else ()

    @abstractmethod
    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        """Draw one move of images whose last two sides are `shape`. It is linear, and differentiable in the image."""

    def moves(self, scan: CalibratedScan, draw: Draw, purpose: str = "transform") -> tuple[Move, ...]:
        """Draw a move for every scan of a batch, each for itself."""
        shape = tuple(scan.kspace.shape[-2:])
        return tuple(self.drawn(shape, draw.generator(purpose, key)) for key in scan.keys)


@dataclass(frozen=True)
class Rotations(Transform):
    """An image is rotated by an angle uniform between -`largest` and `largest` degrees, about the pixel N // 2: bicubic, with zeros from
    outside.
    """

    largest: float = 180.0

    def __post_init__(self) -> None:
        if not 0 < self.largest <= 180:
            raise BadRecipe("Rotations.largest", found=repr(self.largest), expected="degrees above 0, up to 180")

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        return rotation(shape, float(generator.uniform(-self.largest, self.largest)))


@dataclass(frozen=True)
class QuarterTurns(Transform):
    """An image is turned by 0, 90, 180 or 270 degrees about the pixel N // 2, exactly: what leaves the matrix enters on the other side.

    Raises BadInput for a matrix that is not square.
    """

    leaves_unseen: ClassVar[str] = "quarter turns show rows and columns of k-space alone; its corners stay unseen"

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        if shape[0] != shape[1]:
            raise BadInput("QuarterTurns", found=f"a matrix of {shape[0]}x{shape[1]}", expected="a square one, or rotations by any angle")
        return QuarterTurn(int(generator.integers(4)))


@dataclass(frozen=True)
class Flips(Transform):
    """An image is mirrored about the pixel N // 2 along either axis, each with probability 1/2."""

    leaves_unseen: ClassVar[str] = "flips show the mirror image of a mask alone; a symmetric one gains nothing"

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        return Flip(tuple(axis for axis, heads in zip((-2, -1), generator.random(2) < 0.5, strict=True) if heads))


@dataclass(frozen=True)
class Shifts(Transform):
    """An image is shifted circularly by any number of pixels. For Cartesian sampling that teaches nothing: it is kept as the control
    that must fail.
    """

    commutes_with_sampling: ClassVar[bool] = True
    leaves_unseen: ClassVar[str] = "shifts change the phase of k-space alone"

    def drawn(self, shape: tuple[int, ...], generator: np.random.Generator) -> Move:
        return Shift(tuple(int(generator.integers(n)) for n in shape))


@dataclass(frozen=True)
class Diffeomorphisms(Transform):
    r"""The moves are smooth and invertible: each is the flow of a random velocity field for unit time, by scaling and squaring.

    Each component of the velocity is a sum of :math:`c_{ab} \sin(\pi a y) \sin(\pi b x)` for a, b up to `frequencies`, with normal
    coefficients of a standard deviation that falls as 1 / (a b): it vanishes at the border, so that nothing leaves the field of view. The
    image is pulled back bicubically. MO-EI was published with another family (CPAB, doi:10.1109/TPAMI.2016.2646685).

    Arsigny et al. A log-Euclidean framework for statistics on diffeomorphisms. MICCAI 2006. doi:10.1007/11866565_113
    """

    strength: float = 0.05
    """This is the root mean square of the velocity, in parts of the field of view, on average over draws."""
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
        """Return where the image at each pixel comes from, (x, y) from -1 to 1."""
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
