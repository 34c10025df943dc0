"""What a reconstruction needs of a Siemens protocol; persons, devices and places only by their pseudonyms."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ssrecon.archive.cartesian.header import EncodingSpace, FileHeader, Limit, scanner_name
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import PATIENT_POSITIONS, Vector
from ssrecon.privacy.identifying_text import IDENTIFYING_FIELD, may_identify
from ssrecon.privacy.pseudonyms import pseudonym

NOISE_BANDWIDTH = 0.793
"""Of Siemens receivers, relative to 1 / dwell time (Kellman and McVeigh, doi:10.1002/mrm.20713)."""

SETTINGS = re.compile(r"### ASCCONV BEGIN.*?###(.*?)### ASCCONV END ###", re.DOTALL)
SETTING = re.compile(r"^\s*([\w.\[\]]+)[ \t]*=[ \t]*([^\r\n#]*)", re.MULTILINE)

SLICE_NORMAL = re.compile(r"sSliceArray\.asSlice\[(\d{1,4})\]\.sNormal\.")

PARAMETER = re.compile(r'<Param\w*\."(\w+)">\s*\{\s*(?:<\w+>\s*\S+\s*)*([^{}<>]*)\}')

SOMEBODY = re.compile(r"[^\W\d]\^|(?<![\d.])(18|19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?![\d.])")
"""DICOM's way to write a name, or a date, whatever the parameter is called."""

TRAJECTORIES = {1: "cartesian", 2: "radial", 4: "spiral", 8: "propeller"}
REFERENCES = {2: "embedded", 4: "separate", 8: "separate", 16: "interleaved", 32: "interleaved", 64: "interleaved"}
"""How the reference lines of parallel imaging were acquired, by ``sPat.ucRefScanMode``: in place, extra, prescan; by averages, repetitions
and phases."""

INVERSIONS, NO_INVERSION = (1, 2), 4
"""Of ``sPrepPulses.ucInversion``: selective to the slice, of everything; none."""
MOST_ECHOES = 128

KEPT = {
    "Config": ("PatientID", "PatientLOID", "ProtocolName"),
    "Meas": ("alRegridMode", "iNoOfFourierLines", "iNoOfFourierPartitions", "flReadoutOSFactor", "flMagneticFieldStrength"),
    "Dicom": (
        "tPatientPosition",
        "ManufacturersModelName",
        "SoftwareVersions",
        "InstitutionName",
        "DeviceSerialNumber",
        "flReadoutOSFactor",
        "flMagneticFieldStrength",
    ),
}
"""All that is taken from the parts of a protocol besides its settings. The numbers of patient and device and the institution's name become
pseudonyms at once."""


@dataclass(frozen=True)
class SlicePlace:
    """This is where the protocol puts a slice: its centre (mm), its unit normal, both in LPS, and its turn in the plane."""

    position: Vector
    normal: Vector
    rotation: float
    """In radians."""


@dataclass(frozen=True)
class Protocol:
    """This is all that is taken from a protocol."""

    header: FileHeader
    scanner: str
    adjustment: bool
    """Whether the scanner measured it for itself: coil sensitivities, noise."""
    quiet: bool
    dwell_times: Mapping[int, float]
    """Of a sample, in microseconds, by contrast."""
    regridding: int
    """1: none. Else the samples lie on a ramp of the gradient."""
    bands: int
    """Slices excited together."""
    slices: Mapping[int, SlicePlace]
    """By their place in the protocol's list; only those whose normal is told."""


def parse_protocol(buffers: Mapping[str, str], longest: int, where: object) -> Protocol:
    """Read the protocol of a measurement whose longest line has so many samples. Raises `BadInput` for what is missing or no number."""
    settings = _read_settings(buffers, where)
    told = _read_parameters(buffers, where)

    def number(name: str, default: float | None = None) -> float:
        return _number(settings.get(name), name, default, where)

    def parameter(name: str, default: float) -> float:
        value = told.get(name, default)
        value = value[0] if isinstance(value, list) and value else value
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else default

    sequence = settings.get("tSequenceFileName", "")
    name = _text(told.get("ProtocolName")) or settings.get("tProtocolName", "")
    frequency = number("sTXSPEC.asNucleusInfo[0].lFrequency", 0)
    field = parameter("flMagneticFieldStrength", 0) or number("sProtConsistencyInfo.flNominalB0", 0) or frequency / 42.577e6
    return Protocol(
        header=FileHeader(
            encodings=(_read_encoding(number, parameter, longest, where),),
            subject=_subject(told),
            protocol=_decoded(name),
            vendor="SIEMENS",
            site=pseudonym(site, "i") if (site := _not_blanked(told.get("InstitutionName"))) else "",
            scanner=scanner_name(_not_blanked(told.get("DeviceSerialNumber")), _text(told.get("ManufacturersModelName"))),
            field_strength=round(field, 2) if field > 0 else None,
            **_read_timing(number),
            patient_position=lying if (lying := _text(told.get("tPatientPosition")).upper()) in PATIENT_POSITIONS else None,
            noise_bandwidth=NOISE_BANDWIDTH,
        ),
        scanner=", ".join(part for key in ("ManufacturersModelName", "SoftwareVersions") if (part := _text(told.get(key)))),
        adjustment="adjustseq" in sequence.lower() or name.startswith("Adj"),
        quiet="quiet" in (sequence + name).lower(),
        dwell_times={index: time / 1000 for index in range(64) if (time := number(f"sRXSPEC.alDwellTime[{index}]", 0)) > 0},
        regridding=int(parameter("alRegridMode", 1)),
        bands=int(number("sSliceAcceleration.lMultiBandFactor", 1)),
        slices=_read_slices(settings, number),
    )


def identity_of_protocol(buffers: Mapping[str, str]) -> Iterator[str]:
    """Yield the parameters of a protocol that may name someone, by their names.

    These are parameters of such names that were not blanked, and those whose values look like a person's name or a date.
    """
    for part, text in buffers.items():
        for name, value in [*PARAMETER.findall(text), *SETTING.findall(text)]:
            value = value.strip().strip('"').strip()
            by_name = "ProtocolName" in name or IDENTIFYING_FIELD.search(name)
            if value and (may_identify(name, value) if by_name else SOMEBODY.search(value)):
                yield f"{name} of {part}"


def _read_encoding(number: Callable[..., float], parameter: Callable[..., float], longest: int, where: object) -> EncodingSpace:
    volume = int(number("sKSpace.ucDimension", 2)) == 4
    base, lines = int(number("sKSpace.lBaseResolution")), int(number("sKSpace.lPhaseEncodingLines"))
    partitions = int(number("sKSpace.lPartitions")) if volume else 1
    fov = tuple(number(f"sSliceArray.asSlice[0].{side}") for side in ("dThickness", "dPhaseFOV", "dReadoutFOV"))
    wider = (
        1 + number("sKSpace.dSliceOversamplingForDialog", 0) if volume else 1.0,
        1 + number("sKSpace.dPhaseOversamplingForDialog", 0),
        # Where no line is longer than the image is wide, the scanner has removed the oversampling.
        parameter("flReadoutOSFactor", 2.0) if longest > base else 1.0,
    )
    if min(base, lines, partitions) < 1 or max(base, lines, partitions) > 1 << 14 or min(fov) <= 0 or not all(1 <= w <= 8 for w in wider):
        raise BadInput(
            where,
            found=f"a protocol with a matrix of {partitions} x {lines} x {base}, {fov} mm, and oversampling {wider}",
            expected="positive sizes and fields of view",
        )

    def limit(size: int, name: str) -> Limit:
        acquired = int(parameter(name, size))
        acquired = acquired if 0 < acquired <= size else size
        # The last `acquired` lines are those of partial Fourier: the centre comes earlier by what is missing.
        return Limit(0, acquired - 1, size // 2 - (size - acquired))

    samples = round(base * wider[2])
    return EncodingSpace(
        trajectory=TRAJECTORIES.get(int(number("sKSpace.ucTrajectory", 1)), "of an unknown kind"),
        encoded_matrix=(partitions, lines, samples),
        encoded_fov=(fov[0] * wider[0], fov[1] * wider[1], fov[2] * samples / base),
        # In the encoded pixels: Siemens' own images may be interpolated.
        recon_matrix=(round(partitions / wider[0]), round(lines / wider[1]), base),
        recon_fov=(fov[0], fov[1], fov[2]),
        step_1=limit(lines, "iNoOfFourierLines"),
        step_2=limit(partitions, "iNoOfFourierPartitions") if volume else None,
        calibration_mode=REFERENCES.get(int(number("sPat.ucRefScanMode", 1)), ""),
    )


def _read_timing(number: Callable[..., float]) -> dict[str, Any]:
    """Return times in milliseconds and the flip angle in degrees, by the names that `Header` has for them.

    Lists in a protocol go on with what other protocols left there: of the echo times as many hold as there are contrasts, of the others
    one. An inversion time without an inversion is no time.
    """

    def milliseconds(name: str) -> float | None:
        return time / 1000 if 0 < (time := number(name, 0)) else None

    echoes = [milliseconds(f"alTE[{index}]") for index in range(min(max(int(number("lContrasts", 1)), 1), MOST_ECHOES))]
    known = tuple(time for time in echoes if time is not None)
    angle = number("adFlipAngleDegree[0]", 0)
    return {
        "echo_time": None if len(known) < len(echoes) else known[0] if len(known) == 1 else known,
        "repetition_time": milliseconds("alTR[0]"),
        "inversion_time": milliseconds("alTI[0]") if int(number("sPrepPulses.ucInversion", NO_INVERSION)) in INVERSIONS else None,
        "flip_angle": angle if angle > 0 else None,
    }


def _read_slices(settings: Mapping[str, str], number: Callable[..., float]) -> dict[int, SlicePlace]:
    found = {}
    for index in sorted({int(match.group(1)) for name in settings if (match := SLICE_NORMAL.match(name))}):
        slice_ = f"sSliceArray.asSlice[{index}]"
        # A component that is zero is not written.
        position, normal = ([number(f"{slice_}.{what}.d{axis}", 0) for axis in ("Sag", "Cor", "Tra")] for what in ("sPosition", "sNormal"))
        length = math.hypot(*normal)
        if length > 0:
            unit = (normal[0] / length, normal[1] / length, normal[2] / length)
            found[index] = SlicePlace((position[0], position[1], position[2]), unit, number(f"{slice_}.dInPlaneRot", 0))
    return found


def _read_settings(buffers: Mapping[str, str], where: object) -> dict[str, str]:
    """Return the settings as ``name: value``; twixtools nests them, loses values with a blank, makes lists as long as a damaged index."""
    for name in ("MeasYaps", "Phoenix", "Meas"):
        if section := SETTINGS.search(buffers.get(name, "")):
            return {match.group(1): match.group(2).strip().strip('"') for match in SETTING.finditer(section.group(1))}
    raise BadInput(where, found=f"a protocol of {', '.join(buffers) or 'nothing'} without settings", expected="settings (ASCCONV)")


def _read_parameters(buffers: Mapping[str, str], where: object) -> dict[str, object]:
    from twixtools.twixprot import parse_xprot

    told: dict[str, object] = {}
    for part, kept in KEPT.items():
        try:
            found = parse_xprot(SETTINGS.sub("", buffers.get(part, "")))
        except Exception as error:  # whatever it is; its words might name the patient
            problem = f"a protocol whose part {part} cannot be read ({type(error).__name__})"
            raise BadInput(where, found=problem, expected="a whole twix file") from None
        told.update({name: found[name] for name in kept if name in found and found[name] not in ("", [])})
    return told


def _number(text: str | None, name: str, default: float | None, where: object) -> float:
    if text is None and default is not None:
        return default
    try:
        value = float(int(text, 16)) if text and text.lower().startswith("0x") else float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(where, found=f"a protocol with {name} = {text!r}" if text else f"a protocol without {name}", expected="a number")
    return value


def _subject(told: Mapping[str, object]) -> str:
    """Return a pseudonym of the patient's number, or of the scanner's own number for the patient where that is blanked or missing."""
    for name in ("PatientID", "PatientLOID"):
        if identity := _not_blanked(told.get(name)):
            return pseudonym(identity)
    return ""


def _not_blanked(value: object) -> str:
    text = _text(value)
    return "" if set(text.lower()) == {"x"} else text


def _text(value: object) -> str:
    return str(value).strip() if value is not None else ""


def _decoded(name: str) -> str:
    """Settings hold names in UTF-7: TRUFI+AF8-STW is TRUFI_STW."""
    try:
        return name.encode("ascii").decode("utf-7") if "+" in name else name
    except ValueError:
        return name
