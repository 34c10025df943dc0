"""3-D Cartesian scans as what they are trained on: slices across the readout, which is Fourier transformed ("hybrid slices").

A 3-D Cartesian scan is undersampled along its two phase-encoded axes only. Transformed along the readout it falls into independent problems

.. math:: y_x(k_z, k_y) = \\sum_{z, y} S_x(z, y)\\, m_x(z, y)\\, e^{-2\\pi i (k_z z / N_z + k_y y / N_y)} + n ,

one a readout position x, all with the same mask; the transform is orthonormal, so that the noise stays white and of the same variance.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from ssrecon.archive import Archive
from ssrecon.archive.base import unknown_scan
from ssrecon.archive.deidentified import without_names
from ssrecon.archive.pieces import masks, uneven
from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput
from ssrecon.core.files import whole_file
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.operators import Fourier
from ssrecon.privacy.pseudonyms import own_words


@dataclass(frozen=True)
class _Source:
    """A scan that is given here is read from another scan, by its id, and has a header of its own."""

    scan_id: str
    header: Header


class Hybrid(Archive):
    """This archive gives the 3-D Cartesian scans of another one, where their readouts are whole, as hybrid slices ``kz ky``.

    Everything else is as it was.

    `Header.notes` say what was done, and of scans that stay 3-D why: an asymmetric echo, points left out along the readout, or padding
    along it, where the transform would mix what was acquired with what was not.

    A scan is transposed at the first read of one of its slices, partition by partition where the format can give them
    (`Archive.partitions`), into a file in `scratch`, from which a slice is one read; without `scratch` it is kept in memory, one scan at a
    time. `discard` removes the files; the folder is left, as other processes may be about to put theirs into it.
    """

    is_deidentified = True

    def __init__(self, archive: Archive, scratch: Path | None = None, slices: Mapping[str, "_Source"] | None = None):
        """With `slices` it is not asked which scans of `archive` are transformed: these are all there are (`part`)."""
        self.archive, self.scratch, self.path = without_names(archive), scratch, archive.path
        self._known_slices = slices
        self._in_memory: tuple[str, dict[str, Any]] | None = None

    @staticmethod
    def of(archive: Archive, scratch: Path | None = None) -> Archive:
        """Return an archive around another one, or that one itself where it holds nothing in three dimensions."""
        return Hybrid(archive, scratch) if any(_is_volume(header) for header in archive.headers) else archive

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False

    @property
    def skipped(self) -> Mapping[str, str]:
        return self.archive.skipped

    def files(self, volume_id: str) -> tuple[Path, ...]:
        return self.archive.files(volume_id)

    def content(self, volume_id: str) -> str:
        return self.archive.content(volume_id)

    def part(self, volume_id: str) -> "Hybrid":
        smaller = self.archive.part(volume_id)
        kept = {header.volume_id for header in smaller.headers}
        return Hybrid(smaller, self.scratch, {name: source for name, source in self._slices.items() if source.header.volume_id in kept})

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(source.header for source in self._slices.values())

    @cached_property
    def _slices(self) -> Mapping[str, "_Source"]:
        """This maps the ids of the scans that are given here to what they are read from."""
        return self._transformed() if self._known_slices is None else self._known_slices

    def _transformed(self) -> dict[str, "_Source"]:
        found: dict[str, _Source] = {}
        for header in self.archive.headers:
            if not _is_volume(header):
                found[header.scan_id] = _Source(header.scan_id, header)
            elif reason := self._why_not(header.scan_id):
                found[header.scan_id] = _Source(header.scan_id, replace(header, notes={**header.notes, "native": reason}))
            else:
                for x in range(header.encoded_matrix[2]):
                    own = _slice_header(header, x)
                    found[own.scan_id] = _Source(header.scan_id, own)
        return found

    def _why_not(self, scan_id: str) -> str:
        """Say why a scan stays three-dimensional; the text is empty where it does not.

        One that cannot be looked at stays so too: it does not hold up the others, and whoever reads it gets its error.
        """
        try:
            return self.archive.not_transformable(scan_id)
        except BadInput as error:
            return own_words(f"cannot be read: found {error.found}; expected {error.expected}")

    def read_from(self, scan_id: str) -> str:
        """Return the id that the scan which is read for a slice has in the archive underneath. Raises `BadInput` for an unknown id."""
        if scan_id not in self._slices:
            raise unknown_scan(self.path, scan_id, tuple(self._slices))
        return self._slices[scan_id].scan_id

    def read(self, scan_id: str) -> Scan:
        whole = self.read_from(scan_id)
        header = self.with_draw_key(self._slices[scan_id].header)
        if whole == scan_id:
            return replace(self.archive.read(scan_id), header=header)
        if self.scratch is not None:
            target = self._scratch_file(whole)
            if not target.exists():
                with whole_file(target) as partial, h5py.File(partial, "w") as file:
                    _write_transposed(self.archive.partitions(whole), file)
            with h5py.File(target) as file:
                return _read_slice(file, header)
        if self._in_memory is None or self._in_memory[0] != whole:
            self._in_memory = (whole, _MemoryFile())
            _write_transposed(self.archive.partitions(whole), self._in_memory[1])
        return _read_slice(self._in_memory[1], header)

    def discard(self, volume_id: str) -> None:
        """Remove the files of a volume, and what a killed process left half-written of them."""
        self._in_memory = None
        if self.scratch is None or not self.scratch.exists():
            return
        for whole in {source.scan_id for source in self._slices.values() if source.header.volume_id == volume_id}:
            place = self._scratch_file(whole)
            for file in (place, *self.scratch.glob(f".{place.name}.*.partial")):
                file.unlink(missing_ok=True)

    def _scratch_file(self, whole: str) -> Path:
        assert self.scratch is not None
        return self.scratch / f"{blake2b(whole.encode(), digest_size=8).hexdigest()}.h5"


def hybrid_slices(scan: Scan) -> Iterator[Scan]:
    """Yield a scan in memory as `Hybrid` gives it: a 3-D scan of whole readouts slice by slice, anything else as it is."""
    if not _is_volume(scan.header):
        yield scan
    elif reason := uneven([masks(scan)]):
        yield replace(scan, header=replace(scan.header, notes={**scan.header.notes, "native": reason}))
    else:
        held = _MemoryFile()
        _write_transposed([(0, scan)], held)
        for x in range(scan.header.encoded_matrix[2]):
            yield _read_slice(held, _slice_header(scan.header, x))


def _is_volume(header: Header) -> bool:
    return len(header.encoded_matrix) == 3 and header.encoding.has_readout


def _slice_header(header: Header, x: int) -> Header:
    z, y, samples = header.encoded_matrix
    return replace(
        header,
        scan_id=f"{header.scan_id}/readout-{x:03d}",
        slice=header.slice * samples + x,
        encoded_matrix=(z, y),
        recon_matrix=header.recon_matrix[:2] or (z, y),
        encoded_fov=header.encoded_fov[:2],
        recon_fov=header.recon_fov[:2],
        geometry=header.geometry.hybrid_slice(x, samples),
        encoding=HybridSlice(x, samples),
        notes={**header.notes, "hybrid slice": f"position {x} of {samples} along the readout, which was transformed"},
    )


class _MemoryFile(dict[str, Any]):
    """This stands for an h5py file where there is none, with as much of its interface as `_write_transposed` uses."""

    def __init__(self) -> None:
        super().__init__()
        self.attrs: dict[str, Any] = {}

    def create_dataset(self, name: str, shape: tuple[int, ...], dtype: Any, **_: Any) -> np.ndarray:
        self[name] = np.zeros(shape, dtype)
        return self[name]


def _write_transposed(pieces: Iterable[tuple[int, Scan]], file: Any) -> None:
    """Write ``kspace`` (x, frames, coils, z, y) and what belongs to it, from the partitions of a scan."""
    fourier = Fourier(1)
    for start, piece in pieces:
        frames, coils, z, y, samples = piece.kspace.shape[1:]
        stop = start + z
        if "kspace" not in file:
            size = (frames, coils, piece.header.encoded_matrix[0], y)
            file.create_dataset("kspace", (samples, *size), np.complex64, chunks=(1, *size[:2], 1, y))
            file.create_dataset("mask", (frames, size[2], y), bool)
            file.create_dataset("padding", (frames, size[2], y), bool)
            file.attrs["ratio"] = piece.noise_bandwidth_ratio
            if piece.noise is not None:
                file.create_dataset("noise", tuple(piece.noise.shape), np.complex64)[...] = piece.noise.numpy()
        file["kspace"][:, :, :, start:stop] = _slices_first(fourier.adjoint(piece.kspace[0]))
        file["mask"][:, start:stop] = piece.mask[0, :, 0].any(dim=-1).numpy()
        file["padding"][:, start:stop] = piece.padding[0, :, 0].all(dim=-1).numpy()
        if piece.calibration is not None:
            if "calibration" not in file:
                shape = (samples, 1, piece.calibration.kspace.shape[2], piece.header.encoded_matrix[0], y)
                file.create_dataset("calibration", shape, np.complex64, chunks=(1, *shape[1:3], 1, y))
                file.create_dataset("calibration_mask", shape[3:], bool)
            file["calibration"][:, :, :, start:stop] = _slices_first(fourier.adjoint(piece.calibration.kspace[0]))
            file["calibration_mask"][start:stop] = piece.calibration.mask[0, 0, 0].all(dim=-1).numpy()
        if piece.csm is not None:
            if "csm" not in file:
                shape = (samples, *piece.csm.shape[1:3], piece.header.encoded_matrix[0], y)
                file.create_dataset("csm", shape, np.complex64, chunks=(1, *shape[1:3], 1, y))
            file["csm"][:, :, :, start:stop] = _slices_first(piece.csm[0])


def _slices_first(values: Tensor) -> np.ndarray:
    """Return values ``(frames, coils, z, y, x)`` as ``(x, frames, coils, z, y)``."""
    return values.movedim(-1, 0).contiguous().numpy()


def _read_slice(file: Any, header: Header) -> Scan:
    x = header.slice % len(file["kspace"])

    def tensor(name: str, index: Any = ...) -> Tensor:
        return torch.from_numpy(np.asarray(file[name][index]))

    mask, padding = (tensor(name)[None, :, None] for name in ("mask", "padding"))
    calibration = None
    if "calibration" in file:
        sampled = tensor("calibration_mask")[None, None, None]
        calibration = Calibration(torch.where(sampled, tensor("calibration", x)[None], 0), sampled)
    return Scan(
        header=header,
        kspace=torch.where(mask, tensor("kspace", x)[None], 0),
        mask=mask,
        padding=padding,
        noise=tensor("noise") if "noise" in file else None,
        noise_bandwidth_ratio=float(file.attrs["ratio"]),
        calibration=calibration,
        csm=tensor("csm", x)[None] if "csm" in file else None,
    )
