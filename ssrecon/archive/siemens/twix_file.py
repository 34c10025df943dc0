"""The layout of a Siemens twix file: its measurements, each one's protocol and the headers of its lines, and the samples of a line.

The layouts come from `twixtools` (the multi-raid header, the two line headers, the bits of a line's mask). Its reader is not used: it
makes a Python object of each line, goes round for ever on a damaged length, and prints.
"""

import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ssrecon.core.errors import BadInput

VD_HEADER = 192
"""Bytes in front of a line, since VD; each channel has 32 more in front of its samples."""
VB_HEADER = 128
"""Bytes in front of each channel of a line, until VB."""
RAID_ENTRY, MOST_MEASUREMENTS = 152, 64
LARGEST_PROTOCOL = 1 << 26
BUFFER = re.compile(rb"(\w{4,40})\x00(.{4})", re.DOTALL)
BUFFERS = {b"Config", b"Dicom", b"Meas", b"MeasYaps", b"Phoenix", b"Spice"}
ACQEND, SYNCDATA = 1 << 0, 1 << 5


@dataclass(frozen=True)
class Measurement:
    """This is one measurement of a file. Its protocol names the patient: it is not kept."""

    number: int
    vb: bool
    buffers: dict[str, str]
    """The protocol's text, by the names of its parts."""
    positions: np.ndarray
    """Where each line begins in the file."""
    lines: np.ndarray
    """The headers of the lines, with twixtools' names."""

    def has(self, flag: str) -> np.ndarray:
        """Tell which lines bear a flag, by twixtools' name."""
        return (self.lines["EvalInfoMask"] & np.uint64(1 << _flag_bits()[flag])) != 0


def is_twix(path: Path) -> bool:
    """Tell whether a file begins as twix does, be it damaged further on. It never raises."""
    try:
        with path.open("rb") as file:
            places = _measurement_spans(file.read(8 + RAID_ENTRY * MOST_MEASUREMENTS), path.stat().st_size)
            return any(_begins_protocol(file, start) for start, _ in places)
    except (OSError, ValueError, OverflowError, struct.error):
        return False


def measurements(path: Path) -> Iterator[Measurement]:
    """Yield the measurements of a file, in its order. Raises `BadInput` for what is truncated or damaged."""
    with _mapped(path) as data:
        vb = _is_vb(data[:8])
        for number, (start, stop) in enumerate(_measurement_spans(data[: 8 + RAID_ENTRY * MOST_MEASUREMENTS], len(data))):
            where = f"{path} (measurement {number})" if number else path
            if stop > len(data) or start + 8 > stop:
                raise BadInput(where, found=f"a measurement of bytes {start} to {stop} in a file of {len(data)}", expected="a whole file")
            length, _ = struct.unpack_from("<II", data, start)
            if not 8 < length <= min(LARGEST_PROTOCOL, stop - start):
                raise BadInput(where, found=f"a protocol of {length} bytes in {stop - start}", expected="a whole twix file")
            positions = _line_positions(data, start + length, stop, vb, where)
            yield Measurement(
                number, vb, _protocol_parts(data[start : start + length], where), positions, _line_headers(data, positions, vb)
            )


def channels_of(path: Path, position: int, lines: np.ndarray, vb: bool) -> np.ndarray:
    """Return the identifiers of a line's channels, in their order."""
    with _mapped(path) as data:
        return _channels(data, int(position), int(lines["UsedChannels"]), int(lines["SamplesInScan"]), vb)["head"]["ChannelId"].copy()


def read_lines(path: Path, positions: np.ndarray, vb: bool, indices: np.ndarray, coils: int, samples: int) -> np.ndarray:
    """Read lines `indices` as ``(lines, coils, samples)`` complex64.

    What a file says twice is compared: until VB each channel repeats the line's header, since VD its counter.
    """
    read = np.empty((len(indices), coils, samples), dtype=np.complex64)
    with _mapped(path) as data:
        reference = None
        for row, index in enumerate(indices):
            place = int(positions[index])
            if place + _line_length(coils, samples, vb) > len(data):
                raise BadInput(path, found=f"a line at byte {place} of {len(data)} that is not all there", expected="a whole file")
            channels = _channels(data, place, coils, samples, vb)
            heads = channels["head"]
            told = heads["ScanCounter"] if vb else np.append(heads["ScanCounter"], struct.unpack_from("<I", data, place + 8))
            agrees = bool((told == told[0]).all())
            if vb:
                agrees &= all(bool((heads[name] == heads[name][0]).all()) for name in ("EvalInfoMask", "Counter", "CenterLin", "CenterPar"))
            reference = heads["ChannelId"].copy() if reference is None else reference
            if not agrees or (heads["ChannelId"] != reference).any():
                raise BadInput(path, found=f"a line at byte {place} whose channels do not belong together", expected="an undamaged file")
            read[row] = channels["data"]
    return read


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    except (OSError, ValueError, struct.error) as error:
        raise BadInput(path, found=f"a file that cannot be read ({type(error).__name__}: {error})", expected="a whole twix file") from None


def _is_vb(start: bytes) -> bool:
    """Tell whether a file is of VB. It begins with the length of its protocol, later versions with 0 or 1 and a count."""
    first, second = struct.unpack("<II", start[:8])
    return not (first < 10000 and second <= MOST_MEASUREMENTS)


def raid_names(path: Path) -> list[tuple[str, str]]:
    """Return the names of the patient and of the protocol that later versions keep in front of each measurement, outside its protocol."""
    with path.open("rb") as file:
        start = file.read(8 + RAID_ENTRY * MOST_MEASUREMENTS)
    if _is_vb(start):
        return []
    found = []
    for entry in range(min(struct.unpack_from("<I", start, 4)[0], MOST_MEASUREMENTS)):
        patient, protocol = struct.unpack_from("<64s64s", start, 8 + entry * RAID_ENTRY + 24)
        found.append((_until_zero(patient), _until_zero(protocol)))
    return found


def _until_zero(text: bytes) -> str:
    return text.partition(b"\0")[0].decode("latin-1").strip()


def _measurement_spans(start: bytes, size: int) -> list[tuple[int, int]]:
    """Return where each measurement begins and ends."""
    if _is_vb(start):
        return [(0, size)]
    (count,) = struct.unpack_from("<I", start, 4)
    places = []
    for entry in range(count):
        offset, length = struct.unpack_from("<QQ", start, 8 + entry * RAID_ENTRY + 8)
        # A scan that was broken off, and some converters, leave the length of a single measurement at 0.
        places.append((offset, offset + length if length or count > 1 else size))
    return places


def _begins_protocol(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    head = file.read(64)
    if len(head) < 64:
        return False
    length, count = struct.unpack_from("<II", head)
    name = BUFFER.match(head, 8)
    return 8 < length <= LARGEST_PROTOCOL and 0 < count <= 64 and name is not None and name.group(1) in BUFFERS


def _protocol_parts(protocol: bytes, where: object) -> dict[str, str]:
    (count,) = struct.unpack_from("<I", protocol, 4)
    place = 8
    found: dict[str, str] = {}
    for _ in range(count):
        name = BUFFER.match(protocol, place)
        length = struct.unpack("<I", name.group(2))[0] if name else 0
        if name is None or name.end() + length > len(protocol):
            raise BadInput(where, found=f"a damaged protocol, after {len(found)} of its {count} parts", expected="a whole twix file")
        found[name.group(1).decode("latin-1")] = protocol[name.end() : name.end() + length].decode("latin-1")
        place = name.end() + length
    return found


def _line_positions(data: mmap.mmap, start: int, stop: int, vb: bool, where: object) -> np.ndarray:
    """Return where each line begins, going from one to the next until the end of the acquisition."""
    header, mask_at = (VB_HEADER, 20) if vb else (VD_HEADER, 40)
    positions: list[int] = []
    place = start
    while place + header <= stop:
        (mask,) = struct.unpack_from("<Q", data, place + mask_at)
        if mask & ACQEND:
            return np.array(positions, dtype=np.int64)
        if mask & SYNCDATA:
            length = struct.unpack_from("<I", data, place)[0] % (1 << 25)
        else:
            samples, channels = struct.unpack_from("<HH", data, place + mask_at + 8)
            length = _line_length(channels, samples, vb) if samples and channels else 0
            positions.append(place)
        if length < header:
            found = f"a line of {length} bytes at byte {place}, after {len(positions)} lines"
            raise BadInput(where, found=found, expected="a whole twix file")
        place += length
    raise BadInput(
        where, found=f"{len(positions)} lines and no end of the acquisition: the file is truncated or damaged", expected="a whole twix file"
    )


def _line_length(channels: int, samples: int, vb: bool) -> int:
    return channels * (VB_HEADER + 8 * samples) if vb else VD_HEADER + channels * (32 + 8 * samples)


def _line_headers(data: mmap.mmap, positions: np.ndarray, vb: bool) -> np.ndarray:
    from twixtools.mdh_def import Scan_header, VB17_header

    kind = np.dtype(VB17_header if vb else Scan_header)
    return np.frombuffer(b"".join(data[place : place + kind.itemsize] for place in positions), dtype=kind)


def _channels(data: mmap.mmap, place: int, channels: int, samples: int, vb: bool) -> np.ndarray:
    from twixtools.mdh_def import Channel_header, VB17_header

    kind = np.dtype([("head", np.dtype(VB17_header if vb else Channel_header)), ("data", "<c8", (samples,))])
    start = place if vb else place + VD_HEADER
    return np.frombuffer(data[start : start + channels * kind.itemsize], dtype=kind)


@cache
def _flag_bits() -> dict[str, int]:
    from twixtools.mdh_def import mask_dict

    return dict(mask_dict)
