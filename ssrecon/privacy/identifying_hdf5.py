"""What an HDF5 file still bears of persons, places and dates, place by place: in names, links, attributes, values, types, comments."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from ssrecon.privacy.identifying_text import IDENTIFYING_FIELD, XML_START, identity_of_xml, is_known, may_identify
from ssrecon.privacy.pseudonyms import harmless

FORMAT_ATTRIBUTES = ("layout", "axes", "MATLAB_", "H5PATH", "CLASS", "NAME", "DIMENSION_", "REFERENCE_LIST", "units")
"""How the attributes begin that MATLAB, HDF5's dimension scales and our own layout give: their words are words of formats."""

MATLAB_USER_BLOCK = rb"MATLAB 7\.3 MAT-file, Platform: [\w-]+(, Created on: [\w :]+ HDF5 schema [\d.]+ \.)?\s*\x00{0,8}\x00\x02IM"
LETTERS_OF_TEXT = 4
"""A list of integers that are all characters, so many of them letters, is a text: MATLAB's, a header in bytes."""

MOST_CHARACTERS = 1 << 20
"""Longer lists of integers, and those of more than two axes, are samples."""

COMMENT_MESSAGE = 1 << 13
"""Of the messages in an object's header. h5py tells that there is one, but not what it says."""


def identity_of_hdf5(path: Path) -> Iterator[str]:
    """Yield the places that may name someone, never what they hold. What was deleted from a file without repacking it is not seen."""
    with h5py.File(path) as file:
        if size := file.userblock_size:
            with path.open("rb") as raw:
                block = raw.read(size).rstrip(b"\0 ")
            if block and not re.fullmatch(MATLAB_USER_BLOCK, block):
                yield "the user block"
        yield from _identity_of_node("", file)
        seen: set[object] = set()
        groups: list[tuple[str, h5py.Group]] = [("", file)]
        while groups:
            inside, group = groups.pop()
            if (token := h5py.h5o.get_info(group.id).addr) in seen:
                continue
            seen.add(token)
            for name in group:
                if not (is_known(name) or IDENTIFYING_FIELD.search(name)):
                    yield f"the name of a part of {inside or 'the file'}"
                place = f"{inside}/{name if is_known(name) or IDENTIFYING_FIELD.search(name) else '(name not shown)'}".lstrip("/")
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    yield f"{place}: a link to another file"
                elif isinstance(link, h5py.SoftLink):
                    if not all(map(is_known, link.path.split("/"))):
                        yield f"{place}: where a link leads"
                else:
                    node = group[name]
                    yield from _identity_of_node(place, node)
                    if isinstance(node, h5py.Group):
                        groups.append((place, node))


def _identity_of_node(place: str, node: h5py.Group | h5py.Dataset | h5py.Datatype) -> Iterator[str]:
    here = place or "the file"
    if h5py.h5o.get_info(node.id).hdr.mesg.present & COMMENT_MESSAGE:
        yield f"the comment of {here}"
    for key in node.attrs:
        shown = f"attribute {key if is_known(key) or IDENTIFYING_FIELD.search(key) else '(name not shown)'} of {here}"
        if not (is_known(key) or IDENTIFYING_FIELD.search(key)):
            yield f"the name of an attribute of {here}"
        attribute = node.attrs.get_id(key)
        if isinstance(attribute.dtype, np.dtype) and attribute.dtype.kind == "V" and attribute.dtype.names is None:
            yield shown  # bytes that nobody says the meaning of
        else:
            yield from _identity_of_values(shown, key, node.attrs[key])
    if isinstance(node, h5py.Dataset):
        yield from _identity_of_dataset(here, place.rpartition("/")[2], node)


def _identity_of_dataset(place: str, name: str, node: h5py.Dataset) -> Iterator[str]:
    if any(not harmless(Path(source[0]).stem) for source in node.external or ()):
        yield f"{place}: the name of the file that holds it"
    if node.is_virtual and any(source.file_name != "." for source in node.virtual_sources()):
        yield f"{place}: a link to another file"
    if name == "waveforms":
        yield "waveforms"
    elif node.dtype.kind == "V" and node.dtype.names is None and h5py.check_dtype(vlen=node.dtype) is None:
        yield place  # opaque bytes
    elif node.shape is not None and _may_bear_text(name, node):
        yield from _identity_of_values(place, name, node[()])


def _may_bear_text(name: str, node: h5py.Dataset) -> bool:
    """Tell whether the values of a dataset have to be looked at: texts, records with a text in them, integers that could be one, and what
    has the name of a field that identifies. Samples do not."""
    kind = node.dtype.kind
    if kind == "V":
        return any(_has_text(node.dtype[field]) or IDENTIFYING_FIELD.search(field) for field in node.dtype.names or ())
    if kind in "ui":
        return bool(IDENTIFYING_FIELD.search(name)) or h5py.check_dtype(enum=node.dtype) is not None or _could_be_text(node.shape)
    return kind in "SUO" or bool(IDENTIFYING_FIELD.search(name))


def _has_text(dtype: np.dtype) -> bool:
    if dtype.names:
        return any(_has_text(dtype[field]) for field in dtype.names)
    return dtype.kind in "SU" or h5py.check_dtype(vlen=dtype) in (str, bytes)


def _could_be_text(shape: tuple[int, ...]) -> bool:
    return len(shape) <= 2 and LETTERS_OF_TEXT <= int(np.prod(shape)) <= MOST_CHARACTERS


def _identity_of_values(place: str, field: str, value: object) -> Iterator[str]:
    """Yield the place where a text of a value, or of one of its fields, may name someone; each is held against the name of its field."""
    array = np.asarray(value)
    if meanings := h5py.check_dtype(enum=array.dtype):
        if not all(map(is_known, meanings)):
            yield f"{place}: the names of its values"
        return
    if array.dtype.names:
        for part in array.dtype.names:
            yield from _identity_of_values(place if is_known(part) else f"{place} (a field)", part, array[part])
        return
    of_format = field.startswith(FORMAT_ATTRIBUTES)
    for text in _texts(array):
        if XML_START.match(text):
            yield from (f"{place}: {found}" for found in identity_of_xml(text))
        elif not is_known(text) if of_format else may_identify(field, text):
            yield place
            return


def _texts(array: np.ndarray) -> Iterator[str]:
    if array.dtype.kind in "ui" and _could_be_text(array.shape):
        codes = array.reshape(-1, order="F").astype(np.int64)
        text = "".join(map(chr, codes)) if bool(((codes >= 0) & (codes < 0x3000)).all()) else ""
        letters, shown = sum(map(str.isalpha, text)), sum(letter.isprintable() or letter in "\0\t\r\n" for letter in text)
        if letters >= LETTERS_OF_TEXT and shown == len(text):
            yield text.strip("\0")
        elif array.ndim == 1 and array.dtype.itemsize == 1 and _has_a_word(array.tobytes()):
            yield "a text among bytes"
        return
    for item in array.reshape(-1).tolist():
        if isinstance(item, bytes):
            yield item.decode("utf-8", "replace")
        elif isinstance(item, np.ndarray):
            yield from _texts(item)
        elif isinstance(item, float) and not item.is_integer():
            if math.isfinite(item):
                yield f"{item:.3f}"  # the many decimals of a measured number may look like a date
        elif not isinstance(item, (bool, h5py.Reference, h5py.RegionReference)):
            yield str(item)


def _has_a_word(data: bytes) -> bool:
    return re.search(rb"[A-Za-z]{6}", data) is not None
