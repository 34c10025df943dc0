"""fastMRI's files: one volume a file, slices of multi-coil or single-coil k-space."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.arrays import check_order, finite, not_zero
from ssrecon.archive.base import Archive, holds
from ssrecon.archive.cartesian.geometry import remove_readout_oversampling
from ssrecon.archive.cartesian.header import Encoding, FileHeader
from ssrecon.archive.cartesian.orientation import sizes_of
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.hdf5_heap import check_heap
from ssrecon.archive.mrd.header import parse_header
from ssrecon.archive.slices import slice_of, too_large_to_keep
from ssrecon.core.encoding import Encoding as Sampled
from ssrecon.core.encoding import WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.hdf5 import attribute, complex_dataset, element, opened, other_layout, stored
from ssrecon.core.origin import recorded_origin
from ssrecon.core.scan import Header, Scan
from ssrecon.sampling.lines import encoding_of

__all__ = ["FastMRI", "is_m4raw", "write_fastmri"]

NO_HEADER = "none: padding, fields of view and oversampling are unknown"
"""What notes and doubts say of a file without a header."""


@dataclass(frozen=True)
class _Volume:
    """What a file says besides its samples. `mask` is in ssrecon's order: (phase,), or (phase, readout) with both axes phase-encoded."""

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
    def sampled(self) -> Sampled:
        return WholeLines() if self.mask is None or self.mask.ndim == 1 else encoding_of(self.mask.numpy())

    @property
    def encoding(self) -> Encoding | None:
        return self.header.encodings[0] if self.header else None

    @property
    def readout_kept(self) -> int:
        """Samples of a readout after its oversampling is removed; only where the header describes this very readout."""
        encoding, samples = self.encoding, self.shape[2]
        known = encoding is not None and encoding.encoded_matrix[2] == samples
        return encoding.readout_kept if encoding is not None and known and self.full_readouts else samples


class FastMRI(Archive):
    """A fastMRI file: ``kspace`` (slice, coil, readout, phase) or (slice, readout, phase), ``ismrmrd_header``, and ``mask`` in test files.

    - The readout comes last here: the last two axes are swapped, unless the header's matrix says that the file holds them so already, which
      `Header.notes` tells then. Readout oversampling, which fastMRI keeps, is removed.
    - A file without ``mask`` is fully sampled, but for the columns outside the header's encoding limits, which are `Scan.padding`. A mask
      is applied within those limits, as fastMRI does.
    - A two-dimensional mask that changes along both axes says that both are phase-encoded: a slice of a 3-D scan, without a readout.
    - The subject is the attribute ``patient_id``; a file without one is a subject of its own.
    - Read where they are there, as written by `write_fastmri`: datasets ``noise`` (readouts, coils, samples) and ``truth`` (k-space without
      noise), attribute ``noise_bandwidth_ratio``.

    Zbontar et al. fastMRI: an open dataset and benchmarks for accelerated MRI. arXiv:1811.08839.
    Knoll et al. Radiol Artif Intell 2:e190007 (2020). doi:10.1148/ryai.2020190007
    """

    layout: ClassVar[str] = "a fastMRI file (HDF5, complex 'kspace' (slice, coil, readout, phase))"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        def test(file: h5py.File) -> bool:
            # Two formats share the dataset's name: the plain one, which says so, and M4Raw.
            ours = complex_dataset(file, "kspace", 3, 4) is not None
            return ours and attribute(file, "layout") != "ssrecon" and not is_m4raw(file)

        return holds(path, test)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(self._header(index) for index in range(self._volume.shape[0]))

    def read(self, scan_id: str) -> Scan:
        header, volume = self.listed(scan_id), self._volume
        index = header.slice
        with opened(self.path, self.layout) as file:
            kspace = _ours(slice_of(file["kspace"], index), volume.exchanged)
            truth = _ours(slice_of(file["truth"], index), volume.exchanged) if "truth" in file else None
            noise = finite(np.asarray(file["noise"]), self.path, "noise") if "noise" in file else None
        mask, padding = self._masks()
        kspace = self._finite(kspace, mask, scan_id)
        if noise is not None and (noise.ndim != 3 or noise.shape[1] != volume.shape[1]):
            raise BadInput(self.path, found=f"noise {tuple(noise.shape)}", expected=f"(readouts, {volume.shape[1]} coils, samples)")
        kept = volume.readout_kept
        fit = kspace.shape[:-1] + (kept,)
        return Scan(
            header=header,
            kspace=finite(remove_readout_oversampling(kspace, kept).numpy(), self.path, scan_id)[None, None],
            mask=mask[..., :kept].expand(fit[1:])[None, None, None].clone(),
            padding=padding[..., :kept].expand(fit[1:])[None, None, None].clone(),
            noise=noise,
            noise_bandwidth_ratio=volume.noise_bandwidth_ratio,
            truth=None if truth is None else remove_readout_oversampling(truth, kept)[None, None],
        )

    def _finite(self, kspace: Tensor, mask: Tensor, scan_id: str) -> Tensor:
        kspace = torch.where(mask, kspace, 0)
        if not torch.isfinite(torch.view_as_real(kspace)).all():
            count = int((~torch.isfinite(torch.view_as_real(kspace)).all(dim=-1)).sum())
            raise BadInput(self.path, found=f"{count} acquired samples of {scan_id} that are not finite", expected="finite k-space")
        return kspace

    def _masks(self) -> tuple[Tensor, Tensor]:
        """Mask and padding, ``(phase, 1)`` or ``(phase, readout)``."""
        volume = self._volume
        columns = torch.arange(volume.shape[3])[:, None]
        padding = (columns < volume.limits[0]) | (columns >= volume.limits[1])
        mask = torch.ones_like(padding) if volume.mask is None else volume.mask.reshape(volume.shape[3], -1)
        return mask & ~padding, padding

    def _header(self, index: int) -> Header:
        volume, name = self._volume, self.path.stem
        file, encoding = volume.header, volume.encoding
        phase, kept = volume.shape[3], volume.readout_kept
        largest = volume.attributes.get("max")
        return Header(
            scan_id=f"{name}/slice-{index:03d}",
            volume_id=name,
            subject=str(volume.attributes.get("patient_id", "")) or (file.subject if file else "") or name,
            slice=index,
            protocol=file.protocol if file else "",
            contrast=str(volume.attributes.get("acquisition", "")),
            origin=recorded_origin(str(volume.attributes.get("origin", "")), file.vendor if file else ""),
            vendor=file.vendor if file else "",
            site=file.site if file else "",
            scanner=file.scanner if file else "",
            field_strength=file.field_strength if file else None,
            **(file.timing if file else {}),
            geometry=self._geometry,
            encoded_matrix=(phase, kept),
            recon_matrix=encoding.recon_matrix[1:] if encoding else (phase, kept),
            encoded_fov=(encoding.encoded_fov[1], encoding.encoded_fov[2] * kept / volume.shape[2]) if encoding else (),
            recon_fov=encoding.recon_fov[1:] if encoding else (),
            encoding=volume.sampled,
            volume_max=largest if isinstance(largest, float) else None,
            notes=volume.notes,
            doubts={} if file else {"no header": NO_HEADER},
        )

    @property
    def _geometry(self) -> Geometry:
        """fastMRI's headers tell sizes and no directions; and not even sizes of a slice that was cut out of a 3-D scan elsewhere."""
        header, encoding, volume = self._volume.header, self._volume.encoding, self._volume
        if header is None or encoding is None:
            return Geometry()
        whole = volume.full_readouts and encoding.encoded_matrix == (1, volume.shape[3], volume.shape[2])
        return sizes_of(encoding, header) if whole else Geometry(patient_position=header.patient_position)

    @cached_property
    def _volume(self) -> _Volume:
        with opened(self.path, self.layout) as file:
            if (kspace := complex_dataset(file, "kspace", 3, 4)) is None:
                raise other_layout(file, self.path, self.layout)
            shape = kspace.shape if kspace.ndim == 4 else (kspace.shape[0], 1, *kspace.shape[1:])
            if min(stored(kspace, self.path).shape) < 1:
                raise BadInput(self.path, found=f"kspace {kspace.shape}", expected="no axis of length 0")
            check_order(self.path, "kspace", kspace.shape, "(slice, coil, readout, phase)")
            text = header_text(file, self.path)
            mask = stored(file["mask"], self.path)[()] if "mask" in file else None
            for name in {"truth"} & set(file):
                if file[name].shape != kspace.shape:
                    raise BadInput(self.path, found=f"{name} {file[name].shape}", expected=f"the shape of kspace, {kspace.shape}")
            attributes = {key: element(value) for key, value in file.attrs.items()}
            slow = too_large_to_keep(kspace)
        notes = {"storage": slow} if slow else {}
        if "max" in attributes:
            attributes["max"] = _positive(attributes["max"])
            if attributes["max"] is None:
                notes["max"] = "no positive number: not used"
        ratio = _positive(attributes.get("noise_bandwidth_ratio", 1.0))
        if ratio is None:
            told = attributes["noise_bandwidth_ratio"]
            raise BadInput(self.path, found=f"noise_bandwidth_ratio {told!r}", expected="a positive number")
        header = parse_header(text, self.path) if text is not None else None
        if header is None:
            notes["header"] = NO_HEADER
        exchanged = _is_exchanged(header, shape, mask, notes)
        shape = (*shape[:2], shape[3], shape[2]) if exchanged else shape
        return _Volume(
            shape=shape,
            exchanged=exchanged,
            header=header,
            attributes=attributes,
            mask=None if mask is None else self._read_mask(np.asarray(mask), shape, exchanged),
            limits=self._limits(header, shape[3], exchanged, notes),
            noise_bandwidth_ratio=ratio,
            notes=notes,
        )

    def _read_mask(self, mask: np.ndarray, shape: tuple[int, ...], exchanged: bool) -> Tensor:
        samples, phase = shape[2], shape[3]
        squeezed = mask.squeeze().T if exchanged else mask.squeeze()
        if squeezed.shape not in ((phase,), (samples, phase)):
            raise BadInput(
                self.path, found=f"a mask of shape {mask.shape}", expected=f"({phase},) or ({samples}, {phase}), as kspace has it"
            )
        sampled = torch.from_numpy(squeezed != 0)
        if not sampled.any():
            raise BadInput(self.path, found="a mask that samples nothing", expected="at least one acquired column")
        if sampled.ndim == 2 and bool((sampled == sampled[:1]).all()):
            return sampled[0]  # whole columns, written out in two dimensions
        return sampled.mT.contiguous() if sampled.ndim == 2 else sampled

    def _limits(self, header: FileHeader | None, phase: int, exchanged: bool, notes: dict[str, str]) -> tuple[int, int]:
        """fastMRI's rule: DC is at phase // 2, so that the first column is phase // 2 - center, and maximum + 1 columns follow."""
        limit = header.encodings[0].step_1 if header else None
        if limit is None:
            return 0, phase
        first = phase // 2 - limit.center
        last = first + limit.maximum
        if first < 0 or last >= phase:
            notes["encoding limits"] = f"they put columns {first} to {last} into {phase}: not used"
            return 0, phase
        if last + 1 - first < phase and self._holds_samples(first, last, exchanged):
            notes["encoding limits"] = f"columns outside {first} to {last} hold samples: not used"
            return 0, phase
        return first, last + 1

    def _holds_samples(self, first: int, last: int, exchanged: bool) -> bool:
        """Whether the middle slice has anything outside these columns: then the limits do not describe this k-space."""
        with opened(self.path, self.layout) as file:
            middle = _ours(slice_of(file["kspace"], len(file["kspace"]) // 2), exchanged).numpy()
        return any(bool(not_zero(side, None).any()) for side in (middle[:, :first], middle[:, last + 1 :]))


def is_m4raw(file: h5py.File) -> bool:
    """Whether a file of fastMRI's layout is of M4Raw: its header lists the repetitions, or it has four coils and .3 T (fastMRI has 1.5 T
    and 3 T). See `ssrecon.archive.m4raw`."""
    kspace = file.get("kspace")
    if not isinstance(kspace, h5py.Dataset) or kspace.ndim != 4:
        return False
    try:
        header = header_text(file, Path(file.filename))
    except BadInput:
        return False  # FastMRI says so when it reads it
    if not isinstance(header, str):
        return False
    if "repetitionInformation" in header or "repetitionLabel" in header:
        return True
    told = re.search(r"systemFieldStrength_T>\s*([\d.]+)\s*<", header)
    return kspace.shape[1] == 4 and told is not None and 0.2 < float(told.group(1)) < 0.4


def header_text(file: h5py.File, path: Path) -> object:
    """What a file has for an ISMRMRD header; None where it has none. Raises `BadInput` where it is damaged, or no dataset."""
    text = file.get("ismrmrd_header")
    if isinstance(text, h5py.Dataset):
        check_heap(path, text)
        return element(text[()]) if text.size == 1 else text[()]
    if text is not None:
        raise BadInput(path, found="an ismrmrd_header that is no text", expected="an ISMRMRD header")
    return None


def _positive(value: object) -> float | None:
    number = float(value) if isinstance(value, (int, float, np.integer, np.floating)) else math.nan
    return number if math.isfinite(number) and number > 0 else None


def _ours(slice_: np.ndarray, exchanged: bool) -> Tensor:
    """(coil, readout, phase) or (readout, phase) in the file, or those `exchanged`, becomes (coil, phase, readout)."""
    kspace = torch.from_numpy(np.ascontiguousarray(slice_, dtype=np.complex64))
    kspace = kspace if kspace.ndim == 3 else kspace[None]
    return kspace if exchanged else kspace.mT.contiguous()


def _is_exchanged(header: FileHeader | None, shape: tuple[int, ...], mask: np.ndarray | None, notes: dict[str, str]) -> bool:
    """Whether the header's matrix says that the last two axes of `shape` are (phase, readout): its readout is as long as the last axis and
    not as the one before, and its phase comes nearer to that one. A mask that has as many columns as the last axis knows better."""
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
