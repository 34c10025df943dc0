"""The package opens all HDF5 files by these functions.

What cannot be read becomes an error with the true reason, and nothing is read as zeros that was never written or lies in a file that is
not there.
"""

import errno
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5_virtual import sources_in, values_in

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py raises on files that are not HDF5, or are damaged."""

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""Errors of file systems on which nothing can be locked."""


SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Tell whether a file has HDF5's signature, at its beginning or behind a block of its user's (MATLAB's). Raises OSError."""
    with path.open("rb") as file:
        place, end = 0, path.stat().st_size
        while place < end:
            file.seek(place)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            place = max(512, 2 * place)
    return False


class CannotOpen(BadInput):
    """A file cannot be opened here and now: it is locked, left open by its writer, not there, or not this user's to read."""


@contextmanager
def opened(path: Path, layout: str) -> Iterator[h5py.File]:
    """Give an HDF5 file that is open for reading. Whatever is wrong with it becomes the `BadInput` that `unreadable` makes."""
    try:
        with h5py.File(path) as file:
            yield file
    except UNREADABLE as error:
        raise unreadable(path, error, layout) from None


def unreadable(path: Path | str, error: Exception, expected: str) -> BadInput:
    """Return the error for a file that HDF5 could not open or read.

    It says whether the file is locked, may not be read, lacks a filter, or is damaged. `expected` is what is read in its place where the
    file itself is at fault."""
    text = str(error)
    kind: type[BadInput] = CannotOpen
    told = re.search(r"errno = (\d+)", text)
    number = int(told[1]) if told else getattr(error, "errno", None)
    if "unable to lock file" in text and number in NO_LOCKS:
        found, expected = "a file system on which HDF5 cannot lock files", "HDF5_USE_FILE_LOCKING=FALSE in the environment"
    elif "unable to lock file" in text:
        found = "a locked file: another program holds it open, most likely to write"
        expected = "the same file once it is closed there, or a copy (HDF5_USE_FILE_LOCKING=FALSE reads it all the same)"
    elif "already open for write" in text or "consistency flags" in text:
        found = "a file that is open for writing, or was left so by a program that was stopped"
        expected = "the same file once it is closed (h5clear -s repairs one that was left open)"
    elif number is not None:
        found = f"a file that cannot be opened ({os.strerror(number)})"
    elif "filter" in text and ("not registered" in text or "plugin" in text or "can't open directory" in text):
        found, expected = f"samples compressed by a filter that is not installed here ({text})", "that filter (see hdf5plugin), or gzip"
    else:
        found, kind = f"a truncated or damaged HDF5 file ({error})", BadInput
    return kind(path, found=found, expected=expected)


def stored(data: h5py.Dataset, path: Path) -> h5py.Dataset:
    """Return the same dataset, which can be read in full.

    Raises `BadInput` where parts of it were never written, however many they are, and where a file that a virtual or external dataset
    takes its values from is not there or is too short: HDF5 would read zeros.
    """
    _check_stored(data, path, set())
    return data


def _check_stored(data: object, path: Path, seen: set[tuple[str, str]]) -> None:
    if not isinstance(data, h5py.Dataset) or data.shape is None:
        raise BadInput(path, found=f"{data!r}", expected="a dataset with numbers")
    # Names of other files are meant from the file that holds the dataset, which a link may have led to.
    holder = Path(data.file.filename)
    if data.is_virtual:
        _check_virtual(data, path, holder, seen)
        return
    if data.external:
        _check_external(data, path, holder)
        return
    if data.chunks is None:
        whole = data.id.get_storage_size() >= data.nbytes
    else:
        wanted = math.prod(-(-n // chunk) for n, chunk in zip(data.shape, data.chunks, strict=True))
        whole = data.id.get_num_chunks() >= wanted
    if not whole:
        held = data.id.get_storage_size()
        raise BadInput(path, found=f"{data.name} {data.shape}, of which {held} bytes were written", expected="a dataset written in full")


def _check_virtual(data: h5py.Dataset, path: Path, holder: Path, seen: set[tuple[str, str]]) -> None:
    """Raise `BadInput` where a part of a virtual dataset has no source, or has one that cannot be read in full."""
    mappings = data.virtual_sources()
    unmapped = data.size - values_in((mapping.vspace for mapping in mappings), data.shape)
    if unmapped:
        found = f"{data.name}, a virtual dataset in which {unmapped} of {data.size} values are mapped to no source"
        raise BadInput(path, found=found, expected="sources for all of it")
    for mapping in mappings:
        sources, wanted = sources_in(mapping, data.shape)
        for file, name in sources:
            place = holder if file == "." else _virtual_source(file, holder)
            if place is None:
                raise BadInput(path, found=f"{data.name}, a virtual dataset whose file {file} is not there", expected=f"{file} beside it")
            with opened(place, f"the HDF5 file that {data.name} of {path.name} takes its values from") as source:
                part, what = source.get(name), f"{data.name}, a virtual dataset whose source {file}"
                if not isinstance(part, h5py.Dataset) or part.shape is None:
                    raise BadInput(path, found=f"{what} has no {name}", expected="its source whole")
                if values_in([mapping.src_space], part.shape) < wanted:
                    raise BadInput(path, found=f"{what} has {name} of shape {part.shape}", expected=f"the {wanted} values to take from it")
                if (where := (str(place.resolve()), name)) not in seen:
                    seen.add(where)
                    _check_stored(part, place, seen)


def _virtual_source(file: str, path: Path) -> Path | None:
    """Return where HDF5 finds a file that the virtual dataset of another, `path`, names. It is None where HDF5 finds none.

    An absolute place is tried first, then ``HDF5_VDS_PREFIX``, the folder of `path`, the folder that this process runs in, and the folder
    of the file itself where `path` is a link to it."""
    prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(path.parent))
    name = Path(file).name if Path(file).is_absolute() else file
    absolute, below = ([Path(file)], []) if Path(file).is_absolute() else ([], [Path(file)])
    prefixed = [Path(prefix) / name] if prefix else []
    candidates = [*absolute, *prefixed, path.parent / name, *below, path.resolve().parent / name]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _check_external(data: h5py.Dataset, path: Path, holder: Path) -> None:
    """Raise `BadInput` where one of the files that hold an external dataset is missing or shorter than its part of the values."""
    left = data.nbytes
    for file, start, size in data.external:
        place, part = _external_source(file, holder), min(size, left)
        held = place.stat().st_size if place.is_file() else None
        if held is None or held < start + part:
            found = "is not there" if held is None else f"has {held} bytes of the {start + part} wanted"
            hint = ", or HDF5_EXTFILE_PREFIX='${ORIGIN}' to look beside the file" if (holder.parent / file).is_file() else ""
            raise BadInput(path, found=f"{data.name}, whose values lie in {file}, which {found}", expected=f"{file} whole{hint}")
        left -= part


def _external_source(file: str, path: Path) -> Path:
    """Return where HDF5 looks for the file of an external dataset: in ``HDF5_EXTFILE_PREFIX``, else below the folder that this process runs
    in."""
    return Path(os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(path.parent))) / file


def sources_of(path: Path) -> frozenset[Path]:
    """Return the other files that datasets at the top of an HDF5 file take their values from, where they are there.

    There are none of a file of any other kind, or of one that cannot be read.
    """
    found: set[Path] = set()
    try:
        if is_hdf5(path):
            with h5py.File(path) as file:
                for data in (item for name in top_names(file) if isinstance(item := file.get(name), h5py.Dataset)):
                    holder = Path(data.file.filename)
                    mappings = data.virtual_sources() if data.is_virtual else ()
                    named = {name for mapping in mappings for name, _ in sources_in(mapping, data.shape)[0]} - {"."}
                    found |= {place for name in named if (place := _virtual_source(name, holder)) is not None}
                    found |= {place for name, _, _ in data.external or () if (place := _external_source(name, holder)).is_file()}
    except UNREADABLE:
        return frozenset()
    return frozenset(found)


def broken_links(file: h5py.File) -> str:
    """Return the links at the top of a file that lead nowhere, in words; an empty text where there are none."""
    found = []
    for name in top_names(file):
        link = file.get(name, getlink=True)
        if isinstance(link, (h5py.ExternalLink, h5py.SoftLink)) and file.get(name) is None:
            to = f"{link.path} in the file {link.filename}" if isinstance(link, h5py.ExternalLink) else link.path
            found.append(f"{name}, a link to {to}, which is not there")
    return "; ".join(found)


def element(value: Any) -> Any:
    """Return a value of a file as one of Python's: bytes as text, and an array of one element as that element."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def attribute(item: h5py.Group | h5py.Dataset, name: str, default: Any = "") -> Any:
    """Return an attribute of a file, as `element` gives it: MATLAB writes arrays of one string, and they mean the string."""
    value = item.attrs.get(name, default)
    return default if isinstance(value, h5py.Empty) else element(value)


def top_names(file: h5py.File) -> list[str]:
    """Return the names of what is at the top of a file. Names that are no text are bytes in h5py: nothing is called so."""
    return sorted(name for name in file if isinstance(name, str))


def other_layout(file: h5py.File, path: Path, expected: str) -> BadInput:
    """Return the error for an HDF5 file of another layout than was expected. It says what is at the file's top."""
    held = broken_links(file) or ", ".join(top_names(file)) or "nothing"
    return BadInput(path, found=f"an HDF5 file with {held} at its top", expected=expected)


def complex_dataset(file: h5py.File, name: str, *axes: int) -> h5py.Dataset | None:
    """Return the dataset of complex numbers of this name with one of these numbers of axes, or None where there is none."""
    data = file.get(name)
    return data if isinstance(data, h5py.Dataset) and data.dtype.kind == "c" and data.ndim in axes else None
