"""Datasets of the plain layout name their own axes: which they are, held against what the layout allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py

from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import attribute, stored

LAYOUT, VERSION = "ssrecon", 1
ENCODED = (("z", "y", "x"), ("y", "x"), ("z", "y"))
LEADING = (("slice", "frame"), ("slice",), ("frame",), ())
"""What may stand before the coils of k-space."""
ORDER = ("slice", "frame", "map", "coil", "z", "y", "x")
COMPLEX = ("kspace", "csm", "calibration")


@dataclass(frozen=True)
class DatasetAxes:
    """The axes of a dataset, and their lengths."""

    axes: tuple[str, ...]
    shape: tuple[int, ...]

    def length(self, axis: str) -> int:
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def encoded(self) -> tuple[str, ...]:
        """These are the axes behind the coils: of k-space those that were encoded."""
        return self.axes[self.axes.index("coil") + 1 :]


def read_axes(file: h5py.File, path: Path, layout: str) -> Mapping[str, DatasetAxes]:
    """Return the axes of every dataset that has some. Raises `BadInput` where a file is not as the layout says, which `layout` names."""
    if attribute(file, "layout") != LAYOUT or attribute(file, "version", VERSION) != VERSION:
        told = f"layout {attribute(file, 'layout')!r}, version {attribute(file, 'version', VERSION)!r}"
        raise BadInput(path, found=told, expected=f"layout {LAYOUT!r}, version {VERSION}")
    if not isinstance(file.get("kspace"), h5py.Dataset):
        raise BadInput(path, found="no dataset 'kspace'", expected=layout)
    kspace = _axes_of_kspace(file["kspace"], path)
    found = {"kspace": kspace}
    free = ("slice", "frame", *kspace.encoded)
    rules: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("mask", free, ()),
        ("padding", free, ()),
        ("csm", ("slice", "map"), ("coil", *kspace.encoded)),
        ("calibration", ("slice",), ("coil", *kspace.encoded)),
        ("calibration_mask", ("slice", *kspace.encoded), ()),
    )
    for name, optional, required in rules:
        if name in file:
            if not isinstance(file.get(name), h5py.Dataset):
                raise BadInput(path, found=f"no dataset {name!r}", expected=layout)
            found[name] = _axes_beside_kspace(file[name], name, optional, required, kspace, path)
    if "calibration" in file and "calibration_mask" not in file:
        raise BadInput(path, found="calibration without calibration_mask", expected="both")
    coils = kspace.length("coil")
    if "noise" in file and (stored(file["noise"], path).ndim != 3 or file["noise"].shape[1] != coils):
        raise BadInput(path, found=f"noise {file['noise'].shape}", expected=f"(readouts, {coils} coils, samples)")
    return found


def _axes_of_kspace(data: h5py.Dataset, path: Path) -> DatasetAxes:
    axes = _stated_axes(data)
    good = any(axes == (*leading, "coil", *encoded) for leading in LEADING for encoded in ENCODED)
    return _checked(data, "kspace", axes, good, "'[slice] [frame] coil' and then 'y x', 'z y x' or 'z y'", path)


def _axes_beside_kspace(
    data: h5py.Dataset, name: str, optional: tuple[str, ...], required: tuple[str, ...], kspace: DatasetAxes, path: Path
) -> DatasetAxes:
    """Return the axes of a dataset that may and must have some, in their order and as long as those of k-space."""
    axes = _stated_axes(data)
    order = [axis for axis in ORDER if axis in (*optional, *required)]
    good = bool(axes) and list(axes) == [axis for axis in order if axis in axes] and set(required) <= set(axes)
    found = _checked(data, name, axes, good, " ".join(axis if axis in required else f"[{axis}]" for axis in order), path)
    for axis in axes:
        if axis != "map" and found.length(axis) != kspace.length(axis):
            raise BadInput(path, found=f"{name} with {axis} {found.length(axis)}", expected=f"{kspace.length(axis)}, as kspace")
    return found


def _checked(data: h5py.Dataset, name: str, axes: tuple[str, ...], good: bool, expected: str, path: Path) -> DatasetAxes:
    if not good or len(axes) != data.ndim:
        raise BadInput(path, found=f"{name} {data.shape} with axes {' '.join(axes)!r}", expected=f"axes {expected}, one a dimension")
    shape = stored(data, path).shape
    if (data.dtype.kind == "c") != (name in COMPLEX) or data.dtype.kind not in "cbui":
        wanted = "complex numbers" if name in COMPLEX else "booleans or integers"
        raise BadInput(path, found=f"{name} of {data.dtype}", expected=wanted)
    if min(shape) < 1:
        raise BadInput(path, found=f"{name} {shape}", expected="no axis of length 0")
    return DatasetAxes(axes, shape)


def _stated_axes(data: h5py.Dataset) -> tuple[str, ...]:
    return tuple(str(attribute(data, "axes")).split())
