"""Acquisitions of an ISMRMRD file: their flags, and their samples in bulk."""

from pathlib import Path

import h5py
import numpy as np

from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import unreadable

NEAR = 16
"""Acquisitions this close in the file are read together: reading a few that are not needed is cheaper than asking again."""


class Flag:
    """A flag is a bit of the acquisition header's flags, counted from 1 as the standard does."""

    NOISE = 19
    CALIBRATION = 20
    CALIBRATION_AND_IMAGING = 21
    REVERSE = 22
    LAST_IN_MEASUREMENT = 25
    COMPRESSION = (53, 54, 55, 56)
    LEFT_OUT = {
        23: "navigators",
        24: "phase-correction lines",
        26: "high-priority feedback lines",
        27: "dummy lines",
        28: "real-time feedback lines",
        29: "surface-coil correction lines",
        30: "phase-stabilisation reference lines",
        31: "phase-stabilisation lines",
    }


def flagged(heads: np.ndarray, bit: int) -> np.ndarray:
    return (heads["flags"] >> np.uint64(bit - 1)) & np.uint64(1) == 1


def left_out(heads: np.ndarray, notes: dict[str, str]) -> np.ndarray:
    """Tell which acquisitions are no part of an image or its calibration; how many there are goes into `notes`."""
    dropped = np.zeros(len(heads), dtype=bool)
    for bit, name in Flag.LEFT_OUT.items():
        here = flagged(heads, bit) & ~dropped
        if here.any():
            notes[name] = f"{here.sum()} left out"
        dropped |= here
    return dropped


def usable_readout(kind: tuple[int, ...], samples: int, path: Path) -> tuple[slice, slice]:
    """Return the samples of a readout that count, and where they go in an encoded readout of `samples` whose echo is at N // 2.

    `kind` is (number_of_samples, center_sample, discard_pre, discard_post). A centre of 0 in a readout of full length was not filled in.
    """
    count, centre, pre, post = kind
    centre = samples // 2 if centre == 0 and count == samples else centre
    start, stop = samples // 2 - centre + pre, samples // 2 - centre + count - post
    if start < 0 or stop > samples or start >= stop:
        raise BadInput(
            path,
            found=f"readouts of {count} samples, echo at {centre}, {pre} and {post} to be discarded",
            expected=f"samples that lie within the encoded {samples} when the echo is at {samples // 2}",
        )
    return slice(pre, count - post), slice(start, stop)


def read_lines(path: Path, group: str, indices: np.ndarray, coils: int, samples: int) -> np.ndarray:
    """Read acquisitions `indices` (ascending) as ``(lines, coils, samples)`` complex64, in as few pieces as their places allow."""
    lines = np.empty((len(indices), coils, samples), dtype=np.complex64)
    breaks = np.flatnonzero(np.diff(indices) > NEAR) + 1
    try:
        with h5py.File(path) as file:
            data = file[group]["data"].fields("data")
            for members in np.split(np.arange(len(indices)), breaks):
                wanted = indices[members]
                raw = data[int(wanted[0]) : int(wanted[-1]) + 1][wanted - wanted[0]]
                short = [len(line) for line in raw if len(line) != 2 * coils * samples]
                if short:
                    raise BadInput(
                        path, found=f"a line of {short[0]} numbers", expected=f"2 x {coils} coils x {samples} samples, as its header says"
                    )
                lines[members] = np.stack(list(raw)).view(np.complex64).reshape(-1, coils, samples)
    except OSError as error:
        raise unreadable(path, error, "a whole file") from None
    return lines
