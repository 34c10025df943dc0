"""Siemens raw data (twix, ``.dat``) of Cartesian scans, of software VB, VD, VE and XA."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ssrecon.archive.cartesian.archive import ArchiveOfLines
from ssrecon.archive.cartesian.lines import Flag
from ssrecon.archive.cartesian.orientation import DIRECTIONS, PLACES, directions_of, directions_of_quaternion
from ssrecon.archive.cartesian.sorting import sort_acquisitions
from ssrecon.archive.cartesian.volumes import CartesianLines
from ssrecon.archive.siemens.protocol import Protocol, identity_of_protocol, parse_protocol
from ssrecon.archive.siemens.twix_file import Measurement, channels_of, is_twix, measurements, raid_names, read_lines
from ssrecon.core.errors import BadInput
from ssrecon.privacy.identifying_text import may_identify

COUNTERS = {
    "kspace_encode_step_1": "Lin", "kspace_encode_step_2": "Par", "average": "Ave", "slice": "Sli", "contrast": "Eco", "phase": "Phs",
    "repetition": "Rep", "set": "Set", "segment": "Seg",
}  # fmt: skip
"""The counters of ISMRMRD and Siemens' names for them."""

FLAGS = {
    "NOISEADJSCAN": Flag.NOISE, "PATREFSCAN": Flag.CALIBRATION, "PATREFANDIMASCAN": Flag.CALIBRATION_AND_IMAGING, "REFLECT": Flag.REVERSE,
    "LASTSCANINMEAS": Flag.LAST_IN_MEASUREMENT, "noname60": 23, "PHASCOR": 24, "HPFEEDBACK": 26, "MDH_VOP": 26, "B1_CONTROLLOOP": 26,
    "RETRO_DUMMYSCAN": 27, "RTFEEDBACK": 28, "CT_NORMALIZE": 29, "REFPHASESTABSCAN": 30, "PHASESTABSCAN": 31,
}  # fmt: skip
"""The bits of ISMRMRD's flags (`Flag`) for those of Siemens' mask."""

CENTRES = {"kspace_encode_step_1": ("CenterLin", 5), "kspace_encode_step_2": ("CenterPar", 6)}
"""Where a line says the centre of k-space is, and in which of ISMRMRD's user counters its converter puts that."""

HEAD = np.dtype(
    [(name, "<i4") for name in ("number_of_samples", "center_sample", "discard_pre", "discard_post", "active_channels")]
    + [("encoding_space_ref", "<i4"), ("flags", "<u8"), ("sample_time_us", "<f8"), ("place", "<i8")]
    + [(name, "<f8", (3,)) for name in PLACES]
    + [("idx", [(name, "<i4") for name in COUNTERS] + [("user", "<i4", (8,))])]
)
"""What is needed of ISMRMRD's acquisition header; the lines are sorted as those of that format are."""


class Siemens(ArchiveOfLines):
    """This format is a twix file of a Cartesian scan in two or three dimensions, one scan a slice (or slab); a multi-raid file is several.

    - A measurement is a volume, unless it is one of the scanner's own adjustments (``%AdjustSeq%``). Of those only the noise readouts are
      used, where the measurement has none and the channels are the same.
    - Lines are put into the protocol's encoded matrix, with the line, partition and sample that the file calls the centre of k-space at
      N // 2. `Header.slice` is the file's counter.
    - Reference lines of parallel imaging (``PATREFSCAN``) are imaging lines where they were acquired in place, else `Scan.calibration`;
      those that are "and imaging" are in Omega in any case.
    - The noise readouts' time of a sample t is not in the file: 7.68 ms over their number of samples, in VB 1 / 130 Hz over it, in the
      adjustments 5 us (4 us the quiet one), as siemens_to_ismrmrd has it. See `ssrecon.archive.mrd.ismrmrd` for the ratio.
    - Where a slice lies is what its lines say (a quaternion and a position), else the protocol's list of slices, counted as the lines are.
    - Averages, frames, navigators and readout oversampling as in `ssrecon.archive.mrd.ismrmrd`.
    - Refused: reversed or ramp-sampled lines (echo-planar scans), trajectories other than Cartesian, slices excited together, a file
      without the end of its acquisition.
    - The protocol is read by an allow-list; the subject is a hash of the patient's number, which is not kept.
    """

    layout: ClassVar[str] = "a Siemens twix file (.dat, VB to XA)"

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.is_file() and is_twix(path)

    @property
    def skipped(self) -> Mapping[str, str]:
        return self._contents.refused

    @property
    def identity(self) -> tuple[str, ...]:
        told = (place for one in measurements(self.path) for place in identity_of_protocol(one.buffers))
        front = (
            place
            for patient, protocol in raid_names(self.path)
            for place, found in (("patient", may_identify("patient", patient)), ("protocol", may_identify("protocol", protocol)))
            if found
        )
        return tuple(dict.fromkeys([*super().identity, *(f"the name of the {place} before a measurement" for place in front), *told]))

    @property
    def volumes_of_lines(self) -> tuple[CartesianLines, ...]:
        return self._contents.volumes

    @cached_property
    def _contents(self) -> "_Contents":
        refused: dict[str, str] = {}
        errors: list[BadInput] = []

        def refuse(one: Measurement, error: BadInput) -> None:
            errors.append(error)
            refused[f"measurement {one.number}"] = f"found {error.found}; expected {error.expected}"

        found = []
        for one in measurements(self.path):
            try:
                if len(one.lines):
                    found.append((one, parse_protocol(one.buffers, _longest_line(one), self.path)))
            except BadInput as error:
                refuse(one, error)
        scans = [(one, protocol) for one, protocol in found if not protocol.adjustment]
        if not scans and not errors:
            raise BadInput(self.path, found=f"{len(found)} measurements, none but the scanner's own adjustments", expected="a scan")
        adjustments = [(one, protocol) for one, protocol in found if protocol.adjustment]
        volumes = []
        for one, protocol in scans:
            try:
                volume = self._volume(one, protocol, adjustments, f"{self.path.stem}/meas-{one.number}" if scans[1:] else self.path.stem)
                _ = volume.headers
                volumes.append(volume)
            except BadInput as error:
                refuse(one, error)
        if not volumes:
            raise errors[0]
        return _Contents(tuple(volumes), refused)

    def _volume(
        self, one: Measurement, protocol: Protocol, adjustments: list[tuple[Measurement, Protocol]], volume_id: str
    ) -> CartesianLines:
        _refuse_unsupported(one, protocol, self.path)
        notes: dict[str, str] = {"scanner": protocol.scanner} if protocol.scanner else {}
        heads = _acquisition_headers(one, protocol)
        _move_to_one_centre(heads, protocol, self.path)
        heads = self._with_noise(heads, one, adjustments, notes)
        found = sort_acquisitions(heads, protocol.header, self.path)
        _check_readouts(heads[found.imaging], found.encoding.encoded_matrix[2], self.path)
        kinds = np.unique(heads[found.imaging][["number_of_samples", "center_sample", "discard_pre", "discard_post"]])
        if len(kinds) > 1:
            notes["readouts"] = f"of {len(kinds)} kinds (samples, echo, samples to be discarded): {kinds[0]}, {kinds[1]} ..."
        if one.has("RAWDATACORRECTION").any():
            notes["raw data correction"] = "the scanner's factors for each channel are not applied"
        read = partial(read_lines, self.path, heads["place"], one.vb)
        return CartesianLines(self.path, volume_id, replace(found, notes={**found.notes, **notes}), read)

    def _with_noise(
        self, heads: np.ndarray, one: Measurement, adjustments: list[tuple[Measurement, Protocol]], notes: dict[str, str]
    ) -> np.ndarray:
        """Return the lines with noise readouts of their channels only: its own, else those of the last adjustment with any."""
        noise = one.has("NOISEADJSCAN")
        if noise.all():
            return heads  # and nothing to compare with: refused as such when the lines are sorted
        first = int(np.flatnonzero(~noise)[0])
        channels = channels_of(self.path, one.positions[first], one.lines[first], one.vb)

        def noise_of_these_channels(other: Measurement) -> np.ndarray:
            places = np.flatnonzero(other.has("NOISEADJSCAN"))
            fits = [np.array_equal(channels_of(self.path, other.positions[i], other.lines[i], other.vb), channels) for i in places]
            return places[np.array(fits, dtype=bool)]

        kept = noise_of_these_channels(one)
        if len(kept) < noise.sum():
            notes["noise scan"] = f"{noise.sum() - len(kept)} noise readouts of other channels were left out"
        lines = [heads[np.sort(np.append(np.flatnonzero(~noise), kept))]]
        for other, protocol in () if len(kept) else reversed(adjustments):
            if len(borrowed := noise_of_these_channels(other)):
                notes["noise scan"] = f"of another measurement of the file, number {other.number}"
                lines.append(_acquisition_headers(other, protocol)[borrowed])
                break
        return np.concatenate(lines)


@dataclass(frozen=True)
class _Contents:
    volumes: tuple[CartesianLines, ...]
    refused: Mapping[str, str]


def _longest_line(one: Measurement) -> int:
    return int(one.lines["SamplesInScan"][~one.has("NOISEADJSCAN")].max(initial=0))


def _acquisition_headers(one: Measurement, protocol: Protocol) -> np.ndarray:
    lines, heads = one.lines, np.zeros(len(one.lines), HEAD)
    for name, theirs in (("number_of_samples", "SamplesInScan"), ("center_sample", "CenterCol"), ("active_channels", "UsedChannels")):
        heads[name] = lines[theirs]
    heads["discard_pre"], heads["discard_post"], heads["place"] = lines["CutOff"]["Pre"], lines["CutOff"]["Post"], one.positions
    for name, theirs in COUNTERS.items():
        heads["idx"][name] = lines["Counter"][theirs]
    for centre, user in CENTRES.values():
        heads["idx"]["user"][:, user] = lines[centre]
    for theirs, bit in FLAGS.items():
        heads["flags"] |= one.has(theirs).astype(np.uint64) << np.uint64(bit - 1)
    first = protocol.dwell_times.get(0, 0.0)
    heads["sample_time_us"] = [protocol.dwell_times.get(int(contrast), first) for contrast in lines["Counter"]["Eco"]]
    noise = one.has("NOISEADJSCAN")
    heads["sample_time_us"][noise] = _noise_time(lines["SamplesInScan"][noise], protocol, one.vb)
    _fill_in_places(heads, lines, protocol)
    return heads


def _fill_in_places(heads: np.ndarray, lines: np.ndarray, protocol: Protocol) -> None:
    """Fill in where each line's slice lies, by the names of ISMRMRD."""
    directions = directions_of_quaternion(lines["SliceData"]["Quaternion"])
    position = np.stack([lines["SliceData"]["SlicePos"][name] for name in ("Sag", "Cor", "Tra")], axis=1)
    told = directions.any(axis=(1, 2))
    for index in np.unique(lines["Counter"]["Sli"][~told]):
        if int(index) in protocol.slices:
            here = ~told & (lines["Counter"]["Sli"] == index)
            place = protocol.slices[int(index)]
            directions[here], position[here] = directions_of(place.normal, place.rotation), place.position
    for axis, name in enumerate(DIRECTIONS):
        heads[name] = directions[:, axis]
    heads["position"] = position
    # Until VB a line says of the table only how far it was moved in, in a word without its sign.
    if "PTABPosX" in (lines.dtype.names or ()):
        heads["patient_table_position"] = np.stack([lines[f"PTABPos{name}"] for name in "XYZ"], axis=1)


def _noise_time(samples: np.ndarray, protocol: Protocol, vb: bool) -> np.ndarray:
    if protocol.adjustment:
        return np.full(len(samples), 4.0 if protocol.quiet else 5.0)
    return 1e6 / 130 / samples if vb else np.floor(76800 / samples) / 10


def _refuse_unsupported(one: Measurement, protocol: Protocol, path: Path) -> None:
    other = one.has("PHASCOR") | one.has("NOISEADJSCAN") | one.has("RTFEEDBACK") | one.has("HPFEEDBACK")
    backwards = int((one.has("REFLECT") & ~other).sum())
    if backwards or protocol.regridding > 1:
        lines = f"{backwards} of {int((~other).sum())} lines reversed and {int(one.has('PHASCOR').sum())} phase-correction navigators"
        ramp = f", sampled on the ramps of the gradient (regridding mode {protocol.regridding})" if protocol.regridding > 1 else ""
        raise BadInput(
            path,
            found=f"an echo-planar or other scan with {lines}{ramp}",
            expected="lines in one direction at even steps: corrected and regridded by another tool, and written as ISMRMRD or BART",
        )
    together = one.has("SLICE_ACCEL_REFSCAN") | one.has("SLICE_ACCEL_PHASCOR")
    if protocol.bands > 1 or together.any():
        raise BadInput(path, found=f"{protocol.bands} slices excited together", expected="slices that were excited one by one")
    for flag in ("SIGNREV", "SWAPPED"):
        some = one.has(flag)[~other]
        if some.any() and not some.all():
            raise BadInput(path, found=f"{some.sum()} of {len(some)} lines flagged {flag}", expected="lines of one kind")


def _move_to_one_centre(heads: np.ndarray, protocol: Protocol, path: Path) -> None:
    """Move the counters of lines that call another line the centre (a reference with its own matrix), so that one centre holds for all."""
    left_out = np.uint64(sum(1 << (bit - 1) for bit in (Flag.NOISE, *Flag.LEFT_OUT)))
    apart = np.uint64(1 << (Flag.CALIBRATION - 1))
    both = np.uint64(1 << (Flag.CALIBRATION_AND_IMAGING - 1))
    flags = heads["flags"]
    used = (flags & left_out) == 0
    imaging = used & (((flags & apart) == 0) | ((flags & both) != 0))
    for name, (_, user) in CENTRES.items():
        told = np.unique(heads["idx"]["user"][imaging, user])
        if len(told) > 1:
            raise BadInput(path, found=f"lines that call {', '.join(map(str, told[:4]))} the centre of {name}", expected="one centre")
        if len(told) and told[0] > 0:
            moved = used & (heads["idx"]["user"][:, user] > 0)
            heads["idx"][name][moved] += told[0] - heads["idx"]["user"][moved, user]
            heads["idx"]["user"][moved, user] = told[0]
    if protocol.header.encodings[0].encoded_matrix[0] == 1 and len(np.unique(heads["idx"]["kspace_encode_step_2"][used])) == 1:
        heads["idx"]["kspace_encode_step_2"] = 0  # some sequences count the one partition of a slice as they like


def _check_readouts(heads: np.ndarray, samples: int, path: Path) -> None:
    count, centre = heads["number_of_samples"], heads["center_sample"]
    if (2 * count <= samples).any() or ((2 * centre == count) & (count < samples)).any():
        raise BadInput(
            path,
            found=f"lines of {count.min()} to {count.max()} samples, echo at {centre.min()} to {centre.max()}",
            expected=f"lines of the protocol's {samples} samples, or lines of which one side was cut",
        )
