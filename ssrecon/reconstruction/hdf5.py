"""Images of a volume are written with their geometry, in the HDF5 layout that readers of fastMRI's reconstructions expect."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ssrecon.core.errors import OutputInUse
from ssrecon.core.files import whole_file
from ssrecon.core.geometry import Geometry, Vector
from ssrecon.reconstruction.engine import ReconstructedVolume


def write_images(target: Path, volume: ReconstructedVolume, about: Mapping[str, Any]) -> None:
    """Write ``reconstruction`` and, where the volume has it, ``reconstruction_complex``; whole or not at all. See docs/reconstructions.md.

    A single frame and a single set of maps have no axis: magnitudes are ``(slices, rows, columns)`` or ``(slices, frames, rows, columns)``,
    complex images those or ``(slices, frames, maps, rows, columns)``; the attribute ``axes`` names them. Raises OutputInUse where the
    target is a file that is no reconstruction.
    """
    if target.exists() and not _is_reconstruction(target):
        raise OutputInUse(target, found="a file that is no reconstruction", expected="another folder: raw data are never written over")
    header = volume.headers[0]
    with whole_file(target) as partial, h5py.File(partial, "w") as file:
        frames = volume.image.shape[1]
        _write_dataset(file, "reconstruction", volume.image if frames > 1 else volume.image[:, 0], volume.geometry)
        if volume.complex_image is not None:
            values = volume.complex_image if volume.complex_image.shape[2] > 1 else volume.complex_image[:, :, 0]
            _write_dataset(file, "reconstruction_complex", values if values.ndim == 5 or frames > 1 else values[:, 0], volume.geometry)
        file.attrs["max"] = float(volume.image.max())
        file.attrs["acquisition"], file.attrs["patient_id"] = header.contrast, header.subject
        done = {
            "unlike_training": list(volume.unlike_training),
            "noise_source": volume.noise_source,
            "scale": volume.scale,
            "calibration": list(volume.notes),
            "resampled": volume.resampled,
        }
        file.attrs["provenance"] = json.dumps({**about, **done})


AXES_BY_NUMBER = {3: "slices rows columns", 4: "slices frames rows columns", 5: "slices frames maps rows columns"}
"""The names of the axes by their number, so that a reader who looks at the shape alone cannot be wrong."""


def _write_dataset(file: h5py.File, name: str, images: np.ndarray, geometry: Sequence[Geometry]) -> None:
    dataset = file.create_dataset(name, data=images.astype(np.complex64 if np.iscomplexobj(images) else np.float32))
    dataset.attrs["axes"] = AXES_BY_NUMBER[images.ndim]
    for key, values in attributes(geometry).items():
        dataset.attrs[key] = values


def attributes(geometry: Sequence[Geometry]) -> dict[str, Any]:
    """Return the geometry of slices as attributes of a dataset. What is not known of every slice is not there.

    Places and directions are ``(slices, 3)``, LPS, millimetres; sizes are of ``(slice, row, column)``, in millimetres, once where all the
    slices have the same.
    """
    columns: dict[str, list[Any]] = {
        "position_lps_mm": [one.position for one in geometry],
        "slice_direction": [one.slice_direction for one in geometry],
        "row_index_direction": [_axis_direction(one, -2) for one in geometry],
        "column_index_direction": [_axis_direction(one, -1) for one in geometry],
    }
    found: dict[str, Any] = {key: np.asarray(values) for key, values in columns.items() if None not in values}
    millimetres = {
        "voxel_size_mm": [_in_written_order(one, one.voxel_size) for one in geometry],
        "field_of_view_mm": [_in_written_order(one, one.field_of_view) for one in geometry],
    }
    for key, sizes in millimetres.items():
        if None not in sizes:
            found[key] = np.asarray(sizes[0] if len(set(sizes)) == 1 else sizes)
    first = geometry[0]
    if first.patient_position is not None:
        found["patient_position"] = first.patient_position
    if first.table_position is not None:
        found["table_position_lps_mm"] = np.asarray(first.table_position)
    return found


def _axis_direction(geometry: Geometry, axis: int) -> Vector | None:
    value: Vector | None = getattr(geometry, f"{geometry.axes[axis]}_direction")
    return value


def _in_written_order(geometry: Geometry, of: Vector | None) -> Vector | None:
    """Bring ``(slice, phase, read)`` into the order of the written axes."""
    if of is None:
        return None
    by_name = dict(zip(("slice", "phase", "read"), of, strict=True))
    rows, columns = (by_name.pop(axis) for axis in geometry.axes[-2:])
    (across,) = by_name.values()
    return across, rows, columns


def _is_reconstruction(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return "reconstruction" in file and "kspace" not in file
    except OSError:
        return False
