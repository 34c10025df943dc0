"""fastMRI's files: one volume a file, slices of multi-coil or single-coil k-space."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.arrays import acquired_only, finite
from ssrecon.archive.base import Archive, holds, slice_fields
from ssrecon.archive.cartesian.orientation import sizes_of
from ssrecon.archive.cartesian.oversampling import remove_readout_oversampling
from ssrecon.archive.fastmri.about import is_m4raw
from ssrecon.archive.fastmri.volume import NO_HEADER, Volume, coil_phase_readout, read_volume
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.slices import slice_of
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.hdf5 import attribute, complex_dataset, opened
from ssrecon.core.origin import recorded_origin
from ssrecon.core.scan import Header, Scan

__all__ = ["FastMRI", "is_m4raw", "write_fastmri"]


class FastMRI(Archive):
    """This format is a fastMRI file: ``kspace`` (slice, coil, readout, phase) or (slice, readout, phase), ``ismrmrd_header``, a ``mask``.

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
            has_kspace = complex_dataset(file, "kspace", 3, 4) is not None
            return has_kspace and attribute(file, "layout") != "ssrecon" and not is_m4raw(file)

        return holds(path, test)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(self._header(index) for index in range(self._volume.shape[0]))

    def read(self, scan_id: str) -> Scan:
        header, volume = self.listed(scan_id), self._volume
        index = header.slice
        with opened(self.path, self.layout) as file:
            kspace = coil_phase_readout(slice_of(file["kspace"], index), volume.exchanged)
            truth = coil_phase_readout(slice_of(file["truth"], index), volume.exchanged) if "truth" in file else None
            noise = finite(np.asarray(file["noise"]), self.path, "noise") if "noise" in file else None
        mask, padding = self._masks()
        data, sampled = acquired_only(kspace[None].numpy(), mask[None, None].numpy(), self.path, scan_id, whole=False)
        if noise is not None and (noise.ndim != 3 or noise.shape[1] != volume.shape[1]):
            raise BadInput(self.path, found=f"noise {tuple(noise.shape)}", expected=f"(readouts, {volume.shape[1]} coils, samples)")
        kept = volume.readout_kept
        return Scan(
            header=header,
            kspace=finite(remove_readout_oversampling(data, kept).numpy(), self.path, scan_id),
            mask=sampled[..., :kept].clone(),
            padding=padding[..., :kept].expand(sampled.shape[-2], kept)[None, None, None].clone(),
            noise=noise,
            noise_bandwidth_ratio=volume.noise_bandwidth_ratio,
            truth=None if truth is None else remove_readout_oversampling(truth, kept)[None, None],
        )

    def _masks(self) -> tuple[Tensor, Tensor]:
        """Return mask and padding, ``(phase, 1)`` or ``(phase, readout)``."""
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
            **slice_fields(name, index),
            subject=str(volume.attributes.get("patient_id", "")) or (file.subject if file else "") or name,
            contrast=str(volume.attributes.get("acquisition", "")),
            origin=recorded_origin(str(volume.attributes.get("origin", "")), file.vendor if file else ""),
            **(file.shared if file else {}),
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
    def _volume(self) -> Volume:
        return read_volume(self.path, self.layout)
