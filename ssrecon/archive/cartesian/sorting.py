"""The acquisitions of an ISMRMRD file by what they are for: imaging, calibration, noise, and what is left out or refused."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ssrecon.archive.cartesian.fitting import (
    SAME_FOV,
    as_long_as_read,
    calibration_on_this_grid,
    inside_matrix,
    is_noise_of_other_channels,
    note_lines_beyond,
    offsets_to_centre,
)
from ssrecon.archive.cartesian.header import EncodingSpace, FileHeader
from ssrecon.archive.cartesian.lines import Flag, flagged, left_out
from ssrecon.core.errors import BadInput

FRAME_COUNTERS = ("contrast", "phase", "repetition", "set")
"""Counters under which one object is seen several times. Those that run become the frames axis: the first of this order is the slowest."""

UNFLAGGED = "phase-stabilisation, navigator and feedback lines with their flag, which some converters leave out: convert again, or set it"
"""What lines that are no part of the image look like where nothing says so: the hint of two errors."""


@dataclass(frozen=True)
class Sorted:
    """A file's acquisitions, sorted by what they are for. The integer arrays are indices into the file."""

    heads: np.ndarray
    header: FileHeader
    encoding: EncodingSpace
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
    doubts: Mapping[str, str]
    """See `Header.doubts`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of k-space without readout oversampling is ``(y, x)`` or ``(z, y, x)``."""
        z, y, _ = self.encoding.encoded_matrix
        return (z, y, self.encoding.readout_kept) if z > 1 else (y, self.encoding.readout_kept)

    def frame(self, lines: np.ndarray) -> np.ndarray:
        return self.frame_of[lines]

    def counter(self, name: str, lines: np.ndarray) -> np.ndarray:
        return self.heads["idx"][name][lines].astype(np.int64)


def sort_encodings(heads: np.ndarray, header: FileHeader, path: Path) -> dict[int, Sorted]:
    """Sort acquisitions by what they are for, encoding by encoding: each that has imaging lines is a volume of its own.

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
    """Sort acquisitions by what they are for, from their headers alone; those of one encoding only, where that is named.

    Raises `BadInput` for what cannot be gridded.
    """
    notes: dict[str, str] = {}
    noise, imaging, only_calibration, both = _by_flags(heads, reference, notes)
    if not imaging.any():
        raise BadInput(path, found=f"{len(heads)} acquisitions, none of which is an imaging line", expected="imaging lines")
    encoding = _encoding_of(heads[imaging], header, path)
    here = heads["encoding_space_ref"] == heads["encoding_space_ref"][imaging][0]
    encoding = as_long_as_read(encoding, heads[(imaging | only_calibration) & here], notes)
    _refuse_reversed_or_long(heads, imaging | only_calibration, encoding, path)
    other_noise = is_noise_of_other_channels(heads, noise, imaging | only_calibration)
    noise = noise & ~other_noise
    _refuse_compressed(heads, imaging | only_calibration | noise, path)
    heads, only_calibration, apart = calibration_on_this_grid(heads, imaging, only_calibration, header, encoding, notes)
    offsets = offsets_to_centre(heads[imaging], header, encoding, notes)
    inside = inside_matrix(heads, offsets, encoding)
    note_lines_beyond(heads, imaging | only_calibration, inside, offsets, encoding, path, notes)
    imaging, only_calibration, both = imaging & inside, only_calibration & inside, both & inside
    imaging, calibration = _imaging_and_calibration(heads, imaging, only_calibration, both, encoding, apart, notes)
    # Embedded calibration lines may run through a counter that the imaging lines do not.
    frame_of = _frame_of_each(heads, imaging)
    keys = _line_keys(heads, frame_of)
    _refuse_duplicates(keys, imaging, path)
    _refuse_duplicates(keys, calibration, path)
    _note_averages(keys[imaging], notes)
    _note_peculiarities(heads, imaging, header, encoding, notes)
    _note_noise(noise, other_noise, header, notes)
    broken_off, unmarked = _broken_off_frame(keys[imaging]), _unmarked_end(heads)
    notes |= {name: text for name, text in (("incomplete", broken_off), ("end", unmarked)) if text}
    return Sorted(
        heads=heads,
        header=header,
        encoding=encoding,
        imaging=np.flatnonzero(imaging),
        calibration=np.flatnonzero(calibration),
        noise=np.flatnonzero(noise),
        frame_of=frame_of,
        frames=tuple(int(value) for value in np.unique(frame_of[imaging])),
        coils=_coil_count(heads, imaging | calibration, path),
        offsets=offsets,
        notes=notes,
        doubts={"incomplete": "; ".join(text for text in (unmarked, broken_off) if text)} if unmarked or broken_off else {},
    )


def _by_flags(heads: np.ndarray, reference: int | None, notes: dict[str, str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tell by their flags which acquisitions are noise, which are imaging lines, and which of the lines are flagged "calibration" only,
    and which "and imaging" too.
    """
    noise = flagged(heads, Flag.NOISE)
    # A noise readout may bear another flag too (surface-coil correction): it is noise all the same.
    dropped = ~noise
    dropped[~noise] = left_out(heads[~noise], notes)
    lines = ~noise & ~dropped
    both = flagged(heads, Flag.CALIBRATION_AND_IMAGING) & lines
    only_calibration = flagged(heads, Flag.CALIBRATION) & lines & ~both
    imaging = lines & ~only_calibration
    if reference is not None:
        others = heads["encoding_space_ref"] != reference
        # Calibration lines of an encoding that is a volume itself are that volume's.
        only_calibration &= ~(others & np.isin(heads["encoding_space_ref"], heads["encoding_space_ref"][imaging]))
        imaging, both = imaging & ~others, both & ~others
    return noise, imaging, only_calibration, both


def _imaging_and_calibration(
    heads: np.ndarray,
    imaging: np.ndarray,
    only_calibration: np.ndarray,
    both: np.ndarray,
    encoding: EncodingSpace,
    apart: bool,
    notes: dict[str, str],
) -> tuple[np.ndarray, np.ndarray]:
    """Return imaging and calibration lines, once it is decided whether those flagged "calibration" only are samples of the scan.

    They are where they were acquired in place: on the same grid, with the same readout and counters, and none of them a second time. A
    calibration apart has its own copies of the lines that the imaging lines share with it. The header's word, where it says separate or
    external, stands.
    """
    none = np.zeros_like(imaging)
    if not only_calibration.any():
        return imaging, none
    keys = _line_keys(heads, _frame_of_each(heads, imaging))
    again = {tuple(key) for key in keys[imaging]} & {tuple(key) for key in keys[only_calibration]}
    told = encoding.calibration_mode in ("embedded", "interleaved")
    names = ("number_of_samples", "center_sample", "sample_time_us")
    alike = all(np.isin(heads[name][only_calibration], heads[name][imaging]).all() for name in names)
    counters = np.stack([heads["idx"][name] for name in FRAME_COUNTERS], axis=1)
    alike &= set(map(tuple, counters[only_calibration])) <= set(map(tuple, counters[imaging]))
    in_place = told or (encoding.calibration_mode not in ("separate", "external") and alike)
    if in_place and not again and not apart:
        told_or_found = "embedded calibration lines" if told else "calibration lines in place (of which the header tells nothing)"
        notes["calibration"] = f"{only_calibration.sum()} {told_or_found} are part of the scan"
        return imaging | only_calibration, none
    calibration = only_calibration | both
    notes["calibration"] = f"{calibration.sum()} lines of a separate calibration" + (", an encoding of its own" if apart else "")
    return imaging, calibration


def _encoding_of(heads: np.ndarray, header: FileHeader, path: Path) -> EncodingSpace:
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


def _refuse_reversed_or_long(heads: np.ndarray, lines: np.ndarray, encoding: EncodingSpace, path: Path) -> None:
    reversed_lines = lines & flagged(heads, Flag.REVERSE)
    if reversed_lines.any():
        raise BadInput(
            path,
            found=f"{reversed_lines.sum()} reversed lines",
            expected="lines in one direction, or corrected (phase and delay) beforehand",
        )
    counts = heads["number_of_samples"][lines].astype(np.int64)
    if counts.max() > encoding.encoded_matrix[2]:
        longer = int((counts > encoding.encoded_matrix[2]).sum())
        raise BadInput(
            path,
            found=f"{longer} of {len(counts)} readouts of up to {counts.max()} samples",
            expected=f"at most the encoded matrix, {encoding.encoded_matrix[2]}" + (f"; {UNFLAGGED}" if longer < len(counts) else ""),
        )


def _refuse_compressed(heads: np.ndarray, lines: np.ndarray, path: Path) -> None:
    compressed = lines & np.logical_or.reduce([flagged(heads, flag) for flag in Flag.COMPRESSION])
    if compressed.any():
        raise BadInput(path, found=f"{compressed.sum()} lines of compressed samples", expected="plain samples")


def _frame_of_each(heads: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Return the frame of every acquisition, by the counters that run over `lines`."""
    counters = np.stack([heads["idx"][name].astype(np.int64) for name in FRAME_COUNTERS], axis=1)
    running = [i for i in range(len(FRAME_COUNTERS)) if len(np.unique(counters[lines, i])) > 1]
    # One that does not run has another value where no image is: noise readouts, calibration.
    chosen = counters[:, running] if running else counters[:, FRAME_COUNTERS.index("repetition")][:, None]
    return np.unique(chosen, axis=0, return_inverse=True)[1].reshape(-1)


def _line_keys(heads: np.ndarray, frame_of: np.ndarray) -> np.ndarray:
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
            expected=f"repeats counted as averages or repetitions; {UNFLAGGED}",
        )


def _note_averages(keys: np.ndarray, notes: dict[str, str]) -> None:
    _, counts = np.unique(keys[:, :-1], axis=0, return_counts=True)
    if counts.max() > counts.min():
        notes["averages"] = f"{counts.min()} to {counts.max()} a line, averaged: the noise level is not the same for all lines"
    elif counts.max() > 1:
        notes["averages"] = f"{counts.max()}, averaged"


def _unmarked_end(heads: np.ndarray) -> str:
    """Say that no line is the measurement's last; the text is empty where one is."""
    marked = flagged(heads, Flag.LAST_IN_MEASUREMENT).any()
    return "" if marked else "no line is marked as the measurement's last: the file may be incomplete"


def _broken_off_frame(keys: np.ndarray) -> str:
    """Say that a frame has far fewer lines than another: it was broken off, or a counter is damaged. The text is empty where none has."""
    found, counts = np.unique(keys[:, :2], axis=0, return_counts=True)
    frames = len(np.unique(found[:, 0])) * len(np.unique(found[:, 1]))
    fewest = int(counts.min()) if len(counts) == frames else 0
    return f"{fewest} to {counts.max()} lines a frame" if 4 * fewest < counts.max() else ""


def _note_noise(noise: np.ndarray, of_other_channels: np.ndarray, header: FileHeader, notes: dict[str, str]) -> None:
    if of_other_channels.any():
        notes["noise scan"] = f"{of_other_channels.sum()} noise readouts of other channels were left out"
    if not noise.any():
        which = " of these channels" if of_other_channels.any() else ""
        notes["noise"] = f"no noise readouts{which}: the noise level can only be estimated"
    elif header.noise_bandwidth:
        notes["noise bandwidth"] = f"relative receiver noise bandwidth {header.noise_bandwidth:g} taken into account"


def _note_peculiarities(heads: np.ndarray, imaging: np.ndarray, header: FileHeader, encoding: EncodingSpace, notes: dict[str, str]) -> None:
    centres, counts = heads["center_sample"][imaging].astype(np.int64), heads["number_of_samples"][imaging].astype(np.int64)
    # A centre of 0 in a whole readout was not filled in.
    short = (centres != counts // 2) & ~((centres == 0) & (counts == encoding.encoded_matrix[2]))
    if short.any():
        notes["asymmetric echo"] = f"the echo of {short.sum()} lines is not in their middle"
    for axis, name in ((1, "phase"), (0, "slice")):
        encoded, kept = encoding.encoded_fov[axis], encoding.recon_fov[axis]
        if 0 < kept < encoded * (1 - SAME_FOV):
            notes[f"{name} oversampling"] = f"{encoded / kept:.2f} times the field of view was encoded"
    if not header.protocol:
        notes["protocol"] = "not named"
    running = [name for name in FRAME_COUNTERS if len(np.unique(heads["idx"][name][imaging])) > 1]
    if len(running) > 1:
        notes["frames"] = f"{' x '.join(running)}, the first the slowest"


def _coil_count(heads: np.ndarray, lines: np.ndarray, path: Path) -> int:
    coils = np.unique(heads["active_channels"][lines])
    if len(coils) > 1:
        raise BadInput(path, found=f"acquisitions of {' and '.join(map(str, coils))} coils", expected="one number of coils")
    return int(coils[0])
