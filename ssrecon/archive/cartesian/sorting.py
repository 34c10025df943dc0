"""The acquisitions of an ISMRMRD file by what they are for: imaging, calibration, noise, and what is left out or refused."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssrecon.archive.cartesian.lines import Flag, flagged, left_out
from ssrecon.archive.mrd.header import Encoding, FileHeader, Limit
from ssrecon.core.errors import BadInput

FRAME_COUNTERS = ("contrast", "phase", "repetition", "set")
"""Counters under which one object is seen several times. Those that run become the frames axis: the first of this order is the slowest."""

SAME_FOV = 0.01
"""Relative difference of two fields of view that counts as none."""


@dataclass(frozen=True)
class Sorted:
    """The acquisitions of a file by what they are for. The integer arrays are indices into the file."""

    heads: np.ndarray
    header: FileHeader
    encoding: Encoding
    imaging: np.ndarray
    calibration: np.ndarray
    noise: np.ndarray
    frame_of: np.ndarray
    """The frame of every acquisition: the place of its counters among those of the lines, in order."""
    frames: tuple[int, ...]
    """Those of the imaging lines."""
    coils: int
    offsets: tuple[int, int]
    """Added to the counters (step_2, step_1) to bring the centre of k-space to N // 2."""
    notes: Mapping[str, str]

    @property
    def shape(self) -> tuple[int, ...]:
        """``(y, x)`` or ``(z, y, x)`` of k-space without readout oversampling."""
        z, y, _ = self.encoding.encoded_matrix
        return (z, y, self.encoding.readout_kept) if z > 1 else (y, self.encoding.readout_kept)

    def frame(self, lines: np.ndarray) -> np.ndarray:
        return self.frame_of[lines]

    def counter(self, name: str, lines: np.ndarray) -> np.ndarray:
        return self.heads["idx"][name][lines].astype(np.int64)


def sort_encodings(heads: np.ndarray, header: FileHeader, path: Path) -> dict[int, Sorted]:
    """What each acquisition is for, encoding by encoding: each that has imaging lines is a volume of its own.

    Raises `BadInput` where none of them can be gridded: the error of the first.
    """
    imaging = ~left_out(heads, {}) & ~flagged(heads, Flag.NOISE)
    imaging &= ~flagged(heads, Flag.CALIBRATION) | flagged(heads, Flag.CALIBRATION_AND_IMAGING)
    references = [int(reference) for reference in np.unique(heads["encoding_space_ref"][imaging])]
    if len(references) <= 1:
        return {references[0] if references else 0: sort_acquisitions(heads, header, path)}
    found: dict[int, Sorted] = {}
    errors: list[BadInput] = []
    for reference in references:
        try:
            found[reference] = sort_acquisitions(heads, header, path, reference)
        except BadInput as error:
            errors.append(error)
    if not found:
        raise errors[0]
    said = f"{len(references)} in the file, each a volume of its own"
    said += "".join(f"; one was left out: found {error.found}" for error in errors)
    return {reference: replace(one, notes={**one.notes, "encodings": said}) for reference, one in found.items()}


def sort_acquisitions(heads: np.ndarray, header: FileHeader, path: Path, reference: int | None = None) -> Sorted:
    """What each acquisition of a file is for, from the acquisition headers alone; of one encoding only, where that is named.

    Raises `BadInput` for what cannot be gridded.
    """
    notes: dict[str, str] = {}
    dropped = left_out(heads, notes)
    noise = flagged(heads, Flag.NOISE)
    marked, both = flagged(heads, Flag.CALIBRATION) & ~noise & ~dropped, flagged(heads, Flag.CALIBRATION_AND_IMAGING) & ~noise & ~dropped
    only_calibration = marked & ~both
    imaging = ~noise & ~dropped & ~only_calibration
    if reference is not None:
        others = heads["encoding_space_ref"] != reference
        # Calibration lines of an encoding that is a volume itself are that volume's.
        only_calibration &= ~(others & np.isin(heads["encoding_space_ref"], heads["encoding_space_ref"][imaging]))
        imaging, both = imaging & ~others, both & ~others
    if not imaging.any():
        raise BadInput(path, found=f"{len(heads)} acquisitions, none of which is an imaging line", expected="imaging lines")
    encoding = _encoding_of(heads[imaging], header, path)
    _refuse(heads, imaging | only_calibration, encoding, path)
    _refuse_compressed(heads, imaging | only_calibration | noise, path)
    elsewhere = only_calibration & (heads["encoding_space_ref"] != heads["encoding_space_ref"][imaging][0])
    apart = False
    if elsewhere.any():
        moved = _on_this_grid(heads, elsewhere, header, encoding)
        if apart := moved is not None and bool((only_calibration == elsewhere).all()):
            heads = heads if moved is None else moved
        else:
            notes["calibration"] = f"{elsewhere.sum()} calibration lines of another encoding were left out"
            only_calibration &= ~elsewhere
    keys = _keys(heads, _frames(heads, imaging))
    calibration = np.zeros_like(imaging)
    if only_calibration.any():
        again = {tuple(key) for key in keys[imaging]} & {tuple(key) for key in keys[only_calibration]}
        if encoding.calibration_mode in ("embedded", "interleaved") and not again and not apart:
            imaging = imaging | only_calibration
            notes["calibration"] = f"{only_calibration.sum()} embedded calibration lines are part of the scan"
        else:
            calibration = only_calibration | both
            notes["calibration"] = f"{calibration.sum()} lines of a separate calibration" + (", an encoding of its own" if apart else "")
    # Embedded calibration lines may run through a counter that the imaging lines do not.
    frame_of = _frames(heads, imaging)
    keys = _keys(heads, frame_of)
    _refuse_duplicates(keys, imaging, path)
    _refuse_duplicates(keys, calibration, path)
    _note_averages(keys[imaging], notes)
    _note_what_users_should_know(heads, imaging, noise, header, encoding, notes)
    _note_incomplete(keys[imaging], notes)
    if not flagged(heads, Flag.LAST_IN_MEASUREMENT).any():
        notes["end"] = "no line is marked as the measurement's last: the file may be incomplete"
    if noise.any() and header.noise_bandwidth:
        notes["noise bandwidth"] = f"relative receiver noise bandwidth {header.noise_bandwidth:g} taken into account"
    return Sorted(
        heads=heads,
        header=header,
        encoding=encoding,
        imaging=np.flatnonzero(imaging),
        calibration=np.flatnonzero(calibration),
        noise=np.flatnonzero(noise),
        frame_of=frame_of,
        frames=tuple(int(value) for value in np.unique(frame_of[imaging])),
        coils=_coils(heads, imaging | calibration | noise, path),
        offsets=_offsets(heads[imaging], header, encoding, notes),
        notes=notes,
    )


def _encoding_of(heads: np.ndarray, header: FileHeader, path: Path) -> Encoding:
    references = np.unique(heads["encoding_space_ref"])
    if len(references) > 1 or references[0] >= len(header.encodings):
        raise BadInput(
            path, found=f"imaging lines of encodings {references.tolist()}", expected=f"one of the header's {len(header.encodings)}"
        )
    encoding = header.encodings[int(references[0])]
    if encoding.trajectory != "cartesian":
        raise BadInput(path, found=f"a trajectory that is {encoding.trajectory}", expected="a Cartesian scan")
    if min(encoding.encoded_matrix) < 1:
        raise BadInput(path, found=f"an encoded matrix (z, y, x) of {encoding.encoded_matrix}", expected="positive sizes")
    return encoding


def _refuse(heads: np.ndarray, lines: np.ndarray, encoding: Encoding, path: Path) -> None:
    reversed_lines = lines & flagged(heads, Flag.REVERSE)
    if reversed_lines.any():
        raise BadInput(
            path,
            found=f"{reversed_lines.sum()} reversed lines",
            expected="lines in one direction, or corrected (phase and delay) beforehand",
        )
    longest = int(heads["number_of_samples"][lines].max())
    if longest > encoding.encoded_matrix[2]:
        raise BadInput(path, found=f"readouts of {longest} samples", expected=f"at most the encoded matrix, {encoding.encoded_matrix[2]}")


def _refuse_compressed(heads: np.ndarray, lines: np.ndarray, path: Path) -> None:
    compressed = lines & np.logical_or.reduce([flagged(heads, flag) for flag in Flag.COMPRESSION])
    if compressed.any():
        raise BadInput(path, found=f"{compressed.sum()} lines of compressed samples", expected="plain samples")


def _frames(heads: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """The frame of every acquisition, by the counters that run over `lines`."""
    counters = np.stack([heads["idx"][name].astype(np.int64) for name in FRAME_COUNTERS], axis=1)
    running = [i for i in range(len(FRAME_COUNTERS)) if len(np.unique(counters[lines, i])) > 1]
    # One that does not run has another value where no image is: noise readouts, calibration.
    chosen = counters[:, running] if running else counters[:, FRAME_COUNTERS.index("repetition")][:, None]
    return np.unique(chosen, axis=0, return_inverse=True)[1].reshape(-1)


def _on_this_grid(heads: np.ndarray, lines: np.ndarray, header: FileHeader, encoding: Encoding) -> np.ndarray | None:
    """The headers with `lines` of another encoding counted as this one's; None where its field of view or matrix does not let them."""
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
    own, theirs = _offsets(heads[~lines], header, encoding, {}), _offsets(heads[lines], header, other, {})
    for axis, name in enumerate(("kspace_encode_step_2", "kspace_encode_step_1")):
        shift = theirs[axis] - other.encoded_matrix[axis] // 2 + encoding.encoded_matrix[axis] // 2 - own[axis]
        place = heads["idx"][name][lines].astype(np.int64) + shift
        if place.min(initial=0) < 0:
            return None
        moved["idx"][name][lines] = place
    return moved


def _keys(heads: np.ndarray, frame_of: np.ndarray) -> np.ndarray:
    names = ("slice", "kspace_encode_step_2", "kspace_encode_step_1", "average")
    slices, *others = (heads["idx"][name].astype(np.int64) for name in names)
    return np.stack([slices, frame_of, *others], axis=1)


def _refuse_duplicates(keys: np.ndarray, lines: np.ndarray, path: Path) -> None:
    unique, counts = np.unique(keys[lines], axis=0, return_counts=True)
    if len(counts) and counts.max() > 1:
        slice_, frame, step_2, step_1, average = unique[counts.argmax()].tolist()
        where = f"slice {slice_}, frame {frame}, steps ({step_2}, {step_1}), average {average}"
        raise BadInput(
            path,
            found=f"{(counts > 1).sum()} lines acquired more than once, first {where}",
            expected="repeats counted as averages or repetitions",
        )


def _note_averages(keys: np.ndarray, notes: dict[str, str]) -> None:
    _, counts = np.unique(keys[:, :-1], axis=0, return_counts=True)
    if counts.max() > counts.min():
        notes["averages"] = f"{counts.min()} to {counts.max()} a line, averaged: the noise level is not the same for all lines"
    elif counts.max() > 1:
        notes["averages"] = f"{counts.max()}, averaged"


def _note_incomplete(keys: np.ndarray, notes: dict[str, str]) -> None:
    """A frame of far fewer lines than another was broken off, or one of its counters is damaged."""
    found, counts = np.unique(keys[:, :2], axis=0, return_counts=True)
    frames = len(np.unique(found[:, 0])) * len(np.unique(found[:, 1]))
    fewest = int(counts.min()) if len(counts) == frames else 0
    if 4 * fewest < counts.max():
        notes["incomplete"] = f"{fewest} to {counts.max()} lines a frame"


def _note_what_users_should_know(
    heads: np.ndarray, imaging: np.ndarray, noise: np.ndarray, header: FileHeader, encoding: Encoding, notes: dict[str, str]
) -> None:
    centres, counts = heads["center_sample"][imaging].astype(np.int64), heads["number_of_samples"][imaging].astype(np.int64)
    # A centre of 0 in a whole readout was not filled in.
    short = (centres != counts // 2) & ~((centres == 0) & (counts == encoding.encoded_matrix[2]))
    if short.any():
        notes["asymmetric echo"] = f"the echo of {short.sum()} lines is not in their middle"
    for axis, name in ((1, "phase"), (0, "slice")):
        encoded, kept = encoding.encoded_fov[axis], encoding.recon_fov[axis]
        if 0 < kept < encoded * (1 - SAME_FOV):
            notes[f"{name} oversampling"] = f"{encoded / kept:.2f} times the field of view was encoded"
    if not noise.any():
        notes["noise"] = "no noise readouts: the noise level can only be estimated"
    if not header.protocol:
        notes["protocol"] = "not named"
    running = [name for name in FRAME_COUNTERS if len(np.unique(heads["idx"][name][imaging])) > 1]
    if len(running) > 1:
        notes["frames"] = f"{' x '.join(running)}, the first the slowest"


def _coils(heads: np.ndarray, lines: np.ndarray, path: Path) -> int:
    coils = np.unique(heads["active_channels"][lines])
    if len(coils) > 1:
        raise BadInput(path, found=f"acquisitions of {' and '.join(map(str, coils))} coils", expected="one number of coils")
    return int(coils[0])


def _offsets(heads: np.ndarray, header: FileHeader, encoding: Encoding, notes: dict[str, str]) -> tuple[int, int]:
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
