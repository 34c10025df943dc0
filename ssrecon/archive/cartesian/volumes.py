"""Lines of a Cartesian measurement, however a file holds them, to scans: what ISMRMRD and the vendors' own formats have in common."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.arrays import finite
from ssrecon.archive.base import slice_fields
from ssrecon.archive.cartesian.lines import usable_readout
from ssrecon.archive.cartesian.orientation import geometry_of
from ssrecon.archive.cartesian.oversampling import remove_readout_oversampling
from ssrecon.archive.cartesian.sorting import Sorted
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Calibration, Header, Scan

EDGE = 2
"""Samples dropped where an asymmetric echo begins: removing the oversampling has mixed them with what was not acquired."""

SPARSEST = 64
"""Locations of the matrix for each that was acquired; a sparser scan is a damaged header, which would ask for gigabytes."""

ReadLines = Callable[[np.ndarray, int, int], np.ndarray]
"""Lines of the file, by their indices (ascending), coils and samples, as ``(lines, coils, samples)`` complex64."""


@dataclass(frozen=True)
class CartesianLines:
    """These are one measurement's lines, sorted by what they are for, with a way to read them: from them come headers and scans."""

    path: Path
    volume_id: str
    found: Sorted
    read_lines: ReadLines

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        found = self.found
        return tuple(self._header(int(index)) for index in np.unique(found.counter("slice", found.imaging)))

    def scan(self, header: Header) -> Scan:
        """Read the scan of one of `headers` from the disk."""
        found = self.found
        here = found.imaging[found.counter("slice", found.imaging) == header.slice]
        count = len(found.frames) * int(np.prod(found.shape[:-1]))
        if count > SPARSEST * len(here):
            raise BadInput(
                self.path,
                found=f"{len(here)} lines for a matrix of {count} in {header.scan_id}",
                expected=f"at least one line in {SPARSEST}: the header or the counters are damaged",
            )
        kspace, mask, averages = self._grid(here, found.frames, header.scan_id)
        apart, frames = self._first_calibration(header.slice)
        calibration = Calibration(*self._grid(apart, frames, header.scan_id)[:2]) if len(apart) else None
        return Scan(
            header=header,
            kspace=kspace,
            mask=mask,
            padding=torch.zeros_like(mask),  # nothing in these formats was filled in by anyone
            noise=self._noise,
            noise_bandwidth_ratio=self._noise_bandwidth_ratio(here) / averages,
            calibration=calibration,
        )

    def partitions(self, header: Header) -> Iterator[tuple[int, Scan]]:
        """Yield the scan of a 3-D header, one partition after another: no more than that is in memory."""
        found = self.found
        here = found.imaging[found.counter("slice", found.imaging) == header.slice]
        apart, frames = self._first_calibration(header.slice)
        count = found.encoding.encoded_matrix[0]
        flat = replace(self, found=replace(found, encoding=replace(found.encoding, encoded_matrix=(1, *found.encoding.encoded_matrix[1:]))))
        ratio = self._noise_bandwidth_ratio(here) / self._mean_averages(here)
        for z in range(count):
            lines, apart_here = (kind[found.counter("kspace_encode_step_2", kind) + found.offsets[0] == z] for kind in (here, apart))
            kspace, mask = flat._grid_partition(lines, found.frames, header.scan_id, z)
            calibration = Calibration(*flat._grid_partition(apart_here, frames, header.scan_id, z)) if len(apart) else None
            yield z, Scan(header, kspace, mask, torch.zeros_like(mask), self._noise, ratio, calibration)

    def not_transformable(self, header: Header) -> str:
        """The lines' headers tell it (see `Archive.not_transformable`)."""
        found = self.found
        here = np.concatenate([found.imaging, found.calibration])
        here = here[found.counter("slice", here) == header.slice]
        samples = found.encoding.encoded_matrix[2]
        names = ("number_of_samples", "center_sample", "discard_pre", "discard_post")
        kinds = np.unique(np.stack([found.heads[name][here] for name in names], axis=1), axis=0)
        spans = [usable_readout(tuple(int(v) for v in kind), samples, self.path)[1] for kind in kinds]
        return (
            ""
            if all(span == slice(0, samples) for span in spans)
            else "readouts that are not whole: an asymmetric echo, or samples to be discarded"
        )

    def _first_calibration(self, slice_: int) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return the calibration lines of a slice that belong to the first frame of them, and this frame; none where there are none."""
        found = self.found
        lines = found.calibration[found.counter("slice", found.calibration) == slice_]
        if not len(lines):
            return lines, ()
        first = found.frame(lines).min()
        return lines[found.frame(lines) == first], (int(first),)

    def _grid_partition(self, indices: np.ndarray, frames: tuple[int, ...], scan_id: str, z: int) -> tuple[Tensor, Tensor]:
        """Return one partition, ``(1, frames, coils, 1, y, x)``, and its mask. It takes a copy of these lines whose encoding has one."""
        found = self.found
        y, kept = found.shape
        if not len(indices):
            shape = (1, len(frames), found.coils, 1, y, kept)
            return torch.zeros(shape, dtype=torch.complex64), torch.zeros(1, len(frames), 1, 1, y, kept, dtype=torch.bool)
        here = replace(self, found=replace(found, offsets=(found.offsets[0] - z, found.offsets[1])))
        kspace, mask, _ = here._grid(indices, frames, scan_id)
        return kspace.unsqueeze(3), mask.unsqueeze(3)

    def _mean_averages(self, indices: np.ndarray) -> float:
        """Return the mean number of lines of a place."""
        found = self.found
        steps = [found.counter(name, indices) for name in ("kspace_encode_step_2", "kspace_encode_step_1")]
        places = np.stack([found.frame(indices), *steps], axis=1)
        return len(places) / len(np.unique(places, axis=0))

    def _grid(self, indices: np.ndarray, frames: tuple[int, ...], scan_id: str) -> tuple[Tensor, Tensor, float]:
        """Put lines into k-space ``(1, frames, coils, *k)``; return it with its mask and the mean number of averages."""
        found = self.found
        samples = found.encoding.encoded_matrix[2]
        places = self._rows_of_lines(indices, frames)
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
        if not torch.isfinite(torch.view_as_real(kspace)).all():
            raise BadInput(self.path, found=f"samples of {scan_id} too large to be transformed", expected="undamaged k-space")
        averages = float(times.sum() / (times > 0).sum())
        kspace = kspace.reshape(len(frames), *found.shape[:-1], found.coils, kept).movedim(-2, 1)
        return kspace[None].contiguous(), mask.reshape(1, len(frames), 1, *found.shape[:-1], kept), averages

    def _readouts(self, indices: np.ndarray, scan_id: str) -> tuple[Tensor, Tensor]:
        """Return the lines, each put into the encoded readout with its echo at N // 2, and where they were acquired."""
        found = self.found
        samples = found.encoding.encoded_matrix[2]
        readouts = torch.zeros(len(indices), found.coils, samples, dtype=torch.complex64)
        acquired = torch.zeros(len(indices), samples, dtype=torch.bool)
        names = ("number_of_samples", "center_sample", "discard_pre", "discard_post")
        kinds = np.stack([found.heads[name][indices] for name in names], axis=1)
        for kind in np.unique(kinds, axis=0):
            members = np.flatnonzero((kinds == kind).all(axis=1))
            valid, target = usable_readout(tuple(int(v) for v in kind), samples, self.path)
            lines = self.read_lines(indices[members], found.coils, int(kind[0]))[..., valid]
            if not np.isfinite(lines).all():
                bad = int((~np.isfinite(lines)).any(axis=(1, 2)).sum())
                raise BadInput(self.path, found=f"{bad} lines of {scan_id} with samples that are not finite", expected="finite k-space")
            readouts[members, :, target] = torch.from_numpy(lines)
            acquired[members, target] = True
        return readouts, acquired

    def _rows_of_lines(self, indices: np.ndarray, frames: tuple[int, ...]) -> Tensor:
        """Return the row of each line in the flattened ``(frames, z, y)``."""
        found = self.found
        z, y, _ = found.encoding.encoded_matrix
        frame = np.searchsorted(np.asarray(frames), found.frame(indices))
        step_2 = found.counter("kspace_encode_step_2", indices) + found.offsets[0]
        step_1 = found.counter("kspace_encode_step_1", indices) + found.offsets[1]
        return torch.from_numpy((frame * z + step_2) * y + step_1)

    def _header(self, index: int) -> Header:
        found = self.found
        encoding, first = found.encoding, 3 - len(found.shape)
        here = found.imaging[found.counter("slice", found.imaging) == index]
        fov = (*encoding.encoded_fov[:2], encoding.encoded_fov[2] * encoding.readout_kept / encoding.encoded_matrix[2])
        notes = dict(found.notes)
        geometry = geometry_of(found.heads[here], encoding, found.header, notes)
        return Header(
            **slice_fields(self.volume_id, index),
            subject=found.header.subject or self.path.stem,
            **found.header.shared,
            encoded_matrix=found.shape,
            recon_matrix=tuple(encoding.recon_matrix)[first:],
            encoded_fov=tuple(fov)[first:],
            recon_fov=tuple(encoding.recon_fov)[first:],
            geometry=geometry,
            notes=notes,
            doubts=found.doubts,
        )

    @cached_property
    def _noise(self) -> Tensor | None:
        found = self.found
        if not len(found.noise):
            return None
        lengths, counts = np.unique(found.heads["number_of_samples"][found.noise], return_counts=True)
        length = int(lengths[counts.argmax()])
        chosen = found.noise[found.heads["number_of_samples"][found.noise] == length]
        noise = self.read_lines(chosen, found.coils, length)
        return finite(noise, self.path, "noise readouts")

    def _noise_bandwidth_ratio(self, imaging: np.ndarray) -> float:
        found = self.found
        if not len(found.noise):
            return 1.0
        t_noise, t_image = (float(np.median(found.heads["sample_time_us"][lines])) for lines in (found.noise, imaging))
        ratio = t_noise / t_image if t_noise > 0 and t_image > 0 else 1.0
        return ratio / (found.header.noise_bandwidth or 1.0)


def _mask_without_oversampling(mask: Tensor, kept: int) -> Tensor:
    """Return the mask of readouts after `remove_readout_oversampling`: the nearest acquired samples, less `EDGE` where an echo is cut."""
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
