"""The plain HDF5 layout for everybody else, `docs/plain_hdf5.md`: every dataset names its own axes."""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.arrays import acquired_only, finite
from ssrecon.archive.base import holds, slice_fields
from ssrecon.archive.partitioned import WHOLE, PartitionedArchive
from ssrecon.archive.pieces import steps, uneven
from ssrecon.archive.plain.about import read_about, read_number
from ssrecon.archive.plain.axes import LAYOUT, DatasetAxes, read_axes
from ssrecon.archive.slices import slice_of, too_large_to_keep
from ssrecon.core.encoding import Encoding, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import attribute, opened
from ssrecon.core.origin import recorded_origin
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.sampling.lines import encoding_of


class Plain(PartitionedArchive):
    """This format is one volume in an HDF5 file of the layout that `docs/plain_hdf5.md` describes, as `write_plain` writes it.

    The file says ``layout = "ssrecon"``. ``kspace`` is complex and centred, DC at N // 2; its attribute ``axes`` is ``[slice] [frame]
    coil`` and then ``y x``, ``z y x`` or, for a hybrid slice, ``z y``: the readout is ``x``. Optional datasets are ``mask`` and ``padding``
    (any of the axes of k-space but the coils), ``csm`` (``[slice] [map] coil`` and the encoded axes), ``calibration`` (as k-space, without
    frames) with ``calibration_mask``, and ``noise`` (readouts, coils, samples). Of the attributes only those in the description are read.
    """

    layout: ClassVar[str] = "the plain layout of docs/plain_hdf5.md (HDF5 with layout='ssrecon' and complex 'kspace' that names its axes)"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return holds(path, lambda file: attribute(file, "layout") == LAYOUT)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        kspace, name = self._datasets["kspace"], self.path.stem
        with opened(self.path, self.layout) as file:
            about = read_about(file, self.path, self._encoded, kspace.length("slice"))
            encodings = self._encodings(file)
            slow = too_large_to_keep(file["kspace"], kspace.axes.index("slice")) if "slice" in kspace.axes else ""
        matrix = tuple(kspace.length(axis) for axis in self._encoded)
        notes = {} if "mask" in self._datasets else {"sampling": "the file has no mask: everything but the padding counts as acquired"}
        notes |= {"storage": slow} if slow else {}
        texts = about.texts
        return tuple(
            Header(
                **slice_fields(name, index),
                subject=texts["subject"] or name,
                protocol=texts["protocol"],
                contrast=texts["contrast"],
                origin=recorded_origin(texts["origin"], texts["vendor"]),
                vendor=texts["vendor"],
                site=texts["site"],
                scanner=texts["scanner"],
                field_strength=about.field_strength,
                **about.times,
                encoded_matrix=matrix,
                recon_matrix=tuple(int(n) for n in about.sizes["recon_matrix"]) or matrix,
                encoded_fov=about.sizes["encoded_fov"],
                recon_fov=about.sizes["recon_fov"],
                geometry=about.geometries[index],
                encoding=encoding,
                volume_max=about.volume_max,
                notes=notes,
            )
            for index, encoding in enumerate(encodings)
        )

    def _encodings(self, file: h5py.File) -> tuple[Encoding, ...]:
        """Return how each slice was encoded. Masks are read where they may change along the readout, and only then."""
        slices = self._datasets["kspace"].length("slice")
        if self._encoded[-1] != "x":
            places = np.atleast_1d(attribute(file, "readout_positions", np.arange(slices)))
            length = attribute(file, "readout_length", slices)
            whole = places.dtype.kind in "iuf" and len(places) == slices and float(length).is_integer() and not (places % 1).any()
            if not whole or min(places) < 0 or max(places) >= length:
                raise BadInput(
                    self.path, found=f"readout_positions {places} of {length}", expected=f"{slices} places from 0, below readout_length"
                )
            return tuple(HybridSlice(int(place), int(length)) for place in places)
        axes = {axis for name in ("mask", "padding") if name in self._datasets for axis in self._datasets[name].axes}
        if "x" not in axes:
            return (WholeLines(),) * slices
        samplings = (self._sampling(file, index, WHOLE) for index in range(slices if "slice" in axes else 1))
        found = tuple(encoding_of((mask & ~padding)[:, 0]) for mask, padding in samplings)
        return found if len(found) == slices else found * slices

    def not_transformable(self, scan_id: str) -> str:
        """The masks tell it (see `Archive.not_transformable`): no samples are read."""
        index = self.listed(scan_id).slice
        with opened(self.path, self.layout) as file:
            return uneven(self._masks(file, index, at) for at in self.steps)

    def _masks(self, file: h5py.File, index: int, at: slice) -> dict[str, Tensor]:
        mask, padding = self._sampling(file, index, at)
        found = {"points": mask & ~padding, "padding": padding}
        if "calibration" in file:
            found["calibration points"] = self._part(file, "calibration_mask", index, ("frame", "coil"), at) != 0
        return {name: torch.from_numpy(np.array(array)) for name, array in found.items()}

    def _sampling(self, file: h5py.File, index: int, at: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the mask, and the padding that may overlap it."""
        mask = self._part(file, "mask", index, ("frame", "coil"), at) != 0
        return mask, self._part(file, "padding", index, ("frame", "coil"), at) != 0 if "padding" in file else np.zeros_like(mask)

    @property
    def steps(self) -> list[slice]:
        if len(self._encoded) < 3:
            return [slice(0, self._datasets["kspace"].length(self._encoded[0]))]
        kspace = self._datasets["kspace"]
        with opened(self.path, self.layout) as file:
            chunks = file["kspace"].chunks or (1,) * len(kspace.shape)
            values = math.prod(kspace.length(axis) for axis in ("frame", "coil", "y", "x"))
            return steps(kspace.length("z"), chunks[kspace.axes.index("z")], values * file["kspace"].dtype.itemsize)

    def part_of(self, header: Header, at: slice) -> Scan:
        index, scan_id = header.slice, header.scan_id
        with opened(self.path, self.layout) as file:
            kspace = self._part(file, "kspace", index, ("frame", "coil"), at)
            mask, padding = self._sampling(file, index, at)
            csm = self._part(file, "csm", index, ("map", "coil"), at)[None] if "csm" in file else None
            calibration = self._calibration(file, index, scan_id, at) if "calibration" in file else None
            noise = np.asarray(file["noise"]) if "noise" in file else None
            if noise is not None and noise.dtype.kind != "c":
                raise BadInput(self.path, found=f"noise of type {noise.dtype}", expected="complex numbers")
            ratio = read_number(file["noise"], "bandwidth_ratio", self.path) if noise is not None else None
        data, sampled = acquired_only(kspace, mask & ~padding, self.path, scan_id, at == WHOLE)
        return Scan(
            header=header,
            kspace=data,
            mask=sampled,
            padding=torch.from_numpy(np.array(np.broadcast_to(padding, sampled.shape[1:])))[None],
            noise=None if noise is None else finite(noise, self.path, "noise"),
            noise_bandwidth_ratio=ratio or 1.0,
            calibration=calibration,
            csm=None if csm is None else finite(csm, self.path, "csm"),
        )

    def _calibration(self, file: h5py.File, index: int, scan_id: str, at: slice) -> Calibration:
        kspace, mask = (self._part(file, name, index, ("frame", "coil"), at) for name in ("calibration", "calibration_mask"))
        return Calibration(*acquired_only(kspace, mask != 0, self.path, f"{scan_id} (calibration)", at == WHOLE))

    def _part(self, file: h5py.File, name: str, index: int, leading: tuple[str, str], at: slice) -> np.ndarray:
        """Read the part of a dataset that belongs to one slice and lies `at` places along its first encoded axis.

        It has the axes `leading` and then the encoded ones; those that the dataset lacks have length 1. A mask that is not in
        the file samples everything.
        """
        first, *others = self._encoded
        kspace = self._datasets["kspace"]
        sides = (len(range(*at.indices(kspace.length(first)))), *map(kspace.length, others))
        if name not in file:
            return np.ones((1, 1, *sides))
        dataset = self._datasets[name]
        if at == WHOLE and "slice" in dataset.axes:
            data = slice_of(file[name], index, dataset.axes.index("slice"))
        else:
            data = np.asarray(file[name][tuple(index if axis == "slice" else at if axis == first else WHOLE for axis in dataset.axes)])
        if data.dtype == bool and data.size and (largest := int(data.view(np.uint8).max())) > 1:
            # Any other byte would pass for True: a damaged mask would claim what was never acquired.
            raise BadInput(self.path, found=f"a {name} with a byte of {largest} among its truth values", expected="0 and 1")
        thick = sides[0] if first in dataset.axes else 1
        data = data.reshape([*map(dataset.length, leading), thick, *map(dataset.length, others)])
        return np.broadcast_to(data, (*data.shape[:2], *sides))

    @property
    def _encoded(self) -> tuple[str, ...]:
        return self._datasets["kspace"].encoded

    @cached_property
    def _datasets(self) -> Mapping[str, DatasetAxes]:
        with opened(self.path, self.layout) as file:
            return read_axes(file, self.path, self.layout)
