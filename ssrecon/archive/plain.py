"""The plain HDF5 layout for everybody else, `docs/plain_hdf5.md`: every dataset names its own axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import torch
from torch import Tensor

from ssrecon.archive.arrays import acquired_only, finite
from ssrecon.archive.base import holds
from ssrecon.archive.partitioned import WHOLE, PartitionedArchive
from ssrecon.archive.pieces import steps, uneven
from ssrecon.archive.slices import slice_of, too_large_to_keep
from ssrecon.core.encoding import Encoding, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.files import whole_file
from ssrecon.core.hdf5 import attribute, opened, stored
from ssrecon.core.origin import recorded_origin
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.sampling.lines import encoding_of

LAYOUT, VERSION = "ssrecon", 1
ENCODED = (("z", "y", "x"), ("y", "x"), ("z", "y"))
TEXTS = ("subject", "contrast", "protocol", "origin", "vendor", "site", "scanner")
PAIRS = ("recon_matrix", "encoded_fov", "recon_fov")


@dataclass(frozen=True)
class _Dataset:
    """The axes and lengths of a dataset."""

    axes: tuple[str, ...]
    shape: tuple[int, ...]

    def length(self, axis: str) -> int:
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1


class Plain(PartitionedArchive):
    """One volume in an HDF5 file of the layout that `docs/plain_hdf5.md` describes, as `write_plain` writes it.

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
            texts = {key: str(attribute(file, key)) for key in TEXTS}
            numbers = {key: self._numbers(file, key, len(self._encoded)) for key in PAIRS}
            field_strength, largest = self._numbers(file, "field_strength", 1), self._numbers(file, "volume_max", 1)
            encodings = self._encodings(file)
            slow = too_large_to_keep(file["kspace"], kspace.axes.index("slice")) if "slice" in kspace.axes else ""
        matrix = tuple(kspace.length(axis) for axis in self._encoded)
        notes = {} if "mask" in self._datasets else {"sampling": "the file has no mask: everything but the padding counts as acquired"}
        notes |= {"storage": slow} if slow else {}
        return tuple(
            Header(
                scan_id=f"{name}/slice-{index:03d}",
                volume_id=name,
                subject=texts["subject"] or name,
                slice=index,
                protocol=texts["protocol"],
                contrast=texts["contrast"],
                origin=recorded_origin(texts["origin"], texts["vendor"]),
                vendor=texts["vendor"],
                site=texts["site"],
                scanner=texts["scanner"],
                field_strength=field_strength[0] if field_strength else None,
                encoded_matrix=matrix,
                recon_matrix=tuple(int(n) for n in numbers["recon_matrix"]) or matrix,
                encoded_fov=numbers["encoded_fov"],
                recon_fov=numbers["recon_fov"],
                encoding=encoding,
                volume_max=largest[0] if largest else None,
                notes=notes,
            )
            for index, encoding in enumerate(encodings)
        )

    def _encodings(self, file: h5py.File) -> tuple[Encoding, ...]:
        """Of each slice. Masks are read where they may change along the readout, and only then."""
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
        """See `Archive.not_transformable`: no samples are read."""
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
        """The mask, and the padding that may overlap it."""
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
            ratio = self._numbers(file["noise"], "bandwidth_ratio", 1) if noise is not None else ()
        data, sampled = acquired_only(kspace, mask & ~padding, self.path, scan_id, at == WHOLE)
        return Scan(
            header=header,
            kspace=data,
            mask=sampled,
            padding=torch.from_numpy(np.array(np.broadcast_to(padding, sampled.shape[1:])))[None],
            noise=None if noise is None else finite(noise, self.path, "noise"),
            noise_bandwidth_ratio=ratio[0] if ratio else 1.0,
            calibration=calibration,
            csm=None if csm is None else finite(csm, self.path, "csm"),
        )

    def _calibration(self, file: h5py.File, index: int, scan_id: str, at: slice) -> Calibration:
        kspace, mask = (self._part(file, name, index, ("frame", "coil"), at) for name in ("calibration", "calibration_mask"))
        return Calibration(*acquired_only(kspace, mask != 0, self.path, f"{scan_id} (calibration)", at == WHOLE))

    def _part(self, file: h5py.File, name: str, index: int, leading: tuple[str, str], at: slice) -> np.ndarray:
        """The part of a dataset that belongs to one slice and lies `at` places along its first encoded axis, with the axes `leading` and
        then the encoded ones; those it lacks have length 1.

        A mask that is not in the file samples everything.
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
        axes = self._datasets["kspace"].axes
        return axes[axes.index("coil") + 1 :]

    @cached_property
    def _datasets(self) -> dict[str, _Dataset]:
        with opened(self.path, self.layout) as file:
            if attribute(file, "layout") != LAYOUT or attribute(file, "version", VERSION) != VERSION:
                told = f"layout {attribute(file, 'layout')!r}, version {attribute(file, 'version', VERSION)!r}"
                raise BadInput(self.path, found=told, expected=f"layout {LAYOUT!r}, version {VERSION}")
            found = {"kspace": self._axes(file, "kspace", (), ())}
            kspace = found["kspace"]
            encoded = kspace.axes[kspace.axes.index("coil") + 1 :]
            free = ("slice", "frame", *encoded)
            rules: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
                ("mask", free, ()),
                ("padding", free, ()),
                ("csm", ("slice", "map"), ("coil", *encoded)),
                ("calibration", ("slice",), ("coil", *encoded)),
                ("calibration_mask", ("slice", *encoded), ()),
            )
            for name, optional, required in rules:
                if name in file:
                    found[name] = self._axes(file, name, optional, required, kspace)
            if "calibration" in file and "calibration_mask" not in file:
                raise BadInput(self.path, found="calibration without calibration_mask", expected="both")
            if "noise" in file and (stored(file["noise"], self.path).ndim != 3 or file["noise"].shape[1] != kspace.length("coil")):
                coils = kspace.length("coil")
                raise BadInput(self.path, found=f"noise {file['noise'].shape}", expected=f"(readouts, {coils} coils, samples)")
        return found

    def _axes(
        self, file: h5py.File, name: str, optional: tuple[str, ...], required: tuple[str, ...], kspace: _Dataset | None = None
    ) -> _Dataset:
        """The axes of a dataset, held against those that it may and must have, and their lengths against those of k-space."""
        data = file.get(name)
        if not isinstance(data, h5py.Dataset):
            raise BadInput(self.path, found=f"no dataset {name!r}", expected=self.layout)
        axes = tuple(str(attribute(data, "axes")).split())
        if kspace is None:
            good = "coil" in axes and axes[axes.index("coil") + 1 :] in ENCODED
            good = good and axes[: axes.index("coil")] in (("slice", "frame"), ("slice",), ("frame",), ())
            told = "'[slice] [frame] coil' and then 'y x', 'z y x' or 'z y'"
        else:
            order = [axis for axis in ("slice", "frame", "map", "coil", "z", "y", "x") if axis in (*optional, *required)]
            good = bool(axes) and list(axes) == [axis for axis in order if axis in axes] and set(required) <= set(axes)
            told = " ".join(axis if axis in required else f"[{axis}]" for axis in order)
        if not good or len(axes) != data.ndim:
            raise BadInput(self.path, found=f"{name} {data.shape} with axes {' '.join(axes)!r}", expected=f"axes {told}, one a dimension")
        dataset = _Dataset(axes, stored(data, self.path).shape)
        complex_wanted = name in ("kspace", "csm", "calibration")
        if (data.dtype.kind == "c") != complex_wanted or data.dtype.kind not in "cbui":
            raise BadInput(
                self.path, found=f"{name} of {data.dtype}", expected="complex numbers" if complex_wanted else "booleans or integers"
            )
        if min(data.shape) < 1:
            raise BadInput(self.path, found=f"{name} {data.shape}", expected="no axis of length 0")
        for axis in axes if kspace is not None else ():
            if kspace is not None and axis != "map" and dataset.length(axis) != kspace.length(axis):
                raise BadInput(self.path, found=f"{name} with {axis} {dataset.length(axis)}", expected=f"{kspace.length(axis)}, as kspace")
        return dataset

    def _numbers(self, item: h5py.Group | h5py.Dataset, name: str, count: int) -> tuple[float, ...]:
        """An attribute of `count` finite positive numbers; empty where there is none."""
        if name not in item.attrs:
            return ()
        try:
            values = np.atleast_1d(np.asarray(item.attrs[name], dtype=float)).ravel()
        except (TypeError, ValueError):
            values = np.zeros(0)
        if len(values) != count or not np.isfinite(values).all() or values.min() <= 0:
            raise BadInput(
                self.path, found=f"{name} {attribute(item, name)!r}", expected=f"{count} positive numbers, in the order of the axes"
            )
        return tuple(float(value) for value in values)


def write_plain(path: Path | str, scans: Sequence[Scan]) -> Path:
    """Write the scans of one volume in the plain layout; a file is replaced whole or not at all.

    K-space, mask, padding, csm, calibration and noise are written, and of the header what the layout has; identifiers are not. Raises
    `BadInput` where there are no scans, or scans of different shapes.
    """
    path = Path(path)
    if len({scan.kspace.shape for scan in scans}) != 1:
        raise BadInput(path, found=f"{len(scans)} scans of different shapes, or none", expected="the scans of one volume, of one shape")
    header, dims = scans[0].header, scans[0].kspace.ndim - 3
    encoded = ("z", "y") if isinstance(header.encoding, HybridSlice) else ("z", "y", "x")[-dims:]
    arrays: dict[str, tuple[Tensor, tuple[str, ...]]] = {
        "kspace": (torch.cat([scan.kspace for scan in scans]), ("slice", "frame", "coil", *encoded)),
        "mask": (torch.cat([scan.mask[:, :, 0] for scan in scans]), ("slice", "frame", *encoded)),
        "padding": (torch.cat([scan.padding[:, :, 0] for scan in scans]), ("slice", "frame", *encoded)),
    }
    maps = [scan.csm for scan in scans if scan.csm is not None]
    apart = [scan.calibration for scan in scans if scan.calibration is not None]
    if any(len(given) not in (0, len(scans)) for given in (maps, apart)):
        raise BadInput(path, found="csm or calibration with some of the scans only", expected="with all of them, or with none")
    if maps:
        arrays["csm"] = (torch.cat(maps), ("slice", "map", "coil", *encoded))
    if apart:
        arrays["calibration"] = (torch.cat([part.kspace[:, 0] for part in apart]), ("slice", "coil", *encoded))
        arrays["calibration_mask"] = (torch.cat([part.mask[:, 0, 0] for part in apart]), ("slice", *encoded))
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["layout"], file.attrs["version"] = LAYOUT, VERSION
        for name, (data, axes) in arrays.items():
            file[name] = data.numpy()
            file[name].attrs["axes"] = " ".join(axes)
        if scans[0].noise is not None:
            file["noise"] = scans[0].noise.numpy()
            file["noise"].attrs["bandwidth_ratio"] = scans[0].noise_bandwidth_ratio
        for key in (*TEXTS, *PAIRS, "field_strength", "volume_max"):
            if value := getattr(header, key):
                file.attrs[key] = str(value) if isinstance(value, str) else value  # HDF5 knows no enumerated text
        if hybrid := [scan.header.encoding for scan in scans if isinstance(scan.header.encoding, HybridSlice)]:
            file.attrs["readout_positions"] = [encoding.position for encoding in hybrid]
            file.attrs["readout_length"] = hybrid[0].positions
    return path
