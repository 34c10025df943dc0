"""Whom a file names: headers lose it in every reader; what a file itself still bears is found, place by place."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np

from ssrecon.identity import harmless, own_words, safe_name, safe_subject, safe_text
from ssrecon.scan import Header, Scan

NAMING = re.compile(
    r"patient|subjectname|birth|accession|serial|institution|station|physician|operator|performing|referring"
    r"|study_?(date|time|id|instance|uid)|series_?(date|time|uid|instance)|frame_?of_?reference|measurement_?id|device_?id"
    r"|^(date|time|name|subject|address|phone|comment|comments|history)$",
    re.IGNORECASE,
)
"""Names of fields whose value says whom, where or when, be it a number or a word."""

HASH = re.compile(r"[0-9a-f]{16,64}")
BLANK = re.compile(r"[x0\s.*_-]*|anonym\w*|unknown|none|n/?a|m|f|o|head\s*first\s*\w*|[hf]f[sp]", re.IGNORECASE)
"""What is left where a value was blanked, and the sex."""

NUMBER = re.compile(r"[-+.,\d\seE]*")
SAID_BY_FORMATS = frozenset("layout axes MATLAB_class MATLAB_empty MATLAB_int_decode H5PATH CLASS DIMENSION_LABELS".split())
MATLAB = re.compile(rb"MATLAB 7\.3 MAT-file, Platform: [\w-]+(, Created on: [\w :]+ HDF5 schema [\d.]+ \.)?\s*\x00{0,8}\x00\x02IM")
XML_START = re.compile(r"\s*(<\?xml|<ismrmrdHeader)")
KEPT_XML = frozenset(
    "systemVendor systemModel trajectory calibrationMode interleavingDimension patientPosition multiband_calibration sequence_type"
    " diffusionDimension scheme name identifier coilName".split()
)
"""Elements of an ISMRMRD header whose words say what was measured and with what kind of device."""

KNOWN = frozenset(
    "dataset xml ismrmrd_header kspace data header mask noise csm padding calibration reconstruction_rss reconstruction_esc".split()
)
"""Names of groups and data sets that formats give."""


def deidentified(header: Header) -> Header:
    """A header without names: ids, subject and every text by their pseudonyms, notes in our own words. Doing it twice changes nothing."""
    volume = safe_name(header.volume_id)
    return replace(
        header,
        scan_id=safe_name(header.scan_id),
        volume_id=volume,
        # A subject that is only the volume's name for want of a better one has to stay so.
        subject=volume if header.subject == header.volume_id else safe_subject(header.subject),
        protocol=safe_text(header.protocol),
        contrast=safe_text(header.contrast),
        vendor=safe_text(header.vendor),
        site=safe_text(header.site),
        scanner=safe_text(header.scanner),
        notes={own_words(name): own_words(str(text)) for name, text in header.notes.items()},
    )


def without_names(read: Callable[[Any, str], Scan]) -> Callable[[Any, str], Scan]:
    """An archive's `read`, whose scans have lost the names that the archive's headers have lost."""

    @wraps(read)
    def read_without_names(archive: Any, scan_id: str) -> Scan:
        scan = read(archive, scan_id)
        return replace(scan, header=deidentified(scan.header))

    return read_without_names


def identity_of(path: Path) -> tuple[str, ...]:
    """Places of a file that may name a person, a place or a date: its own name, fields of such names, and any free text.

    The places are named, never what they hold. It errs on the side of naming too many: text is innocent where all its words are on the list
    of `ssrecon.identity`, where it is a hash, or was blanked (``xxxx``).
    """
    places = [] if harmless(path.stem) else ["the file's name"]
    try:
        if h5py.is_hdf5(path):
            places += _of_hdf5(path)
        elif path.suffix == ".hdr":
            places += _of_text(path)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        # What cannot be looked through cannot be called free of names.
        places.append(f"whatever could not be read ({type(error).__name__})")
    return tuple(dict.fromkeys(places))


def names(field: str, text: str) -> bool:
    """Whether a field of this name with this value may say whom, where or when."""
    text = text.strip()
    if field in SAID_BY_FORMATS or BLANK.fullmatch(text) or HASH.fullmatch(text.lower()):
        return False
    return safe_subject(text) != text if NAMING.search(field) else not (NUMBER.fullmatch(text) or harmless(text))


def _of_hdf5(path: Path) -> Iterator[str]:
    with h5py.File(path) as file:
        if size := file.userblock_size:
            with path.open("rb") as raw:
                block = raw.read(size).rstrip(b"\0 ")
            if block and not MATLAB.fullmatch(block):
                yield "the user block"
        nodes: list[tuple[str, h5py.Group | h5py.Dataset]] = [("", file)]
        file.visititems(lambda name, node: nodes.append((name, node)))  # type: ignore[arg-type]
        for name, node in nodes:
            shown = (
                name if harmless(name) or all(harmless(part) or part in KNOWN for part in name.split("/")) else "a part of a name not shown"
            )
            for key, value in node.attrs.items():
                if any(names(key, text) for text in _texts(value)):
                    yield f"attribute {key if NAMING.search(key) or harmless(key) else 'of a name not shown'} of {shown or 'the file'}"
            if name.rpartition("/")[2] == "waveforms":
                yield "waveforms"
            elif isinstance(node, h5py.Dataset) and (node.dtype.kind in "SUO" or NAMING.search(name.rpartition("/")[2])):
                yield from _of_dataset(shown, name.rpartition("/")[2], node)


def _of_dataset(shown: str, field: str, node: h5py.Dataset) -> Iterator[str]:
    for text in _texts(node[()]):
        if XML_START.match(text):
            yield from (f"{shown}: {place}" for place in identity_of_xml(text))
        elif names(field, text):
            yield shown


def identity_of_xml(text: str) -> Iterator[str]:
    """Elements of an ISMRMRD header that may name someone, by their paths."""
    try:
        root = ElementTree.fromstring(text.rstrip("\0 \n"))
    except ElementTree.ParseError:
        yield "a header that is no XML"
        return

    def walk(node: ElementTree.Element, path: str) -> Iterator[str]:
        tag = node.tag.rpartition("}")[2]
        here = f"{path}/{tag}" if path else tag
        if (node.text or "").strip() and tag not in KEPT_XML and names(tag, node.text or ""):
            yield here
        if any(names(key.rpartition("}")[2], value) for key, value in node.attrib.items() if "schemaLocation" not in key):
            yield f"an attribute of {here}"
        for child in node:
            yield from walk(child, here)

    for child in root:
        yield from walk(child, "")


def _of_text(path: Path) -> Iterator[str]:
    """The comments of a BART header: its command line, its files."""
    section = ""
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").strip()
        elif section != "Dimensions" and names("", line):
            yield section if harmless(section) or section in ("Command", "Files", "Creator") else "text"


def _texts(value: object) -> Iterator[str]:
    for item in np.asarray(value).reshape(-1)[:10_000]:
        if isinstance(item, bytes):
            yield item.decode("utf-8", "replace")
        elif isinstance(item, np.void):
            return
        else:
            yield str(item)
