"""The files of a folder as one archive, each in its own format."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ssrecon.archive.base import Archive, unknown_scan
from ssrecon.archive.deidentified import Deidentified
from ssrecon.archive.formats import formats_of, known_layouts
from ssrecon.core.errors import BadInput
from ssrecon.core.progress import track
from ssrecon.core.scan import Header, Scan
from ssrecon.privacy.pseudonyms import harmless, safe_name

NOT_DATA = {".txt", ".md", ".json", ".csv", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".pdf", ".html", ".log", ".xml", ".py", ".lst"}
"""Files that lie beside data; in a folder they are passed over without a word."""


@dataclass(frozen=True)
class _Member:
    """Where a scan of the folder comes from: an archive, its id there, and its header here."""

    archive: Archive
    scan_id: str
    header: Header


@dataclass(frozen=True)
class _Contents:
    """This is what was found in a folder: scans by their ids, and why files or parts of files could not be used."""

    scans: Mapping[str, _Member]
    skipped: Mapping[str, str]


class Folder(Archive):
    """This archive reads the files of a folder and its subfolders, each in its own format. Ids in a subfolder begin with its name.

    Files that cannot be used do not stop the others: they are in `skipped` and in `describe`. Headers and scans have lost their names.
    """

    is_deidentified = True

    def __init__(self, path: Path | str, require_deidentified: bool = False, contents: _Contents | None = None):
        """With `contents` the folder is not listed: it holds no more than these (`part`)."""
        self.path, self.require_deidentified, self._known_contents = Path(path), require_deidentified, contents

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.is_dir() and any(formats_of(file) for file in _data_files(path))

    @cached_property
    def _contents(self) -> _Contents:
        return self._known_contents or self._list()

    def _list(self) -> _Contents:
        scans: dict[str, _Member] = {}
        skipped: dict[str, str] = {}
        read_already: set[Path] = set()
        for file in track(_data_files(self.path), "listing"):
            name = file.relative_to(self.path)
            if file in read_already:
                continue
            try:
                archive = self._open(file)
                listed = archive.headers
            except BadInput as error:
                # That a file is in none of the formats is said once and for all in the README, not for every file of a folder.
                expected = "a format that ssrecon reads" if error.expected == known_layouts() else error.expected
                skipped[name.as_posix()] = f"found {error.found}; expected {expected}"
                continue
            read_already |= archive.companions
            skipped |= {f"{name.as_posix()}, {part}": reason for part, reason in archive.skipped.items()}
            for header in listed:
                inside = _in_subfolder(header, name.parent)
                if inside.scan_id in scans:
                    other = scans[inside.scan_id].archive.path
                    raise BadInput(file, found=f"scan {inside.scan_id}, which is also in {other}", expected="different names")
                scans[inside.scan_id] = _Member(archive, header.scan_id, inside)
        # A companion may lie before the file that it belongs to.
        skipped = {what: reason for what, reason in skipped.items() if self.path / what not in read_already}
        if not scans:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
            raise BadInput(self.path, found=f"no scan ({reasons or 'no files'})", expected=known_layouts())
        return _Contents(scans, skipped)

    def _open(self, file: Path) -> Archive:
        if self.require_deidentified and not all(map(harmless, file.relative_to(self.path).parent.parts)):
            raise BadInput(file, found="what may bear identity: the name of its folder", expected="a de-identified file")
        return Deidentified.of_file(file, self.require_deidentified)

    @property
    def skipped(self) -> Mapping[str, str]:
        return self._contents.skipped

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(member.header for member in self._contents.scans.values())

    def files(self, volume_id: str) -> tuple[Path, ...]:
        return tuple(sorted({file for archive in self._archives_of(volume_id) for file in archive.files(volume_id)}))

    def _archives_of(self, volume_id: str) -> list[Archive]:
        return list(self._archives_by_volume.get(volume_id, {}).values())

    @cached_property
    def _archives_by_volume(self) -> dict[str, dict[Path, Archive]]:
        """This maps each volume to the archives that it is read from, by their paths."""
        found: dict[str, dict[Path, Archive]] = {}
        for member in self._contents.scans.values():
            found.setdefault(member.header.volume_id, {})[member.archive.path] = member.archive
        return found

    @cached_property
    def _scans_by_archive(self) -> dict[Path, dict[str, _Member]]:
        found: dict[Path, dict[str, _Member]] = {}
        for scan_id, member in self._contents.scans.items():
            found.setdefault(member.archive.path, {})[scan_id] = member
        return found

    def part(self, volume_id: str) -> "Folder":
        scans = {scan_id: member for key in self._archives_by_volume[volume_id] for scan_id, member in self._scans_by_archive[key].items()}
        return Folder(self.path, self.require_deidentified, _Contents(scans, {}))

    def partitions(self, scan_id: str) -> Iterator[tuple[int, Scan]]:
        member = self._find(scan_id)
        for start, piece in member.archive.partitions(member.scan_id):
            yield start, self._with_listed_ids(piece, member)

    def not_transformable(self, scan_id: str) -> str:
        member = self._find(scan_id)
        return member.archive.not_transformable(member.scan_id)

    def read(self, scan_id: str) -> Scan:
        member = self._find(scan_id)
        return self._with_listed_ids(member.archive.read(member.scan_id), member)

    def _find(self, scan_id: str) -> _Member:
        scans = self._contents.scans
        if scan_id not in scans:
            raise unknown_scan(self.path, scan_id, tuple(scans))
        return scans[scan_id]

    def _with_listed_ids(self, scan: Scan, member: _Member) -> Scan:
        """Return a scan with the ids that were listed for it in this folder. Whoever is sent a part of the folder so needs no key."""
        listed = member.header
        header = replace(scan.header, scan_id=listed.scan_id, volume_id=listed.volume_id, subject=listed.subject)
        return replace(scan, header=self.with_draw_key(header))


def _data_files(folder: Path) -> list[Path]:
    inside = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file())
    shown = (file for file in inside if not any(part.startswith(".") for part in file.parts))
    return [folder / file for file in shown if file.suffix.lower() not in NOT_DATA]


def _in_subfolder(header: Header, parent: Path) -> Header:
    """Return a header of a file that lies in a subfolder as the folder lists it."""
    if not parent.parts:
        return header
    parent = Path(safe_name(parent.as_posix()))
    volume_id = (parent / header.volume_id).as_posix()
    # A subject that is only the volume's name for want of a better one has to stay unique too.
    subject = volume_id if header.subject == header.volume_id else header.subject
    return replace(header, scan_id=(parent / header.scan_id).as_posix(), volume_id=volume_id, subject=subject)
