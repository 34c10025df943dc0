"""The one crop: a box about DC, or about the image's own origin, which lies at ``N // 2`` on either side of the Fourier transform."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


def window(shape: Sequence[int], sides: Sequence[int]) -> tuple[slice, ...]:
    r"""The slices that cut a box of `sides` out of a grid of `shape`, so that the place ``N // 2`` becomes ``n // 2`` of the box.

    They begin at :math:`\lfloor N/2 \rfloor - \lfloor n/2 \rfloor` along each axis; :math:`\lfloor (N - n)/2 \rfloor` is one too few where
    N is even and n odd, and moves the image by a pixel. The same slices say where the box lies in a larger grid that it is put into.
    Not checked: that the box is not larger than the grid.
    """
    return tuple(slice(n // 2 - side // 2, n // 2 - side // 2 + side) for n, side in zip(shape, sides, strict=True))


def crop(array: Array, sides: Sequence[int]) -> Array:
    """The last ``len(sides)`` axes cut to the box of `sides` about ``N // 2``: a view."""
    index: tuple[Any, ...] = (..., *window(tuple(array.shape[array.ndim - len(sides) :]), sides))
    return array[index]
