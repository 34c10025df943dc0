"""Where slices lie, from what their lines say: the directions of encoding, checked, with the sign that our Fourier transform needs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ssrecon.archive.cartesian.header import EncodingSpace, FileHeader
from ssrecon.core.geometry import Geometry, Vector

DIRECTIONS = ("slice_dir", "phase_dir", "read_dir")
PLACES = (*DIRECTIONS, "position", "patient_table_position")
"""Fields of an acquisition header that say where its slice lies: ISMRMRD's names. A reader whose lines have none leaves them out."""

TOLERANCE = 0.01
"""Of the lengths and angles of directions: files keep them in single precision, and some in four decimals."""

MICROMETRES = 1e-3
"""Siemens' scanners count the table in thousandths of a millimetre, and the converter to ISMRMRD hands that on."""


def sizes_of(encoding: EncodingSpace, header: FileHeader) -> Geometry:
    """Return what the header alone says: sizes (mm) of the array without readout oversampling, and how the patient lies."""
    z, y, x = encoding.encoded_matrix
    kept = encoding.readout_kept
    fov = (encoding.encoded_fov[0], encoding.encoded_fov[1], encoding.encoded_fov[2] * kept / x)
    axes = ("slice", "phase", "read") if z > 1 else ("phase", "read")
    if min(fov) <= 0:
        return Geometry(patient_position=header.patient_position, axes=axes)
    voxel = (fov[0] / z, fov[1] / y, fov[2] / kept)
    return Geometry(voxel_size=voxel, field_of_view=fov, patient_position=header.patient_position, axes=axes)


def geometry_of(heads: np.ndarray, encoding: EncodingSpace, header: FileHeader, notes: dict[str, str]) -> Geometry:
    """Return where the slice or volume lies whose imaging lines have these acquisition headers.

    Directions that are all zero (as in files of the standard's own phantom generator), or no unit vectors at right angles, are unknown, and
    then so is the position. `notes` says what was not used, and lines that do not agree: then the first line's are taken.
    """
    known = sizes_of(encoding, header)
    if not len(heads) or any(name not in (heads.dtype.names or ()) for name in (*DIRECTIONS, "position")):
        return known
    told = np.stack([np.asarray(heads[name], np.float64) for name in (*DIRECTIONS, "position")], axis=1)
    first = told[0]
    if not np.isfinite(first).all() or not first[:3].any():
        return known
    if np.abs(first[:3] @ first[:3].T - np.eye(3)).max() > TOLERANCE:
        notes["geometry"] = "directions that are no unit vectors at right angles: not used"
        return known
    if (np.abs(told - first) > [[TOLERANCE]] * 3 + [[known.voxel_size[2] if known.voxel_size else 1.0]]).any():
        notes["geometry"] = "the lines of a slice do not agree on where it lies: the first line's place is given"
    siemens = header.vendor.upper().startswith("SIEMENS")
    # A slice's normal is not Fourier encoded: its sign stays as it is.
    signs = np.array([-1.0 if siemens and encoding.encoded_matrix[0] > 1 else 1.0, *(2 * [-1.0 if siemens else 1.0])])
    slice_, phase, read = signs[:, None] * first[:3] / np.linalg.norm(first[:3], axis=1, keepdims=True)
    table = np.zeros(3)
    if "patient_table_position" in (heads.dtype.names or ()):
        table = np.asarray(heads["patient_table_position"][0], np.float64) * (MICROMETRES if siemens else 1.0)
    return replace(
        known,
        position=_as_vector(first[3]),
        read_direction=_as_vector(read),
        phase_direction=_as_vector(phase),
        slice_direction=_as_vector(slice_),
        table_position=_as_vector(table) if table.any() and np.isfinite(table).all() else None,
    )


def directions_of(normal: Sequence[float], rotation: float) -> tuple[Vector, Vector, Vector]:
    r"""Return Siemens' directions (slice, phase, read) of a slice with this `normal` (sagittal, coronal, transversal) and `rotation`.

    Unturned, the phase direction of a mainly sagittal or transversal slice runs to the back within the plane, that of a mainly coronal one
    to the left; :math:`p' = p \cos\varphi + r \sin\varphi` with :math:`r = s \times p`, so that (phase, read, slice) is a right-handed
    system, as the quaternions of the lines are.
    """
    s = np.asarray(normal, np.float64) / np.linalg.norm(normal)
    # The plane is the main one that the normal is nearest to; where two are as near, the transversal before the coronal one.
    main = max((2, 1, 0), key=lambda axis: round(abs(float(s[axis])), 6))
    p = {0: np.array([-s[1], s[0], 0.0]), 1: np.array([s[1], -s[0], 0.0]), 2: np.array([0.0, s[2], -s[1]])}[main]
    p /= np.linalg.norm(p)
    p = p * np.cos(rotation) + np.cross(s, p) * np.sin(rotation)
    return _as_vector(s), _as_vector(p), _as_vector(np.cross(s, p))


def directions_of_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Return rows slice, phase, read of unit quaternions ``(lines, 4)``, the scalar first.

    A quaternion's rotation has phase, read and slice as columns. Rows are zero where a line has no unit quaternion.
    """
    q = np.asarray(quaternion, np.float64)
    w, x, y, z = q.T
    read = np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=1)
    phase = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=1)
    slice_ = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)
    unit = np.abs(np.linalg.norm(q, axis=1) - 1) < TOLERANCE
    return np.where(unit[:, None, None], np.stack([slice_, phase, read], axis=1), 0.0)


def _as_vector(values: np.ndarray) -> Vector:
    # Adding zero makes 0.0 of -0.0.
    a, b, c = (float(value) + 0.0 for value in values)
    return (a, b, c)
