"""Whom a file names: headers lose it in every reader; what a file itself still bears is found, place by place."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import h5py

from ssrecon.core.scan import Header, Scan
from ssrecon.privacy.identifying_hdf5 import identity_of_hdf5
from ssrecon.privacy.identifying_text import is_known, names
from ssrecon.privacy.pseudonyms import harmless, own_words, safe_name, safe_subject, safe_text


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
        # Numbers name nobody; of the geometry's words only DICOM's own are kept.
        geometry=header.geometry.in_known_words(),
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
            places += identity_of_hdf5(path)
        elif path.suffix == ".hdr":
            places += _of_text(path)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        # What cannot be looked through cannot be called free of names.
        places.append(f"whatever could not be read ({type(error).__name__})")
    return tuple(dict.fromkeys(places))


def _of_text(path: Path) -> Iterator[str]:
    """The comments of a BART header: its command line, its files."""
    section = ""
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").strip()
            if not is_known(section):
                yield "the name of a section"
        elif section != "Dimensions" and names("", line):
            yield section if is_known(section) else "text"
