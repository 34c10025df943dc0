"""A fastMRI file's volume besides its samples: which axis is the readout, what was acquired, where columns of zeros were filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.arrays import check_order, not_zero
from ssrecon.archive.cartesian.header import EncodingSpace, FileHeader
from ssrecon.archive.fastmri.about import header_text, positive_or_none
from ssrecon.archive.mrd.header import parse_header
from ssrecon.archive.slices import slice_of, too_large_to_keep
from ssrecon.core.encoding import Encoding, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import complex_dataset, element, opened, other_layout, stored
from ssrecon.sampling.lines import encoding_of

NO_HEADER = "none: padding, fields of view and oversampling are unknown"
"""What notes and doubts say of a file without a header."""


@dataclass(frozen=True)
class Volume:
    """This is what a file says besides its samples. `mask` is (phase,), or (phase, readout) where both axes were phase-encoded."""

    shape: tuple[int, int, int, int]
    """(slices, coils, readout, phase), whichever of the last two comes first in the file."""
    exchanged: bool
    """Whether the file holds the phase before the readout, unlike fastMRI's own."""
    header: FileHeader | None
    attributes: Mapping[str, object]
    mask: Tensor | None
    limits: tuple[int, int]
    """The first phase-encoded column and the one after the last; outside are zeros that the scanner or the converter filled in."""
    noise_bandwidth_ratio: float
    notes: Mapping[str, str]

    @property
    def full_readouts(self) -> bool:
        return self.mask is None or self.mask.ndim == 1

    @property
    def sampled(self) -> Encoding:
        return WholeLines() if self.mask is None or self.mask.ndim == 1 else encoding_of(self.mask.numpy())

    @property
    def encoding(self) -> EncodingSpace | None:
        return self.header.encodings[0] if self.header else None

    @property
    def readout_kept(self) -> int:
        """Samples of a readout without its oversampling, which is known only where the header describes this very readout."""
        encoding, samples = self.encoding, self.shape[2]
        known = encoding is not None and encoding.encoded_matrix[2] == samples
        return encoding.readout_kept if encoding is not None and known and self.full_readouts else samples


def read_volume(path: Path, layout: str) -> Volume:
    """Read what a file says besides its samples. Raises `BadInput` where it is not in fastMRI's layout, which `layout` says in words."""
    with opened(path, layout) as file:
        if (kspace := complex_dataset(file, "kspace", 3, 4)) is None:
            raise other_layout(file, path, layout)
        shape = kspace.shape if kspace.ndim == 4 else (kspace.shape[0], 1, *kspace.shape[1:])
        if min(stored(kspace, path).shape) < 1:
            raise BadInput(path, found=f"kspace {kspace.shape}", expected="no axis of length 0")
        check_order(path, "kspace", kspace.shape, "(slice, coil, readout, phase)")
        if "truth" in file and file["truth"].shape != kspace.shape:
            raise BadInput(path, found=f"truth {file['truth'].shape}", expected=f"the shape of kspace, {kspace.shape}")
        text = header_text(file, path)
        mask = stored(file["mask"], path)[()] if "mask" in file else None
        attributes = {key: element(value) for key, value in file.attrs.items()}
        slow = too_large_to_keep(kspace)
        notes = {"storage": slow} if slow else {}
        header = parse_header(text, path) if text is not None else None
        if header is None:
            notes["header"] = NO_HEADER
        exchanged = _is_exchanged(header, shape, mask, notes)
        shape = (*shape[:2], shape[3], shape[2]) if exchanged else shape
        limits = _limits(kspace, header, shape[3], exchanged, notes)
    if "max" in attributes:
        attributes["max"] = positive_or_none(attributes["max"])
        if attributes["max"] is None:
            notes["max"] = "no positive number: not used"
    ratio = positive_or_none(attributes.get("noise_bandwidth_ratio", 1.0))
    if ratio is None:
        told = attributes["noise_bandwidth_ratio"]
        raise BadInput(path, found=f"noise_bandwidth_ratio {told!r}", expected="a positive number")
    return Volume(
        shape=shape,
        exchanged=exchanged,
        header=header,
        attributes=attributes,
        mask=None if mask is None else _read_mask(np.asarray(mask), shape, exchanged, path),
        limits=limits,
        noise_bandwidth_ratio=ratio,
        notes=notes,
    )


def coil_phase_readout(slice_: np.ndarray, exchanged: bool) -> Tensor:
    """Return a slice as (coil, phase, readout). In the file it is (coil, readout, phase) or (readout, phase), or those `exchanged`."""
    kspace = torch.from_numpy(np.ascontiguousarray(slice_, dtype=np.complex64))
    kspace = kspace if kspace.ndim == 3 else kspace[None]
    return kspace if exchanged else kspace.mT.contiguous()


def _is_exchanged(header: FileHeader | None, shape: tuple[int, ...], mask: np.ndarray | None, notes: dict[str, str]) -> bool:
    """Tell whether the header's matrix says that the last two axes of `shape` are (phase, readout).

    Then its readout is as long as the last axis and not as the one before, and its phase comes nearer to that one. A mask that has as many
    columns as the last axis knows better.
    """
    if header is None:
        return False
    (y, x), (first, last) = header.encodings[0].encoded_matrix[1:], shape[2:]
    if x == first:
        return False
    if x != last or abs(y - first) > abs(y - last):
        notes["encoded matrix"] = f"the header's, {y}x{x} (phase, readout), does not describe k-space of {last}x{first}"
        return False
    if mask is not None and mask.squeeze().shape == (last,):
        notes["encoded matrix"] = f"the header's, {y}x{x} (phase, readout), is exchanged: the mask has {last} columns"
        return False
    notes["axes"] = f"exchanged in the file: its header says {y}x{x} (phase, readout), and k-space {first}x{last} was read so"
    return True


def _read_mask(mask: np.ndarray, shape: tuple[int, ...], exchanged: bool, path: Path) -> Tensor:
    samples, phase = shape[2], shape[3]
    squeezed = mask.squeeze().T if exchanged else mask.squeeze()
    if squeezed.shape not in ((phase,), (samples, phase)):
        raise BadInput(path, found=f"a mask of shape {mask.shape}", expected=f"({phase},) or ({samples}, {phase}), as kspace has it")
    sampled = torch.from_numpy(squeezed != 0)
    if not sampled.any():
        raise BadInput(path, found="a mask that samples nothing", expected="at least one acquired column")
    if sampled.ndim == 2 and bool((sampled == sampled[:1]).all()):
        return sampled[0]  # whole columns, written out in two dimensions
    return sampled.mT.contiguous() if sampled.ndim == 2 else sampled


def _limits(kspace: h5py.Dataset, header: FileHeader | None, phase: int, exchanged: bool, notes: dict[str, str]) -> tuple[int, int]:
    """Return the first column that was encoded and the one after the last.

    By fastMRI's rule DC is at phase // 2, so that the first column is phase // 2 - center, and maximum + 1 columns follow.
    """
    limit = header.encodings[0].step_1 if header else None
    if limit is None:
        return 0, phase
    first = phase // 2 - limit.center
    last = first + limit.maximum
    if first < 0 or last >= phase:
        notes["encoding limits"] = f"they put columns {first} to {last} into {phase}: not used"
        return 0, phase
    if last + 1 - first < phase and _holds_samples_outside(kspace, first, last, exchanged):
        notes["encoding limits"] = f"columns outside {first} to {last} hold samples: not used"
        return 0, phase
    return first, last + 1


def _holds_samples_outside(kspace: h5py.Dataset, first: int, last: int, exchanged: bool) -> bool:
    """Tell whether the middle slice has anything outside these columns: then the limits do not describe this k-space."""
    middle = coil_phase_readout(slice_of(kspace, len(kspace) // 2), exchanged).numpy()
    return any(bool(not_zero(side, None).any()) for side in (middle[:, :first], middle[:, last + 1 :]))
