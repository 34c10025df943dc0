"""Whom a file names: headers lose it before an archive gives them on; what a file itself still bears is found, place by place."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py

from ssrecon.core.errors import BadInput
from ssrecon.core.matlab import is_matlab5, matlab5_header, matlab5_variables
from ssrecon.core.scan import Header
from ssrecon.privacy.identifying_hdf5 import identity_of_hdf5
from ssrecon.privacy.identifying_text import IDENTIFYING_FIELD, is_known, may_identify
from ssrecon.privacy.pseudonyms import harmless, own_words, safe_name, safe_subject, safe_text

WITHOUT_NAME: Mapping[str, Callable[[str], str]] = {
    "scan_id": safe_name,
    "volume_id": safe_name,
    "subject": safe_subject,
    "protocol": safe_text,
    "contrast": safe_text,
    "vendor": safe_text,
    "site": safe_text,
    "scanner": safe_text,
}
"""Of each text of a header, what becomes of it."""

HEADER_OF_MATLAB = rb"MATLAB 5\.0 MAT-file,? Platform: [\w-]+, Created on: [\w :]+"


def deidentified(header: Header, listed: tuple[Header, Header] | None = None) -> Header:
    """Return a header without names: ids, subject and texts are pseudonyms, notes are our own words. Doing it twice changes nothing.

    `listed` is a header with names and the same one without: a text that is equal to the former's becomes the latter's, and needs no key.
    """

    def without_name(name: str) -> str:
        text: str = getattr(header, name)
        if listed is not None and text == getattr(listed[0], name):
            return str(getattr(listed[1], name))
        return WITHOUT_NAME[name](text)

    changed: dict[str, Any] = {name: without_name(name) for name in WITHOUT_NAME if name != "subject"}
    # A subject that is only the volume's name for want of a better one has to stay so.
    changed["subject"] = changed["volume_id"] if header.subject == header.volume_id else without_name("subject")
    # Numbers name nobody; of the geometry's words only DICOM's own are kept.
    changed["geometry"] = header.geometry.in_known_words()
    for name in ("notes", "doubts"):
        changed[name] = {own_words(key): own_words(str(text)) for key, text in getattr(header, name).items()}
    return replace(header, **changed)


def identity_of(path: Path) -> tuple[str, ...]:
    """Return the places of a file that may name a person, a place or a date: its own name, fields of such names, and any free text.

    What the places hold is never shown. The function errs on the side of naming too many: text is innocent where all its words are on the
    list of `ssrecon.privacy.pseudonyms`, where it is a hash, or was blanked (``xxxx``).
    """
    places = [] if harmless(path.stem) else ["the file's name"]
    try:
        if h5py.is_hdf5(path):
            places += identity_of_hdf5(path)
        elif is_matlab5(path):
            places += _identity_of_matlab5(path)
        elif path.suffix == ".hdr":
            places += _identity_of_bart_header(path)
    except (BadInput, OSError, RuntimeError, ValueError, KeyError) as error:
        # What cannot be looked through cannot be called free of names.
        places.append(f"whatever could not be read ({type(error).__name__})")
    return tuple(dict.fromkeys(places))


def _identity_of_matlab5(path: Path) -> Iterator[str]:
    """Yield what may name someone in a MATLAB 5 file: its header, names, and whatever is no number or could be a text in numbers."""
    if not re.fullmatch(HEADER_OF_MATLAB, matlab5_header(path)[:116].rstrip(b"\0 ")):
        yield "the header"
    for name, variable in matlab5_variables(path).items():
        if not is_known(name):
            yield "the name of a part of the file"
        could_be_text = "int" in variable.kind and len(variable.shape) <= 2
        if not variable.is_number or could_be_text or IDENTIFYING_FIELD.search(name):
            yield name if is_known(name) or IDENTIFYING_FIELD.search(name) else "(name not shown)"


def _identity_of_bart_header(path: Path) -> Iterator[str]:
    """Yield the sections of a BART header whose comments (its command line, its files) may name someone."""
    section = ""
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").strip()
            if not is_known(section):
                yield "the name of a section"
        elif section != "Dimensions" and may_identify("", line):
            yield section if is_known(section) else "text"
