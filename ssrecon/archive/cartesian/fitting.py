"""Acquisitions against the matrix that their header tells: how long a readout is, where a line goes, and what has no place."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ssrecon.archive.cartesian.header import EncodingSpace, FileHeader, Limit
from ssrecon.core.errors import BadInput

SAME_FOV = 0.01
"""Relative difference of two fields of view that counts as none."""

MOST_OVERSAMPLING = 8
"""Of a readout, as a whole factor that the header does not tell."""


def as_long_as_read(encoding: EncodingSpace, heads: np.ndarray, notes: dict[str, str]) -> EncodingSpace:
    """Return the encoding with the readout as it was sampled.

    Headers that are written while the scanner runs tell the matrix without its oversampling, and the lines keep it: where *all* of them are
    longer than the matrix, and the longest by a whole factor, it is that.
    """
    told = encoding.encoded_matrix[2]
    counts = heads["number_of_samples"].astype(np.int64)
    factor, rest = divmod(int(counts.max()), told)
    if rest or not 2 <= factor <= MOST_OVERSAMPLING or counts.min() <= told:
        return encoding
    notes["readout oversampling"] = f"{factor} times what the header says ({counts.max()} samples for a matrix of {told}), removed"
    matrix, fov = encoding.encoded_matrix, encoding.encoded_fov
    return replace(
        encoding,
        encoded_matrix=(matrix[0], matrix[1], factor * told),
        encoded_fov=(fov[0], fov[1], factor * fov[2]),
        told_kept=encoding.readout_kept,
    )


def is_noise_of_other_channels(heads: np.ndarray, noise: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Tell which noise readouts have another number of channels than the lines: a coil's noise says nothing of another coil's."""
    return noise & ~np.isin(heads["active_channels"], np.unique(heads["active_channels"][lines]))


def calibration_on_this_grid(
    heads: np.ndarray, imaging: np.ndarray, calibration: np.ndarray, header: FileHeader, encoding: EncodingSpace, notes: dict[str, str]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the headers, the calibration lines that belong to the imaging lines' encoding, and whether they were moved there.

    Lines of another encoding are moved where its field of view and matrix let them, and else left out.
    """
    elsewhere = calibration & (heads["encoding_space_ref"] != heads["encoding_space_ref"][imaging][0])
    if not elsewhere.any():
        return heads, calibration, False
    moved = _on_this_grid(heads, elsewhere, header, encoding)
    if moved is not None and bool((calibration == elsewhere).all()):
        return moved, calibration, True
    notes["calibration"] = f"{elsewhere.sum()} calibration lines of another encoding were left out"
    return heads, calibration & ~elsewhere, False


def _on_this_grid(heads: np.ndarray, lines: np.ndarray, header: FileHeader, encoding: EncodingSpace) -> np.ndarray | None:
    """Return the headers with `lines` of another encoding counted as this one's; None where its field of view or matrix forbids it."""
    references = np.unique(heads["encoding_space_ref"][lines])
    if len(references) > 1 or references[0] >= len(header.encodings):
        return None
    other = header.encodings[int(references[0])]
    sides = list(zip(other.encoded_fov, encoding.encoded_fov, strict=True))
    if any(abs(a - b) > SAME_FOV * max(a, b) for a, b in sides) or any(
        a > b for a, b in zip(other.encoded_matrix, encoding.encoded_matrix, strict=True)
    ):
        return None
    moved = heads.copy()
    offsets = offsets_to_centre(heads[~lines], header, encoding, {})
    others = offsets_to_centre(heads[lines], header, other, {})
    for axis, name in enumerate(("kspace_encode_step_2", "kspace_encode_step_1")):
        shift = others[axis] - other.encoded_matrix[axis] // 2 + encoding.encoded_matrix[axis] // 2 - offsets[axis]
        place = heads["idx"][name][lines].astype(np.int64) + shift
        if place.min(initial=0) < 0:
            return None
        moved["idx"][name][lines] = place
    return moved


def inside_matrix(heads: np.ndarray, offsets: tuple[int, int], encoding: EncodingSpace) -> np.ndarray:
    """Tell which acquisitions have a place in the encoded matrix."""
    inside = np.ones(len(heads), dtype=bool)
    for name, offset, size in zip(("kspace_encode_step_2", "kspace_encode_step_1"), offsets, encoding.encoded_matrix, strict=False):
        place = heads["idx"][name].astype(np.int64) + offset
        inside &= (place >= 0) & (place < size)
    return inside


def note_lines_beyond(
    heads: np.ndarray,
    lines: np.ndarray,
    inside: np.ndarray,
    offsets: tuple[int, int],
    encoding: EncodingSpace,
    path: Path,
    notes: dict[str, str],
) -> None:
    """Note how many lines lie beyond the matrix: sequences that acquire whole shots have some.

    Raises `BadInput` where they are half of the lines or more, as then it is the header or its centre of k-space that is wrong.
    """
    beyond = lines & ~inside
    if not beyond.any():
        return
    for name, offset, size in zip(("2", "1"), offsets, encoding.encoded_matrix, strict=False):
        place = heads["idx"][f"kspace_encode_step_{name}"][lines].astype(np.int64) + offset
        if place.min() < 0 or place.max() >= size:
            where = f"lines at {place.min()} to {place.max()} along encoding step {name}, centre of k-space at {size // 2}"
            if 2 * beyond.sum() >= lines.sum():
                raise BadInput(path, found=where, expected=f"lines within the encoded matrix, 0 to {size - 1}")
            notes["lines beyond the matrix"] = f"{beyond.sum()} of {lines.sum()} left out: {where}, matrix {size}"


def offsets_to_centre(heads: np.ndarray, header: FileHeader, encoding: EncodingSpace, notes: dict[str, str]) -> tuple[int, int]:
    """Return what has to be added to the counters (step_2, step_1) to bring the centre of k-space to N // 2."""

    def offset(name: str, limit: Limit | None, size: int, user: int) -> int:
        centre = limit.center if limit else size // 2
        told = np.unique(heads["idx"]["user"][:, user])
        # Siemens' converter writes half the matrix into the limits even for partial Fourier; the line counter itself is right.
        if header.vendor.upper().startswith("SIEMENS") and len(told) == 1 and told[0] > 0 and size > 1:
            if limit and told[0] != centre:
                notes[f"centre of {name}"] = f"{told[0]} by the lines, {centre} by the header: the lines' was used"
            centre = int(told[0])
        elif limit is None and size > 1:
            notes[f"centre of {name}"] = f"not said: {centre} assumed"
        return size // 2 - centre

    z, y, _ = encoding.encoded_matrix
    return offset("step 2", encoding.step_2, z, 6), offset("step 1", encoding.step_1, y, 5)
