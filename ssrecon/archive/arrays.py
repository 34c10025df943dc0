"""Steps that readers of files of arrays share: opening, reading a part, and refusing what cannot be right."""

import math
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
from ssrecon.archive.pieces import samples_nothing
from ssrecon.core.errors import BadInput


@contextmanager
def opened(path: Path, layout: str) -> Iterator[h5py.File]:
    """An HDF5 file; whatever is wrong with it, in it or behind its end becomes a `BadInput` that names it."""
    try:
        with h5py.File(path) as file:
            yield file
    except UNREADABLE as error:
        raise BadInput(path, found=f"a truncated or damaged HDF5 file ({error})", expected=layout) from None


def stored(data: h5py.Dataset, path: Path) -> h5py.Dataset:
    """The same dataset. Raises `BadInput` where parts of it were never written, which HDF5 would read as zeros, however many they are."""
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        raise BadInput(path, found=f"{data!r}", expected="a dataset with numbers")
    if data.is_virtual or data.external:
        return data
    if data.chunks is None:
        whole = data.id.get_storage_size() >= data.nbytes
    else:
        wanted = math.prod(-(-n // chunk) for n, chunk in zip(data.shape, data.chunks, strict=True))
        whole = data.id.get_num_chunks() >= wanted
    if not whole:
        held = data.id.get_storage_size()
        raise BadInput(path, found=f"{data.name} {data.shape}, of which {held} bytes were written", expected="a dataset written in full")
    return data


def attribute(item: h5py.Group | h5py.Dataset, name: str, default: Any = "") -> Any:
    """An attribute of a file, bytes as text."""
    value = item.attrs.get(name, default)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def top_names(file: h5py.File) -> list[str]:
    """What is at the top of a file, by name. Names that are no text are bytes in h5py: nothing is called so."""
    return sorted(name for name in file if isinstance(name, str))


def not_zero(array: np.ndarray, axis: int | tuple[int, ...] | None) -> np.ndarray:
    """Where anything along the axes, which stay with length 1, is not zero; NaN is not, of whatever kind (comparing with some warns)."""
    with np.errstate(invalid="ignore"):
        return np.asarray((array != 0).any(axis=axis, keepdims=True))


def acquired_only(
    kspace: Complex[np.ndarray, "frames coils *k"], mask: Bool[np.ndarray, "frames 1 *k"], path: Path, scan_id: str, whole: bool = True
) -> tuple[Complex[Tensor, "1 frames coils *k"], Bool[Tensor, "1 frames 1 *k"]]:
    """K-space that is zero wherever it was not acquired, and its mask. Raises `BadInput` for acquired samples that are not finite, and for
    a mask that samples nothing, unless it is that of a piece and not of a whole scan."""
    if whole and not mask.any():
        raise samples_nothing(path, scan_id)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused below
        kept = np.where(mask, kspace, 0).astype(np.complex64, order="C")
    if bad := int((~np.isfinite(kept)).sum()):
        raise BadInput(path, found=f"{bad} acquired samples of {scan_id} that are not finite", expected="finite k-space")
    full = np.array(np.broadcast_to(mask, (kept.shape[0], 1, *kept.shape[2:])))
    return torch.from_numpy(kept)[None], torch.from_numpy(full)[None]


def finite(array: np.ndarray, path: Path, what: str) -> Tensor:
    """A tensor of its own of complex64 values. Raises `BadInput` where some are not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        kept = np.array(array, dtype=np.complex64, order="C")
    if bad := int((~np.isfinite(kept)).sum()):
        raise BadInput(path, found=f"{what} with {bad} values that are not finite", expected="finite values")
    return torch.from_numpy(kept)
