"""Which formats there are, and which one a file or folder is in."""

from functools import cache
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from pkgutil import walk_packages

import h5py

from ssrecon.archive.base import Archive
from ssrecon.archive.vendor_refusals import refusal
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import UNREADABLE, broken_links, is_hdf5, top_names, unreadable
from ssrecon.core.matlab import is_matlab5, matlab5_variables

ROOMS = ("ssrecon.archive", "ssrecon.simulation")
"""Where formats are found: files that are read, and files that scans are simulated from."""


@cache
def formats() -> tuple[type[Archive], ...]:
    """Return every format that files or folders are in. They are found by walking the package."""
    for room in ROOMS:
        for module in walk_packages(import_module(room).__path__, f"{room}."):
            import_module(module.name)
    found: list[type[Archive]] = []
    stack: list[type[Archive]] = [Archive]  # type: ignore[type-abstract]
    while stack:
        for child in stack.pop().__subclasses__():
            if child not in found:
                found.append(child)
                stack.append(child)
    known = [kind for kind in found if kind.layout and not isabstract(kind) and kind.__module__.startswith(ROOMS)]
    return tuple(sorted(known, key=lambda kind: kind.__name__))


def formats_of(path: Path) -> list[type[Archive]]:
    """Return the formats that recognise a file or folder as theirs: one, or none."""
    return [kind for kind in formats() if kind.recognises(path)]


def known_layouts() -> str:
    """Return all formats in words, for errors."""
    return " or ".join(kind.layout for kind in formats())


def reader_of(path: Path) -> Archive:
    """Return the reader of a file. Raises `BadInput`, with what the file holds, where it is in no known format."""
    if kinds := formats_of(path):
        return kinds[0](path)  # type: ignore[call-arg]
    if refused := refusal(path):
        raise refused
    raise _unknown_format(path)


def _unknown_format(path: Path) -> BadInput:
    """Return the error for a file of no known format, or one that cannot be read: with what it holds, or why it cannot."""
    expected = known_layouts()
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        return unreadable(path, error, expected)
    if not start:
        return BadInput(path, found="an empty file", expected=expected)
    if is_matlab5(path):
        try:
            held = ", ".join(sorted(matlab5_variables(path))) or "nothing"
        except BadInput as error:
            return error
        return BadInput(path, found=f"a MATLAB 5 file (saved without -v7.3) with {held} in it", expected=expected)
    if not is_hdf5(path):
        return BadInput(path, found=f"not an HDF5 file (it starts with {start!r})", expected=expected)
    try:
        with h5py.File(path) as opened:
            held = broken_links(opened) or ", ".join(top_names(opened)) or "nothing"
            return BadInput(path, found=f"an HDF5 file of an unknown layout, with {held} at its top", expected=expected)
    except UNREADABLE as error:
        return unreadable(path, error, expected)
