"""The XML header that ISMRMRD and fastMRI files share: only what a reconstruction needs, and nothing that names a person."""

from contextlib import suppress
from xml.etree import ElementTree

from ssrecon.archive.cartesian.header import EncodingSpace, FileHeader, Limit, Triple, scanner_name
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import PATIENT_POSITIONS
from ssrecon.core.scan import Numbers
from ssrecon.privacy.pseudonyms import pseudonym

SEQUENCE = {"TR": "repetition_time", "TE": "echo_time", "TI": "inversion_time", "flipAngle_deg": "flip_angle"}
"""ISMRMRD's names of times (ms) and flip angle, in the order of its schema, and those of `ssrecon.core.Header`."""

LARGEST, LARGEST_MATRIX = 1e10, 65535
"""Of any number (the resonance frequency is the largest), and of matrices, which the standard keeps in two bytes."""


def parse_header(text: object, where: object) -> FileHeader:
    """Read an ISMRMRD header. Raises `BadInput` where it is no XML, or has no encoding with a matrix.

    Inati et al. ISMRM Raw data format: a proposed standard for MRI raw datasets. Magn Reson Med 77:411-421 (2017).
    doi:10.1002/mrm.26089
    """
    if not isinstance(text, (str, bytes)):
        raise BadInput(where, found=f"a header that is no text ({type(text).__name__})", expected="an ISMRMRD header")
    try:
        root = ElementTree.fromstring(text.decode("utf-8", "replace").rstrip("\0 \n") if isinstance(text, bytes) else text.rstrip("\0 \n"))
    except ElementTree.ParseError as error:
        raise BadInput(where, found=f"a header that is no XML ({error})", expected="an ISMRMRD header") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    try:
        encodings = tuple(_read_encoding(node) for node in root.findall("encoding"))
        frequency = _number(root, "experimentalConditions/H1resonanceFrequency_Hz")
        field = _number(root, "acquisitionSystemInformation/systemFieldStrength_T")
        noise_bandwidth = _number(root, "acquisitionSystemInformation/relativeReceiverNoiseBandwidth")
        times = {ours: _numbers(root, f"sequenceParameters/{name}") for name, ours in SEQUENCE.items()}
    except (ValueError, OverflowError) as error:
        raise BadInput(where, found=f"a header with a value that cannot be ({error})", expected="an ISMRMRD header") from None
    if not encodings:
        raise BadInput(where, found="a header without an encoding", expected="an ISMRMRD header with encodedSpace/matrixSize")
    lying = root.findtext("measurementInformation/patientPosition", "").strip().upper()
    return FileHeader(
        encodings=encodings,
        subject=_subject(root),
        protocol=root.findtext("measurementInformation/protocolName", ""),
        vendor=root.findtext("acquisitionSystemInformation/systemVendor", ""),
        site=pseudonym(site, "i") if (site := _system_text(root, "institutionName")) else "",
        scanner=scanner_name(_system_text(root, "deviceSerialNumber") or _system_text(root, "deviceID"), _system_text(root, "systemModel")),
        # The proton's 42.577 MHz a tesla says the field strength where the file does not.
        field_strength=field if field is not None else round(frequency / 42.577e6, 2) if frequency else None,
        noise_bandwidth=noise_bandwidth,
        **times,
        patient_position=lying if lying in PATIENT_POSITIONS else None,
    )


def _system_text(root: ElementTree.Element, name: str) -> str:
    return root.findtext(f"acquisitionSystemInformation/{name}", "").strip()


def _subject(root: ElementTree.Element) -> str:
    if patient := root.findtext("subjectInformation/patientID", ""):
        return pseudonym(patient)
    # Siemens measurement ids are device_patient_study_measurement: two scans of one person share the first two, and must
    # not be divided between training and test.
    parts = root.findtext("measurementInformation/measurementID", "").split("_")
    return pseudonym("_".join(parts[:2])) if len(parts) == 4 and all(part.isdigit() for part in parts) else ""


def _read_encoding(node: ElementTree.Element) -> EncodingSpace:
    encoded = _triple(node, "encodedSpace/matrixSize")
    recon = _triple(node, "reconSpace/matrixSize")
    encoded_fov, recon_fov = (_triple(node, f"{space}/fieldOfView_mm") for space in ("encodedSpace", "reconSpace"))
    if max(*encoded, *recon) > LARGEST_MATRIX:
        raise ValueError(f"a matrix {encoded}, {recon}")
    if 0 < recon_fov[2] < encoded_fov[2] and round(encoded[2] * recon_fov[2] / encoded_fov[2]) < 1:
        raise ValueError(f"a field of view {recon_fov[2]:g} of {encoded_fov[2]:g} along the readout")
    matrix = (int(encoded[0]) or 1, int(encoded[1]), int(encoded[2]))
    return EncodingSpace(
        trajectory=node.findtext("trajectory", "cartesian").strip().lower(),
        encoded_matrix=matrix,
        encoded_fov=encoded_fov,
        recon_matrix=(int(recon[0]) or 1, int(recon[1]) or matrix[1], int(recon[2]) or matrix[2]),
        recon_fov=recon_fov,
        step_1=_read_limit(node, ("kspace_encoding_step_1", "kspace_encode_step_1")),
        step_2=_read_limit(node, ("kspace_encoding_step_2", "kspace_encode_step_2")),
        calibration_mode=node.findtext("parallelImaging/calibrationMode", "").strip().lower(),
    )


def _triple(node: ElementTree.Element, path: str) -> Triple:
    z, y, x = (_number(node, f"{path}/{axis}") or 0.0 for axis in "zyx")
    return (z, y, x)


def _read_limit(node: ElementTree.Element, names: tuple[str, ...]) -> Limit | None:
    for name in names:
        maximum = _number(node, f"encodingLimits/{name}/maximum")
        if maximum is not None:
            minimum = _number(node, f"encodingLimits/{name}/minimum") or 0
            center = _number(node, f"encodingLimits/{name}/center")
            return Limit(int(minimum), int(maximum), int(center if center is not None else (maximum + 1) // 2))
    return None


def _numbers(node: ElementTree.Element, path: str) -> Numbers:
    """Return the positive numbers among the elements of a name. Converters write 0 for what they do not know; no scan is refused for it."""
    found = []
    for element in node.findall(path):
        with suppress(ValueError):
            if (value := _number_in_range(element.text, path)) is not None and value > 0:
                found.append(value)
    return (found[0] if len(found) == 1 else tuple(found)) if found else None


def _number(node: ElementTree.Element, path: str) -> float | None:
    return _number_in_range(node.findtext(path), path)


def _number_in_range(text: str | None, path: str) -> float | None:
    value = float(text) if text is not None and text.strip() else None
    if value is not None and not 0 <= value <= LARGEST:
        raise ValueError(f"{path.rpartition('/')[2]} {value:g}, which is not within 0 and {LARGEST:g}")
    return value
