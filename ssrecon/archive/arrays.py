"""Steps that readers of files of arrays share: opening, reading a part, and refusing what cannot be right."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.archive.base import UNREADABLE
from ssrecon.errors import BadInput


@contextmanager
def opened(path: Path, layout: str) -> Iterator[h5py.File]:
    """An HDF5 file; whatever is wrong with it, in it or behind its end becomes a `BadInput` that names it."""
    try:
        with h5py.File(path) as file:
            yield file
    except UNREADABLE as error:
        raise BadInput(path, found=f"a truncated or damaged HDF5 file ({error})", expected=layout) from None


def attribute(item: h5py.Group | h5py.Dataset, name: str, default: Any = "") -> Any:
    """An attribute of a file, bytes as text."""
    value = item.attrs.get(name, default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def acquired_only(
    kspace: Complex[np.ndarray, "frames coils *k"], mask: Bool[np.ndarray, "frames 1 *k"], path: Path, scan_id: str
) -> tuple[Complex[Tensor, "1 frames coils *k"], Bool[Tensor, "1 frames 1 *k"]]:
    """K-space that is zero wherever it was not acquired, and its mask. Raises `BadInput` for acquired samples that are not finite, and for
    a mask that samples nothing."""
    if not mask.any():
        raise BadInput(path, found=f"a mask that samples nothing of {scan_id}", expected="at least one acquired sample")
    kept = np.where(mask, kspace, 0).astype(np.complex64, order="C")
    if bad := int((~np.isfinite(kept)).sum()):
        raise BadInput(path, found=f"{bad} acquired samples of {scan_id} that are not finite", expected="finite k-space")
    full = np.array(np.broadcast_to(mask, (kept.shape[0], 1, *kept.shape[2:])))
    return torch.from_numpy(kept)[None], torch.from_numpy(full)[None]


def finite(array: np.ndarray, path: Path, what: str) -> Tensor:
    """A tensor of its own of complex64 values. Raises `BadInput` where some are not finite."""
    if bad := int((~np.isfinite(array)).sum()):
        raise BadInput(path, found=f"{what} with {bad} values that are not finite", expected="finite values")
    return torch.from_numpy(np.array(array, dtype=np.complex64, order="C"))
