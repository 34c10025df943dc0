"""ISMRMRD (MRD) files of Cartesian acquisitions, read in bulk."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.base import UNREADABLE, Archive, holds, unknown_scan
from ssrecon.archive.geometry import is_partial_fourier, remove_readout_oversampling
from ssrecon.archive.ismrmrd_header import parse_header
from ssrecon.archive.ismrmrd_lines import read_lines, usable_readout
from ssrecon.archive.ismrmrd_sorting import Sorted, sort_acquisitions
from ssrecon.errors import BadInput
from ssrecon.scan import Calibration, Header, Scan

EDGE = 2
"""Samples dropped where an asymmetric echo begins: removing the oversampling has mixed them with what was not acquired."""


class ISMRMRD(Archive):
    """An ISMRMRD file of a Cartesian scan in two or three dimensions, one scan a slice (or slab).

    - Lines are sorted by their counters into the encoded matrix, with the centre of k-space (Siemens: ``idx.user[5]`` and ``[6]``, else the
      header's encoding limits, else half the matrix) at N // 2. The mask is what was acquired, along an asymmetric echo sample by sample.
    - Readout oversampling is removed before anything else.
    - Averages are averaged. Several contrasts, phases, repetitions or sets are frames.
    - Calibration lines flagged "and imaging" are imaging lines. Those flagged "calibration" only are imaging lines too where the header's
      calibration mode is embedded or interleaved, as they belong to the same measurement; else all flagged lines become `Scan.calibration`.
    - Noise readouts are kept as they are, with ``noise_bandwidth_ratio = t_noise / (t_image b averages)``: t is the time of a sample and b
      the receiver's relative noise bandwidth, .793 on Siemens systems (Kellman and McVeigh, doi:10.1002/mrm.20713).
    - Navigators, phase-correction and dummy lines are left out, which `Header.notes` says. Reversed lines, trajectories other than
      Cartesian and compressed samples are refused.

    Inati et al. ISMRM Raw data format. Magn Reson Med 77:411-421 (2017). doi:10.1002/mrm.26089
    """

    layout: ClassVar[str] = "an ISMRMRD file (HDF5 group with 'xml' and acquisitions in 'data')"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return holds(path, lambda file: bool(_groups(file)))

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        lines = self._sorted
        return tuple(self._header(int(index)) for index in np.unique(lines.counter("slice", lines.imaging)))

    def read(self, scan_id: str) -> Scan:
        known = {header.scan_id: header for header in self.headers}
        if scan_id not in known:
            raise unknown_scan(self.path, scan_id, tuple(known))
        lines, header = self._sorted, known[scan_id]
        here = lines.imaging[lines.counter("slice", lines.imaging) == header.slice]
        kspace, mask, averages = self._grid(here, lines.frames, scan_id)
        apart = lines.calibration[lines.counter("slice", lines.calibration) == header.slice]
        calibration = None
        if len(apart):
            first = apart[lines.counter(lines.frame_counter, apart) == lines.counter(lines.frame_counter, apart).min()]
            calibration = Calibration(*self._grid(first, tuple(np.unique(lines.counter(lines.frame_counter, first))), scan_id)[:2])
        return Scan(
            header=header,
            kspace=kspace,
            mask=mask,
            padding=torch.zeros_like(mask),  # nothing in this format was filled in by anyone
            noise=self._noise,
            noise_bandwidth_ratio=self._noise_bandwidth_ratio(here) / averages,
            calibration=calibration,
        )

    def _grid(self, indices: np.ndarray, frames: tuple[int, ...], scan_id: str) -> tuple[Tensor, Tensor, float]:
        """Lines into k-space ``(1, frames, coils, *k)``, with its mask and the mean number of averages."""
        found = self._sorted
        samples = found.encoding.encoded_matrix[2]
        places = self._places(indices, frames)
        count = len(frames) * int(np.prod(found.shape[:-1]))
        total = torch.zeros(count, found.coils, samples, dtype=torch.complex64)
        times = torch.zeros(count, samples)
        readouts, acquired = self._readouts(indices, scan_id)
        total.index_add_(0, places, readouts)
        times.index_add_(0, places, acquired.float())
        total /= times.clamp(min=1)[:, None]
        kept = found.encoding.readout_kept
        mask = _mask_without_oversampling(times > 0, kept)
        kspace = torch.where(mask[:, None], remove_readout_oversampling(total, kept), 0)
        averages = float(times.sum() / (times > 0).sum())
        kspace = kspace.reshape(len(frames), *found.shape[:-1], found.coils, kept).movedim(-2, 1)
        return kspace[None].contiguous(), mask.reshape(1, len(frames), 1, *found.shape[:-1], kept), averages

    def _readouts(self, indices: np.ndarray, scan_id: str) -> tuple[Tensor, Tensor]:
        """The lines, each put into the encoded readout with its echo at N // 2, and where they were acquired."""
        found = self._sorted
        samples = found.encoding.encoded_matrix[2]
        readouts = torch.zeros(len(indices), found.coils, samples, dtype=torch.complex64)
        acquired = torch.zeros(len(indices), samples, dtype=torch.bool)
        names = ("number_of_samples", "center_sample", "discard_pre", "discard_post")
        kinds = np.stack([found.heads[name][indices] for name in names], axis=1)
        for kind in np.unique(kinds, axis=0):
            members = np.flatnonzero((kinds == kind).all(axis=1))
            valid, target = usable_readout(tuple(int(v) for v in kind), samples, self.path)
            lines = read_lines(self.path, _group(self.path), indices[members], found.coils, int(kind[0]))[..., valid]
            if not np.isfinite(lines).all():
                bad = int((~np.isfinite(lines)).any(axis=(1, 2)).sum())
                raise BadInput(self.path, found=f"{bad} lines of {scan_id} with samples that are not finite", expected="finite k-space")
            readouts[members, :, target] = torch.from_numpy(lines)
            acquired[members, target] = True
        return readouts, acquired

    def _places(self, indices: np.ndarray, frames: tuple[int, ...]) -> Tensor:
        """The row of each line in the flattened ``(frames, z, y)``."""
        found = self._sorted
        z, y, _ = found.encoding.encoded_matrix
        frame = np.searchsorted(np.asarray(frames), found.counter(found.frame_counter, indices))
        step_2 = found.counter("kspace_encode_step_2", indices) + found.offsets[0]
        step_1 = found.counter("kspace_encode_step_1", indices) + found.offsets[1]
        for name, place, size in (("1", step_1, y), ("2", step_2, z)):
            if place.min() < 0 or place.max() >= size:
                raise BadInput(
                    self.path,
                    found=f"lines at {place.min()} to {place.max()} along encoding step {name}, centre of k-space at {size // 2}",
                    expected=f"lines within the encoded matrix, 0 to {size - 1}",
                )
        return torch.from_numpy((frame * z + step_2) * y + step_1)

    def _header(self, index: int) -> Header:
        found, name = self._sorted, self.path.stem
        encoding, first = found.encoding, 3 - len(found.shape)
        here = found.imaging[found.counter("slice", found.imaging) == index]
        step_1 = found.counter("kspace_encode_step_1", here) + found.offsets[1]
        oversampled = encoding.readout_kept < encoding.encoded_matrix[2]
        fov = (*encoding.encoded_fov[:2], encoding.recon_fov[2] if oversampled else encoding.encoded_fov[2])
        partial = is_partial_fourier(int(step_1.min()), int(step_1.max()), encoding.encoded_matrix[1] // 2, encoding.encoded_matrix[1])
        return Header(
            scan_id=f"{name}/slice-{index:03d}",
            volume_id=name,
            subject=found.header.subject or name,
            slice=index,
            protocol=found.header.protocol,
            vendor=found.header.vendor,
            field_strength=found.header.field_strength,
            encoded_matrix=found.shape,
            recon_matrix=tuple(encoding.recon_matrix)[first:],
            encoded_fov=tuple(fov)[first:],
            recon_fov=tuple(encoding.recon_fov)[first:],
            partial_fourier=partial,
            notes=found.notes,
        )

    @cached_property
    def _noise(self) -> Tensor | None:
        found = self._sorted
        if not len(found.noise):
            return None
        lengths, counts = np.unique(found.heads["number_of_samples"][found.noise], return_counts=True)
        length = int(lengths[counts.argmax()])
        chosen = found.noise[found.heads["number_of_samples"][found.noise] == length]
        noise = read_lines(self.path, _group(self.path), chosen, found.coils, length)
        if not np.isfinite(noise).all():
            raise BadInput(self.path, found="noise readouts with samples that are not finite", expected="finite samples")
        return torch.from_numpy(noise)

    def _noise_bandwidth_ratio(self, imaging: np.ndarray) -> float:
        found = self._sorted
        if not len(found.noise):
            return 1.0
        t_noise, t_image = (float(np.median(found.heads["sample_time_us"][lines])) for lines in (found.noise, imaging))
        ratio = t_noise / t_image if t_noise > 0 and t_image > 0 else 1.0
        return ratio / (found.header.noise_bandwidth or 1.0)

    @cached_property
    def _sorted(self) -> Sorted:
        try:
            with h5py.File(self.path) as file:
                names = _groups(file)
                if not names:
                    raise BadInput(
                        self.path, found=f"an HDF5 file with {', '.join(sorted(file)) or 'nothing'} at its top", expected=self.layout
                    )
                text = file[names[0]]["xml"][0]
                heads = file[names[0]]["data"].fields("head")[:]
        except UNREADABLE as error:
            raise BadInput(self.path, found=f"no readable HDF5 file ({error})", expected=self.layout) from None
        return sort_acquisitions(heads, parse_header(text, self.path), self.path)


def _mask_without_oversampling(mask: Tensor, kept: int) -> Tensor:
    """The mask of readouts after `remove_readout_oversampling`: the nearest acquired samples, less `EDGE` where an echo is cut short."""
    samples = mask.shape[-1]
    if kept >= samples:
        return mask
    nearest = ((torch.arange(kept) - kept // 2) * (samples / kept)).round().long() + samples // 2
    coarse = mask[..., nearest.clamp(0, samples - 1)]
    whole = mask.all(dim=-1, keepdim=True) | ~mask.any(dim=-1, keepdim=True)
    cut = coarse.clone()
    for shift in range(1, EDGE + 1):
        cut[..., :-shift] &= coarse[..., shift:]
        cut[..., shift:] &= coarse[..., :-shift]
    return torch.where(whole, coarse, cut)


def _groups(file: h5py.File) -> list[str]:
    def acquisitions(item: object) -> bool:
        if not (isinstance(item, h5py.Group) and "xml" in item and isinstance(data := item.get("data"), h5py.Dataset)):
            return False
        return data.dtype.names is not None and "head" in data.dtype.names

    names = [name for name in file if acquisitions(file[name])]
    return sorted(names, key=lambda name: (name != "dataset", name))


def _group(path: Path) -> str:
    with h5py.File(path) as file:
        return _groups(file)[0]
