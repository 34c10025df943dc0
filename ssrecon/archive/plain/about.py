"""What a file of the plain layout says besides samples: texts, sizes, times, and where its slices lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import AXES, PATIENT_POSITIONS, Geometry, Vector
from ssrecon.core.hdf5 import attribute
from ssrecon.core.scan import Header, Numbers

TEXTS = ("subject", "contrast", "protocol", "origin", "vendor", "site", "scanner")
SIZES = ("recon_matrix", "encoded_fov", "recon_fov")
"""One number an encoded axis."""
TIMES = ("echo_time", "repetition_time", "inversion_time", "flip_angle")
"""One number, or several: those of `Header.timing`."""
PLACES = ("position", "table_position")
DIRECTIONS = ("read_direction", "phase_direction", "slice_direction")
LENGTHS = ("voxel_size", "field_of_view")
"""Three numbers, or three for each slice: with `PLACES` and `DIRECTIONS` the fields of `Geometry` that are vectors."""

UNIT = 0.01
"""The length of a direction may differ from 1 by as much: some programs write four decimals."""

ENCODED_DIRECTIONS = dict(zip(("z", "y", "x"), AXES, strict=True))


@dataclass(frozen=True)
class About:
    """What a file says of the scans in it, by the names of `Header`; what it does not say is empty or None."""

    texts: dict[str, str]
    sizes: dict[str, tuple[float, ...]]
    times: dict[str, Any]
    """By the names of `Header.timing`, each as `Numbers`."""
    geometries: tuple[Geometry, ...]
    """One a slice."""
    field_strength: float | None
    volume_max: float | None


def read_about(file: h5py.File, path: Path, encoded: Sequence[str], slices: int) -> About:
    """Read the attributes of a file whose k-space has these encoded axes. Raises `BadInput` for one that is not as the layout says."""
    return About(
        texts={name: str(attribute(file, name)) for name in TEXTS},
        sizes={name: read_positive(file, name, path, len(encoded)) for name in SIZES},
        times={name: _read_times(file, name, path) for name in TIMES},
        geometries=_read_geometries(file, path, encoded, slices),
        field_strength=read_number(file, "field_strength", path),
        volume_max=read_number(file, "volume_max", path),
    )


def write_about(file: h5py.File, headers: Sequence[Header]) -> None:
    """Write what the scans of a volume have in common as the first header has it, and where each of them lies."""
    first = headers[0]
    for name in (*TEXTS, *SIZES, *TIMES, "field_strength", "volume_max"):
        if value := getattr(first, name):
            file.attrs[name] = str(value) if isinstance(value, str) else value  # HDF5 knows no enumerated text
    if position := first.geometry.in_known_words().patient_position:
        file.attrs["patient_position"] = position
    for name in (*PLACES, *DIRECTIONS, *LENGTHS):
        told: list[Vector | None] = [getattr(header.geometry, name) for header in headers]
        if any(vector is not None for vector in told):
            rows = [vector or (np.nan,) * 3 for vector in told]
            file.attrs[name] = rows[0] if len(set(told)) == 1 else rows


def read_number(item: h5py.Group | h5py.Dataset, name: str, path: Path) -> float | None:
    """Read an attribute that is one finite positive number; None where there is no such attribute. Raises `BadInput` for anything else."""
    found = read_positive(item, name, path, 1)
    return found[0] if found else None


def read_positive(item: h5py.Group | h5py.Dataset, name: str, path: Path, count: int) -> tuple[float, ...]:
    """Read an attribute of `count` finite positive numbers; it is empty where there is no such attribute. Raises `BadInput` for others."""
    values = _values(item, name)
    if values is None:
        return ()
    values = values.ravel()
    if len(values) != count or not _all_positive(values):
        raise _refused(item, name, path, f"{count} positive numbers, in the order of the axes")
    return tuple(float(value) for value in values)


def _read_times(file: h5py.File, name: str, path: Path) -> Numbers:
    values = _values(file, name)
    if values is None:
        return None
    values = values.ravel()
    if not len(values) or not _all_positive(values):
        raise _refused(file, name, path, "one positive number or several")
    return float(values[0]) if len(values) == 1 else tuple(float(value) for value in values)


def _read_geometries(file: h5py.File, path: Path, encoded: Sequence[str], slices: int) -> tuple[Geometry, ...]:
    lying = str(attribute(file, "patient_position"))
    if lying and lying not in PATIENT_POSITIONS:
        raise _refused(file, "patient_position", path, "one of DICOM's, such as HFS")
    vectors = {name: _read_vectors(file, name, path, slices) for name in (*PLACES, *DIRECTIONS, *LENGTHS)}
    axes = tuple(ENCODED_DIRECTIONS[axis] for axis in encoded)
    found = []
    for index in range(slices):
        told: dict[str, Any] = {name: rows[index] for name, rows in vectors.items() if rows[index] is not None}
        told |= {"patient_position": lying} if lying else {}
        found.append(Geometry(axes=axes, **told) if told else Geometry())
    return tuple(found)


def _read_vectors(file: h5py.File, name: str, path: Path, slices: int) -> list[Vector | None]:
    """Read a vector for each slice; None where the file has none, or three times NaN."""
    values = _values(file, name)
    if values is None:
        return [None] * slices
    if values.shape not in ((3,), (slices, 3)):
        raise _refused(file, name, path, "three numbers, or three for each slice")
    known = values[~np.isnan(values).all(axis=-1)] if values.ndim == 2 else values[None]
    good, expected = np.isfinite(known), "finite numbers"
    if name in LENGTHS:
        good, expected = good & (known > 0), "positive numbers"
    elif name in DIRECTIONS:
        good, expected = np.abs(np.linalg.norm(known, axis=-1) - 1) <= UNIT, "vectors of length 1"
    if not good.all():
        raise _refused(file, name, path, expected)
    rows = np.broadcast_to(values, (slices, 3))
    return [None if np.isnan(row).all() else (float(row[0]), float(row[1]), float(row[2])) for row in rows]


def _values(item: h5py.Group | h5py.Dataset, name: str) -> np.ndarray | None:
    """Return an attribute as numbers, at least one axis of them; without any where it is no numbers, and None where there is none."""
    if name not in item.attrs:
        return None
    try:
        return np.atleast_1d(np.asarray(item.attrs[name], dtype=float))
    except (TypeError, ValueError):
        return np.zeros(0)


def _all_positive(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (values > 0).all())


def _refused(item: h5py.Group | h5py.Dataset, name: str, path: Path, expected: str) -> BadInput:
    return BadInput(path, found=f"{name} {attribute(item, name)!r}", expected=expected)
