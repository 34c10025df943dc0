"""An archive without names: whatever format is read, identity does not get past what wraps its reader."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ssrecon.archive.base import Archive, unknown_scan
from ssrecon.archive.formats import reader_of
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Header, Scan
from ssrecon.privacy.identifying import deidentified
from ssrecon.privacy.pseudonyms import own_words


@dataclass(frozen=True)
class _Listed:
    """The two headers of a scan: as its reader lists it, and without names."""

    by_reader: Header
    header: Header


class Deidentified(Archive):
    """This archive gives the scans of a reader without names: ids, subjects and texts are pseudonyms, notes are our own words.

    Scans are asked for by the ids that are listed here. What was listed is what is read: an archive that was sent to another process, which
    may have another key or none, gives the same headers there. Errors of the reader name the file, and its scans by the ids that are
    listed here. Everything else is the reader's.
    """

    is_deidentified = True

    def __init__(self, reader: Archive):
        self.reader, self.path = reader, Path(reader.path)

    @staticmethod
    def of_file(path: Path, require_deidentified: bool = False) -> "Deidentified":
        """Open a file in whichever format its content is. Raises `BadInput` where it is in none, and with `require_deidentified` where the
        file bears identity (`refuse_identity`)."""
        archive = Deidentified(reader_of(path))
        if require_deidentified:
            refuse_identity(archive)
        return archive

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Never recognise a path: it is the reader that is found."""
        return False

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(listed.header for listed in self._listed.values())

    @cached_property
    def _listed(self) -> dict[str, _Listed]:
        found = (_Listed(header, deidentified(header)) for header in self.reader.headers)
        return {listed.header.scan_id: listed for listed in found}

    def read(self, scan_id: str) -> Scan:
        listed = self._find(scan_id)
        with _ids_without_names(listed):
            scan = self.reader.read(listed.by_reader.scan_id)
        return self._without_names(scan, listed)

    def partitions(self, scan_id: str) -> Iterator[tuple[int, Scan]]:
        listed = self._find(scan_id)
        with _ids_without_names(listed):
            for start, piece in self.reader.partitions(listed.by_reader.scan_id):
                yield start, self._without_names(piece, listed)

    def not_transformable(self, scan_id: str) -> str:
        listed = self._find(scan_id)
        with _ids_without_names(listed):
            return self.reader.not_transformable(listed.by_reader.scan_id)

    def _find(self, scan_id: str) -> _Listed:
        if scan_id not in self._listed:
            raise unknown_scan(self.path, scan_id, tuple(self._listed))
        return self._listed[scan_id]

    def _without_names(self, scan: Scan, listed: _Listed) -> Scan:
        header = deidentified(scan.header, (listed.by_reader, listed.header))
        return replace(scan, header=self.with_draw_key(header))

    @property
    def format_name(self) -> str:
        return self.reader.format_name

    @property
    def skipped(self) -> Mapping[str, str]:
        return self.reader.skipped

    @property
    def companions(self) -> frozenset[Path]:
        return self.reader.companions

    @property
    def identity(self) -> tuple[str, ...]:
        return self.reader.identity

    def files(self, volume_id: str) -> tuple[Path, ...]:
        return self.reader.files(self._volume_ids.get(volume_id, volume_id))

    def part(self, volume_id: str) -> "Deidentified":
        smaller = self.reader.part(self._volume_ids[volume_id])
        return self if smaller is self.reader else Deidentified(smaller)

    @cached_property
    def _volume_ids(self) -> dict[str, str]:
        """This maps each volume to what the reader calls it."""
        return {listed.header.volume_id: listed.by_reader.volume_id for listed in self._listed.values()}


def without_names(archive: Archive) -> Archive:
    """Return an archive whose headers bear no names: the archive itself where that is so, or else one around it."""
    return archive if not archive.from_files or archive.is_deidentified else Deidentified(archive)


def refuse_identity(archive: Archive) -> None:
    """Raise `BadInput` where the files of an archive bear identity. It names the places, and not what they hold."""
    if places := archive.identity:
        more = f" and {len(places) - 5} more places" if places[5:] else ""
        raise BadInput(archive.path, found="what may bear identity: " + ", ".join(places[:5]) + more, expected="a de-identified file")


@contextmanager
def _ids_without_names(listed: _Listed) -> Iterator[None]:
    """Rename scans in the errors of a reader: they are called by the ids that are listed without names."""
    try:
        yield
    except BadInput as error:
        ids = ((listed.by_reader.scan_id, listed.header.scan_id), (listed.by_reader.volume_id, listed.header.volume_id))
        found = error.found
        for by_reader, without_name in ids:
            if own_words(by_reader) != by_reader:  # Else it may be any word of the sentence: a file may be called `in`.
                found = re.sub(rf"(?<![^\W_]){re.escape(by_reader)}(?![^\W_])", without_name, found)
        if found == error.found:
            raise
        raise type(error)(error.where, found=found, expected=error.expected) from error.__cause__
