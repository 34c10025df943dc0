"""Scans that somebody wants left out: patterns against ids, and lists of them in files."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ssrecon.archive.list_file import read_list, spellings
from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header


def scans_that_fit(headers: Iterable[Header], pattern: str) -> set[str]:
    """Return the ids of the scans whose own id, or that of their volume or subject, is as a pattern says.

    A name that is the very pattern fits it, whatever is in it; only where there is none are ``*``, ``?`` and ``[...]`` those of a shell. A
    pattern may also be the name of a file or a subject before it was replaced by a pseudonym (`spellings`).

    A slice across the readout of a 3-D scan is left out by the id of that scan too, which the audit names.
    """
    names = {header.scan_id: _names_of(header) for header in headers}
    for spelling in spellings(pattern):
        for fits in (str.__eq__, fnmatchcase):
            if found := {scan_id for scan_id, known in names.items() if any(fits(name, spelling) for name in known)}:
                return found
    return set()


def _names_of(header: Header) -> list[str]:
    names = [header.scan_id, header.volume_id, header.subject]
    return [*names, header.scan_id.rpartition("/")[0]] if isinstance(header.encoding, HybridSlice) else names


def left_out(headers: Iterable[Header], patterns: Sequence[str], unread: Iterable[str] = ()) -> set[str]:
    """Return the ids of the scans that any pattern fits. `unread` names what could not be read: it may be left out as well.

    Raises BadInput for a pattern that fits nothing, and where nothing is left.
    """
    headers = tuple(headers)
    found: set[str] = set()
    for pattern in patterns:
        fitting = scans_that_fit(headers, pattern)
        if not fitting and not any(_fits_file(name, pattern) for name in unread):
            shown = ", ".join(header.scan_id for header in headers[:3])
            raise BadInput(f"leave out {pattern!r}", found="nothing that it fits", expected=f"a scan, volume or subject as {shown}")
        found |= fitting
    if headers and len(found) == len(headers):
        raise BadInput(f"leave out {', '.join(patterns)}", found=f"all {len(headers)} scans", expected="patterns that leave some")
    return found


def not_left_out(unread: Mapping[str, str], patterns: Sequence[str]) -> dict[str, str]:
    """Return those of the files that could not be read, each with the reason, whose names no pattern fits."""
    return {name: reason for name, reason in unread.items() if not any(_fits_file(name, pattern) for pattern in patterns)}


def _fits_file(name: str, pattern: str) -> bool:
    """Tell whether a pattern fits the name of a file that was not read, as it is or as its pseudonym, with or without its suffix."""
    names = set(spellings(name))
    return not names.isdisjoint(spellings(pattern)) or any(fnmatchcase(known, pattern) for known in names)


def expanded(entries: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that a command gives. A name that ends in ``.lst`` is a file with a pattern a line; ``#`` begins a comment.

    A list of comments alone leaves nothing out, as that of an audit that refused no scan. Raises BadInput naming the file where it cannot
    be read, and where it holds nothing at all.
    """
    found: list[str] = []
    for entry in entries:
        found += _patterns_in(Path(entry)) if entry.endswith(".lst") else [entry]
    return tuple(dict.fromkeys(found))


def _patterns_in(path: Path) -> list[str]:
    expected = "a text file with a scan, volume or subject a line"
    names = [name for _, name in read_list(path, expected)]
    if not names and "#" not in path.read_text(encoding="utf-8"):
        raise BadInput(path, found="a list without a name", expected=expected)
    return names
