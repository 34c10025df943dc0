"""The one crop: a box about ``N // 2``, where DC lies in k-space, and the origin in the image."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


def window(shape: Sequence[int], sides: Sequence[int]) -> tuple[slice, ...]:
    r"""Return the slices that cut a box of `sides` out of a grid of `shape`, so that the place ``N // 2`` becomes ``n // 2`` of the box.

    They begin at :math:`\lfloor N/2 \rfloor - \lfloor n/2 \rfloor` along each axis; :math:`\lfloor (N - n)/2 \rfloor` is one too few where
    N is even and n odd, and moves the image by a pixel. The same slices say where the box lies in a larger grid that it is put into.
    Not checked: that the box is not larger than the grid.
    """
    return tuple(slice(n // 2 - side // 2, n // 2 - side // 2 + side) for n, side in zip(shape, sides, strict=True))


def centre_block(n: int, size: int) -> slice:
    """Return the slice of `size` places about ``n // 2`` of one axis, cut at its ends.

    A block of an even size reaches one place farther to the left, as fastMRI's masks do.
    """
    (block,) = window((n,), (size,))
    return slice(max(0, block.start), max(0, min(n, block.stop)))


def crop(array: Array, sides: Sequence[int]) -> Array:
    """Cut the last ``len(sides)`` axes to the box of `sides` about ``N // 2``. The result is a view."""
    index: tuple[Any, ...] = (..., *window(tuple(array.shape[array.ndim - len(sides) :]), sides))
    return array[index]
