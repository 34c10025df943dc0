"""ISMRMRD (MRD) files of Cartesian acquisitions, read in bulk."""

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np

from ssrecon.archive.base import holds
from ssrecon.archive.cartesian.archive import ArchiveOfLines
from ssrecon.archive.cartesian.lines import read_lines
from ssrecon.archive.cartesian.sorting import sort_encodings
from ssrecon.archive.cartesian.volumes import CartesianLines
from ssrecon.archive.hdf5_heap import check_heap, read_member
from ssrecon.archive.mrd.header import parse_header
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import UNREADABLE, other_layout, stored, top_names, unreadable

COUNTERS = (
    "kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase", "repetition", "set", "segment", "user",
)  # fmt: skip
NEEDED = (
    "flags", "number_of_samples", "center_sample", "discard_pre", "discard_post", "active_channels", "encoding_space_ref",
    "sample_time_us", *COUNTERS,
)  # fmt: skip
"""Fields of the acquisition header, and those of its counters, that are read."""


class ISMRMRD(ArchiveOfLines):
    """This format is an ISMRMRD file of a Cartesian scan in two or three dimensions, one scan a slice (or slab).

    - Lines are sorted by their counters into the encoded matrix, with the centre of k-space (Siemens: ``idx.user[5]`` and ``[6]``, else the
      header's encoding limits, else half the matrix) at N // 2. The mask is what was acquired, along an asymmetric echo sample by sample.
    - Readout oversampling is removed before anything else; that of a whole factor also where the header tells the matrix without it, as
      headers that are written while the scanner runs do. Lines beyond the matrix are left out, and counted in `Header.notes`.
    - Where a slice lies (`Header.geometry`) is what its lines say: position and directions, which are checked.
    - Averages are averaged. Contrasts, phases, repetitions and sets are frames; where several of them run, frames are their product, in
      this order, the first the slowest. Several encodings are volumes of their own; one of calibration lines alone, with the field of view
      of the imaging lines, is their separate calibration.
    - Calibration lines flagged "and imaging" are imaging lines. Those flagged "calibration" only are imaging lines too where the header's
      calibration mode is embedded or interleaved, and where it tells nothing but they were acquired in place: with the imaging lines'
      readout, and none of them twice. Else all flagged lines become `Scan.calibration`.
    - Noise readouts of the imaging lines' channels are kept as they are, with ``noise_bandwidth_ratio = t_noise / (t_image b averages)``: t
      is the time of a sample and b the receiver's relative noise bandwidth, .793 on Siemens systems (Kellman and McVeigh,
      doi:10.1002/mrm.20713).
    - Navigators, phase-correction and dummy lines are left out, which `Header.notes` says. Reversed lines, trajectories other than
      Cartesian and compressed samples are refused.

    Inati et al. ISMRM Raw data format. Magn Reson Med 77:411-421 (2017). doi:10.1002/mrm.26089
    """

    layout: ClassVar[str] = "an ISMRMRD file (HDF5 group with 'xml' and acquisitions in 'data')"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return holds(path, lambda file: bool(_groups_of_acquisitions(file)))

    @cached_property
    def volumes_of_lines(self) -> tuple[CartesianLines, ...]:
        try:
            with h5py.File(self.path) as file:
                names = _groups_of_acquisitions(file)
                if not names:
                    raise other_layout(file, self.path, self.layout)
                for name in ("xml", "data"):
                    check_heap(self.path, stored(file[names[0]][name], self.path))
                text = next(iter(np.atleast_1d(file[names[0]]["xml"][()]).ravel()), None)
                heads = read_member(self.path, file[names[0]]["data"], "head")
        except UNREADABLE as error:
            raise unreadable(self.path, error, self.layout) from None
        if missing := [name for name in NEEDED if not _has_number(heads, name)]:
            raise BadInput(self.path, found=f"acquisitions without {missing[0]}", expected="the headers of the ISMRMRD standard")
        sorted_ = sort_encodings(heads, parse_header(text, self.path), self.path)
        read = partial(read_lines, self.path, names[0])
        stem = self.path.stem
        return tuple(
            CartesianLines(self.path, f"{stem}/encoding-{reference}" if len(sorted_) > 1 else stem, found, read)
            for reference, found in sorted_.items()
        )


def _has_number(heads: np.ndarray, name: str) -> bool:
    fields: Mapping[str, Any] = heads.dtype.fields or {}
    if name in COUNTERS:
        fields = (fields["idx"][0].fields if "idx" in fields else None) or {}
    return name in fields and fields[name][0].base.kind in "iuf"


def _groups_of_acquisitions(file: h5py.File) -> list[str]:
    def acquisitions(item: object) -> bool:
        if not (
            isinstance(item, h5py.Group)
            and isinstance(item.get("xml"), h5py.Dataset)
            and isinstance(data := item.get("data"), h5py.Dataset)
        ):
            return False
        return data.dtype.names is not None and "head" in data.dtype.names

    names = [name for name in top_names(file) if acquisitions(file[name])]
    return sorted(names, key=lambda name: (name != "dataset", name))
