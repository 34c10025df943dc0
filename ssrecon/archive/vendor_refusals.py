"""Raw data of GE and Philips in the vendors' own files: recognised, and refused with the name of the converter that helps.

Their layouts are not public, change with the software release, and lack corrections that only the vendors' own tools apply.

====================  =============================================================================================================
GE P-file             a float32 software revision, and the words ``GE_MED_NMR`` or ``INVALIDNMR`` in its first bytes
GE ScanArchive        HDF5 whose groups bear the names of GE's Orchestra library; by its name ``ScanArchive_*.h5`` where they do not
Philips ``.lab``      labels of 64 bytes, a type of 0x7f00 to 0x7f05 at byte 14 of each
Philips ``.sin``      lines ``01 00 00: name : values``
Philips ``.list``     the words ``START OF DATA VECTOR INDEX`` or ``number_of_mixes``
Philips ``.raw``      512 empty bytes before the samples, and ``.data`` nothing at all: by the file of the same name beside them
Philips ``.par``      the words ``DATA DESCRIPTION FILE``: images, not k-space
====================  =============================================================================================================

The P-file's words and the labels' types are those that pfile-tools and philips_to_ismrmrd look for. Only the first bytes are looked at,
and nothing of them is repeated in the message: these files name the patient.
"""

import math
import re
import struct
from pathlib import Path

import h5py

from ssrecon.core.errors import BadInput

HEAD = 1 << 16
"""Bytes looked at."""

GE_LOGOS = (b"GE_MED_NMR", b"INVALIDNMR")
GE_LOGO_WITHIN = 1024
ORCHESTRA = re.compile(r"^(ScanArchive|Orchestra|DownloadMetaData|DownloadData|rdb_hdr)", re.IGNORECASE)

LABEL, LABEL_TYPE, LABEL_TYPES = 64, 14, range(0x7F00, 0x7F06)
SIN_LINE = re.compile(rb"^\s*\d\d +\d\d +\d\d *: *\w+ *: ", re.MULTILINE)

GE = "an ISMRMRD file made with ge_to_ismrmrd, which needs GE's Orchestra SDK"
PHILIPS_RAW = "an ISMRMRD file made with philips_to_ismrmrd (compare its images with the scanner's: its corrections are incomplete)"
PHILIPS_LIST = "an ISMRMRD or BART file made from it, for example with MRecon or PhilipsDataList.jl"


def refusal(path: Path) -> BadInput | None:
    """Return the error for a vendor's raw data file, and None for whatever else it is. It never raises."""
    try:
        found = _vendor_and_converter(path)
    except (OSError, RuntimeError, KeyError, ValueError):
        return None
    return None if found is None else BadInput(path, found=found[0], expected=found[1])


def _vendor_and_converter(path: Path) -> tuple[str, str] | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return ("a GE ScanArchive", GE) if _is_scan_archive(path) else None
    if _is_p_file(head):
        return "a GE P-file", GE
    return _philips(path, head)


def _is_p_file(head: bytes) -> bool:
    if len(head) < GE_LOGO_WITHIN:
        return False
    (revision,) = struct.unpack("<f", head[:4])
    return math.isfinite(revision) and 1 < revision < 100 and any(logo in head[:GE_LOGO_WITHIN] for logo in GE_LOGOS)


def _is_scan_archive(path: Path) -> bool:
    with h5py.File(path) as file:
        names = list(file)
    return any(ORCHESTRA.match(str(name)) for name in names) or path.name.startswith("ScanArchive_")


def _philips(path: Path, head: bytes) -> tuple[str, str] | None:
    if (what := _philips_header(path, head)) is not None:
        return what
    for other in sorted(path.parent.glob(f"{_escaped(path.stem)}.*")):
        if other != path and other.is_file() and path.suffix.lower() in (".raw", ".data"):
            with other.open("rb") as file:
                beside = _philips_header(other, file.read(HEAD))
            if beside is not None:
                return f"the samples of {beside[0]}", beside[1]
    return None


def _philips_header(path: Path, head: bytes) -> tuple[str, str] | None:
    if b"START OF DATA VECTOR INDEX" in head or b"number_of_mixes" in head:
        return "a Philips list/data file", PHILIPS_LIST
    if head.lstrip().startswith(b"# === DATA DESCRIPTION FILE"):
        return "a Philips PAR/REC header, of images", "k-space; images cannot be turned back into it"
    if len(SIN_LINE.findall(head)) > 2:
        return "a Philips lab/raw/sin file", PHILIPS_RAW
    if path.stat().st_size % LABEL == 0 and len(head) >= 2 * LABEL:
        count = min(len(head) // LABEL, 64)
        types = [struct.unpack_from("<H", head, index * LABEL + LABEL_TYPE)[0] for index in range(count)]
        if all(kind in LABEL_TYPES for kind in types[: count - 1]):
            return "a Philips lab/raw/sin file", PHILIPS_RAW
    return None


def _escaped(stem: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", stem)
