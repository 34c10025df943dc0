"""Steps that readers of files of arrays share: reading a part, and refusing what cannot be right."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.archive.pieces import samples_nothing
from ssrecon.core.errors import BadInput
from ssrecon.core.shapes import checked

SMALLEST = 8
"""A matrix with fewer samples along a side is questioned."""


def not_zero(array: np.ndarray, axis: int | tuple[int, ...] | None) -> np.ndarray:
    """Tell where anything along the axes, which stay with length 1, is not zero. NaN is not zero."""
    with np.errstate(invalid="ignore"):  # comparing with some kinds of NaN warns
        return np.asarray((array != 0).any(axis=axis, keepdims=True))


def check_order(path: Path, name: str, shape: tuple[int, ...], axes: str) -> None:
    """Raise `BadInput` where k-space has a matrix (its last two axes) that nobody measures and two first axes that could be one.

    Then its axes are in MATLAB's order, as a program other than MATLAB may have written them.
    """
    if len(shape) > 3 and min(shape[-2:]) < SMALLEST and min(shape[:2]) >= 2 * SMALLEST:
        scans, (y, x) = math.prod(shape[:2]), shape[-2:]
        found = f"{name} {shape}, {scans} images of {y}x{x}: are the axes in MATLAB's order?"
        raise BadInput(path, found=found, expected=f"{axes} in HDF5's order, in which MATLAB's own -v7.3 files have it")


@checked
def acquired_only(
    kspace: Complex[np.ndarray, "frames coils *k"],
    mask: Bool[np.ndarray, "_ 1 *sampled"],
    path: Path,
    scan_id: str,
    whole: bool = True,
) -> tuple[Complex[Tensor, "1 frames coils *k"], Bool[Tensor, "1 frames 1 *k"]]:
    """Return k-space that is zero wherever it was not acquired, and its mask, which may be given with axes of length 1 where it is
    constant. Raises `BadInput` for acquired samples that are not finite, and for a mask that samples nothing, unless it is that of a piece
    and not of a whole scan."""
    if whole and not mask.any():
        raise samples_nothing(path, scan_id)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused below
        kept = np.where(mask, kspace, 0).astype(np.complex64, order="C")
    if bad := int((~np.isfinite(kept)).sum()):
        raise BadInput(path, found=f"{bad} acquired samples of {scan_id} that are not finite", expected="finite k-space")
    full = np.array(np.broadcast_to(mask, (kept.shape[0], 1, *kept.shape[2:])))
    return torch.from_numpy(kept)[None], torch.from_numpy(full)[None]


def finite(array: np.ndarray, path: Path, what: str) -> Tensor:
    """Return a copy of the values as a complex64 tensor. Raises `BadInput` where some are not finite; `what` names them."""
    with np.errstate(invalid="ignore", over="ignore"):
        kept = np.array(array, dtype=np.complex64, order="C")
    if bad := int((~np.isfinite(kept)).sum()):
        raise BadInput(path, found=f"{what} with {bad} values that are not finite", expected="finite values")
    return torch.from_numpy(kept)
