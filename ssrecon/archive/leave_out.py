"""Scans that somebody wants left out: patterns against ids, and lists of them in files."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ssrecon.archive.list_file import read_list
from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header


def matches(header: Header, pattern: str) -> bool:
    """Tell whether a shell-style pattern (``*``, ``?``, ``[...]``) fits the id of a scan, its volume or its subject.

    A slice across the readout of a 3-D scan is left out by the id of that scan too, which the audit names.
    """
    names = [header.scan_id, header.volume_id, header.subject]
    if isinstance(header.encoding, HybridSlice):
        names.append(header.scan_id.rpartition("/")[0])
    return any(fnmatchcase(name, pattern) for name in names)


def left_out(headers: Iterable[Header], patterns: Sequence[str]) -> set[str]:
    """Return the ids of the scans that any pattern fits. Raises BadInput for a pattern that fits nothing, and where nothing is left."""
    headers = tuple(headers)
    found: set[str] = set()
    for pattern in patterns:
        fitting = {header.scan_id for header in headers if matches(header, pattern)}
        if not fitting:
            shown = ", ".join(header.scan_id for header in headers[:3])
            raise BadInput(f"leave out {pattern!r}", found="nothing that it fits", expected=f"a scan, volume or subject as {shown}")
        found |= fitting
    if headers and len(found) == len(headers):
        raise BadInput(f"leave out {', '.join(patterns)}", found=f"all {len(headers)} scans", expected="patterns that leave some")
    return found


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
