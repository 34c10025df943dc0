"""fastMRI prostate's T2 files: undersampled averages with calibration lines measured apart."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch

from ssrecon.archive.arrays import acquired_only, finite, not_zero
from ssrecon.archive.base import Archive, holds, slice_fields
from ssrecon.archive.cartesian.header import FileHeader
from ssrecon.archive.cartesian.orientation import sizes_of
from ssrecon.archive.cartesian.oversampling import remove_readout_oversampling
from ssrecon.archive.fastmri.about import header_text, positive_or_none
from ssrecon.archive.mrd.header import parse_header
from ssrecon.archive.slices import slice_of, too_large_to_keep
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.hdf5 import attribute, complex_dataset, opened, other_layout, stored
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.core.window import window

ECHO_PLANAR = ("phase_correction", "coil_sens_maps")


FILLED = 0.5
"""Of an acquired column's samples at least this part is not zero: what is acquired is told from that."""


@dataclass(frozen=True)
class _Volume:
    """This is what a file says besides its samples."""

    shape: tuple[int, int, int, int, int]
    """(averages, slices, coils, readout, phase), as in the file."""
    header: FileHeader
    attributes: dict[str, str]
    largest: float | None
    columns: np.ndarray
    """(averages, phase): which columns were acquired."""
    first: int
    """Where the file's columns begin in the encoded matrix, whose centre is DC."""
    matrix: tuple[int, int]
    """(phase, readout without its oversampling)."""
    notes: dict[str, str]


class FastMRIProstate(Archive):
    """A T2 file of fastMRI prostate: ``kspace`` (average, slice, coil, readout, phase), ``calibration_data`` (slice, coil, readout, phase),
    ``ismrmrd_header``.

    - The averages are frames: one object with independent noise, and every second phase-encoded column, the odd ones and the even ones in
      turn. The file holds no mask: what was not acquired is a column that is zero in all coils of the middle slice of that average.
    - The calibration lines, from a measurement of their own, are `Scan.calibration`; they are taken to be centred.
    - The centre of k-space is the header's. The file's columns are put about it into the encoded matrix, and what is outside them is
      `Scan.padding`. Readout oversampling is removed.
    - ``reconstruction_rss`` is a GRAPPA reconstruction of the mean magnitude, no reference: there is none.
    - The diffusion files are echo-planar, ramp-sampled, and uncorrected: refused.

    Tibrewala et al. FastMRI Prostate: a public, biparametric MRI dataset to advance machine learning for prostate cancer imaging. Sci Data
    11:404 (2024). doi:10.1038/s41597-024-03252-w
    """

    layout: ClassVar[str] = "a fastMRI prostate T2 file (HDF5, complex 'kspace' (average, slice, coil, readout, phase), 'calibration_data')"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        def test(file: h5py.File) -> bool:
            return complex_dataset(file, "kspace", 5) is not None and "calibration_data" in file

        return holds(path, test)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        volume, name = self._volume, self.path.stem
        encoding = volume.header.encodings[0]
        whole = (encoding.encoded_matrix[1], encoding.readout_kept) == volume.matrix
        geometry = sizes_of(encoding, volume.header) if whole else Geometry(patient_position=volume.header.patient_position)
        oversampled = encoding.readout_kept < encoding.encoded_matrix[2]
        return tuple(
            Header(
                **slice_fields(name, index),
                subject=volume.attributes["patient_id"] or volume.header.subject or name,
                contrast=volume.attributes["acquisition"],
                **volume.header.shared,
                geometry=geometry,
                encoded_matrix=volume.matrix,
                recon_matrix=encoding.recon_matrix[1:],
                encoded_fov=(encoding.encoded_fov[1], encoding.recon_fov[2] if oversampled else encoding.encoded_fov[2]),
                recon_fov=encoding.recon_fov[1:],
                volume_max=volume.largest,
                notes=volume.notes,
            )
            for index in range(volume.shape[1])
        )

    def read(self, scan_id: str) -> Scan:
        header = self.listed(scan_id)
        index, volume = header.slice, self._volume
        with opened(self.path, self.layout) as file:
            kspace, calibration = slice_of(file["kspace"], index, axis=1), slice_of(file["calibration_data"], index)
        phase = volume.matrix[0]
        mask = np.zeros((volume.shape[0], 1, phase, 1), bool)
        mask[:, 0, volume.first : volume.first + volume.shape[4], 0] = volume.columns
        padding = torch.ones(phase, dtype=torch.bool)
        padding[volume.first : volume.first + volume.shape[4]] = False
        data, sampled = acquired_only(self._placed(kspace, volume.first), mask, self.path, scan_id)
        kept = volume.matrix[1]
        return Scan(
            header=header,
            kspace=finite(remove_readout_oversampling(data, kept).numpy(), self.path, scan_id),
            mask=sampled[..., :kept].clone(),
            padding=padding[:, None].expand(sampled.shape[:-1] + (kept,)).clone(),
            calibration=self._calibration(calibration),
        )

    def _calibration(self, data: np.ndarray) -> Calibration:
        phase, kept = self._volume.matrix
        (columns,) = window((phase,), data.shape[-1:])
        placed = finite(self._placed(data, columns.start), self.path, "calibration_data")
        kspace = finite(remove_readout_oversampling(placed, kept).numpy(), self.path, "calibration_data")
        mask = torch.zeros(1, 1, 1, phase, kept, dtype=torch.bool)
        mask[..., columns, :] = True
        return Calibration(kspace[None, None].contiguous(), mask)

    def _placed(self, data: np.ndarray, first: int) -> np.ndarray:
        """Put the columns of (..., readout, phase), as the file has them, into the encoded matrix, the readout last."""
        placed = np.zeros((*data.shape[:-2], self._volume.matrix[0], data.shape[-2]), np.complex64)
        placed[..., first : first + data.shape[-1], :] = np.swapaxes(data, -1, -2)
        return placed

    @cached_property
    def _volume(self) -> _Volume:
        with opened(self.path, self.layout) as file:
            kspace, calibration = complex_dataset(file, "kspace", 5), file.get("calibration_data")
            if kspace is None or "ismrmrd_header" not in file:
                raise other_layout(file, self.path, self.layout)
            if any(name in file for name in ECHO_PLANAR):
                raise BadInput(
                    self.path,
                    found="echo-planar diffusion k-space, ramp-sampled and without its phase correction",
                    expected="k-space on a Cartesian grid, corrected and regridded as the publishers' code does",
                )
            shape, wanted = stored(kspace, self.path).shape, kspace.shape[1:4]
            if min(shape) < 1:
                raise BadInput(self.path, found=f"kspace {shape}", expected="no axis of length 0")
            if not isinstance(calibration, h5py.Dataset) or calibration.dtype.kind != "c" or calibration.shape[:-1] != wanted:
                found = f"calibration_data {getattr(calibration, 'shape', 'that is no dataset')}"
                raise BadInput(self.path, found=found, expected=f"complex {wanted} and lines, as kspace {shape} has it")
            if not 1 <= stored(calibration, self.path).shape[-1] <= shape[4]:
                raise BadInput(self.path, found=f"{calibration.shape[-1]} calibration lines", expected=f"1 to {shape[4]}")
            header = parse_header(header_text(file, self.path), self.path)
            middle = slice_of(kspace, shape[1] // 2, axis=1)
            filled = np.stack([not_zero(average, axis=()).mean(axis=(0, 1)) for average in middle])
            slow = too_large_to_keep(kspace, axis=1)
            columns = filled > 0
            attributes = {name: str(attribute(file, name)) for name in ("patient_id", "acquisition")}
            largest = attribute(file, "max", None)
        if partly := int((columns & (filled < FILLED)).sum()):
            found = f"{partly} columns of which fewer than half of the samples are not zero"
            raise BadInput(self.path, found=found, expected="columns that were acquired, or are zero")
        if not columns.any(axis=1).all():
            raise BadInput(self.path, found="an average that is zero everywhere in the middle slice", expected="acquired columns in each")
        notes = {
            "sampling": "told from the columns that are zero: the file holds no mask",
            "frames": f"{shape[0]} averages: one object, independent noise",
        }
        notes |= {"storage": slow} if slow else {}
        first, phase = self._centred(header, shape[4], notes)
        encoding = header.encodings[0]
        kept = encoding.readout_kept if encoding.encoded_matrix[2] == shape[3] else shape[3]
        return _Volume(shape, header, attributes, positive_or_none(largest), columns, first, (phase, kept), notes)

    @staticmethod
    def _centred(header: FileHeader, columns: int, notes: dict[str, str]) -> tuple[int, int]:
        """Return where the file's columns begin in the smallest matrix whose centre is the header's, and this matrix.

        It is no smaller than the encoded one.
        """
        limit = header.encodings[0].step_1
        centre = limit.center if limit else columns // 2
        if not 0 <= centre < columns:
            notes["centre"] = f"the header puts it at column {centre} of {columns}: not used"
            centre = columns // 2
        phase = max(header.encodings[0].encoded_matrix[1], columns)
        while not 0 <= phase // 2 - centre <= phase - columns:
            phase += 1
        return phase // 2 - centre, phase
