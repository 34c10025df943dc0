"""What an archive is, and how the format of a file or folder is found from its content."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, ClassVar

import h5py

from ssrecon.archive.pieces import masks, uneven
from ssrecon.archive.vendor_refusals import refusal
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import UNREADABLE, broken_links, is_hdf5, sources_of, top_names, unreadable
from ssrecon.core.matlab import is_matlab5, matlab5_variables
from ssrecon.core.progress import track
from ssrecon.core.provenance import content_fingerprint
from ssrecon.core.scan import Header, Scan
from ssrecon.privacy.identifying import deidentified, identity_of, without_names
from ssrecon.privacy.pseudonyms import harmless, safe_name

DESCRIBED_IN_FULL = 64
"""Up to this many scans `Archive.describe` reads every scan; in a larger archive it reads the middle one of each volume and says so."""

NOT_DATA = {".txt", ".md", ".json", ".csv", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".pdf", ".html", ".log", ".xml", ".py", ".lst"}
"""Files that lie beside data; in a folder they are passed over without a word."""

ROOMS = ("ssrecon.archive", "ssrecon.simulation")
"""Where formats are found: files that are read, and files that scans are simulated from."""


class Archive(ABC):
    """Scans that can be listed cheaply and read one at a time. A new format is one new file in `ssrecon.archive` with one subclass."""

    layout: ClassVar[str] = ""
    """The format in words, for messages; empty where nothing on a disk is in it."""

    path: Path

    def __init_subclass__(cls, **settings: Any):
        """Identity does not get past the reader: whatever headers a format gives, now or in a file added later, lose their names here."""
        super().__init_subclass__(**settings)
        if not cls.from_files:
            return
        if callable(read := cls.__dict__.get("read")) and not getattr(read, "__isabstractmethod__", False):
            cls.read = without_names(read)  # type: ignore[assignment, method-assign]
        given = cls.__dict__.get("headers")
        if given is None or getattr(given, "__isabstractmethod__", False):
            return
        inner = given.func if isinstance(given, cached_property) else given.fget if isinstance(given, property) else None
        if inner is None:
            raise TypeError(f"{cls.__name__}.headers has to be a property or cached_property: what it gives loses its names here")
        cls.headers = cached_property(lambda self: tuple(map(deidentified, inner(self))))  # type: ignore[assignment, method-assign]
        cls.headers.__set_name__(cls, "headers")  # type: ignore[attr-defined]

    from_files: ClassVar[bool] = True
    """False where scans are made and not read: nobody can be named."""

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether `path` holds this format: from its content, not from its name. Never raises."""

    @property
    @abstractmethod
    def headers(self) -> tuple[Header, ...]:
        """One header a scan, in the order of the archive, without reading samples. Raises `BadInput` naming the file."""

    @abstractmethod
    def read(self, scan_id: str) -> Scan:
        """One scan, and only that, from the disk. Raises `BadInput` naming the file, what was found and what was expected."""

    def listed(self, scan_id: str) -> Header:
        """The header of a scan. Raises `BadInput` where the archive has no scan of this id, and says which it has."""
        for header in self.headers:
            if header.scan_id == scan_id:
                return header
        raise unknown_scan(self.path, scan_id, tuple(header.scan_id for header in self.headers))

    def partitions(self, scan_id: str) -> Iterator[tuple[int, Scan]]:
        """A 3-D scan in pieces along its first axis, each with its place there: whole, where a format cannot read less.

        Joined they are what `read` gives. Raises `BadInput` as `read` does (counts are of a piece), at the latest after the last piece.
        """
        yield 0, self.read(scan_id)

    def not_transformable(self, scan_id: str) -> str:
        """Why a 3-D scan may not be transformed along its readout; empty where it may. Formats that know better do not read samples."""
        return uneven(masks(piece) for _, piece in self.partitions(scan_id))

    @property
    def skipped(self) -> Mapping[str, str]:
        """What could not be used, each with the reason: files of a folder, and parts of a file (after its name, in a folder)."""
        return {}

    @property
    def companions(self) -> frozenset[Path]:
        """Other files that this archive reads (a header, a mask, further repetitions): in a folder they are not opened for themselves."""
        return frozenset()

    @property
    def identity(self) -> tuple[str, ...]:
        """Places of the files that may name a person, a place or a date; never what they hold."""
        return tuple(dict.fromkeys(place for file in self.files("") for place in identity_of(file)))

    def files(self, volume_id: str) -> tuple[Path, ...]:
        """The files that a volume is read from; none where it is made and not read."""
        places = {Path(self.path), *self.companions} if self.from_files else set()
        places |= {source for place in places if place.is_file() for source in sources_of(place)}
        inside = {file for place in places if place.is_dir() for file in place.rglob("*")}
        return tuple(sorted(file for file in places | inside if file.is_file()))

    def content(self, volume_id: str) -> str:
        """A digest of a volume's files, whatever they are called, with its place among the volumes in them; empty where it is made."""
        files = self.files(volume_id)
        return f"{content_fingerprint(files)}-{self._sharing[files].index(volume_id):04d}" if files else ""

    @cached_property
    def _sharing(self) -> dict[tuple[Path, ...], list[str]]:
        """The volumes of the same files, in their order."""
        together: dict[tuple[Path, ...], list[str]] = {}
        for volume_id in self.volumes():
            together.setdefault(self.files(volume_id), []).append(volume_id)
        return together

    def part(self, volume_id: str) -> "Archive":
        """An archive of no more than the files of a volume, to be sent to another process."""
        return self

    def __len__(self) -> int:
        return len(self.headers)

    def __iter__(self) -> Iterator[Scan]:
        return (self.read(header.scan_id) for header in self.headers)

    def volumes(self) -> dict[str, tuple[str, ...]]:
        """The scan ids of each volume."""
        ids: dict[str, tuple[str, ...]] = {}
        for header in self.headers:
            ids[header.volume_id] = (*ids.get(header.volume_id, ()), header.scan_id)
        return ids

    def describe(self) -> str:
        """What was found, scan by scan (one line for the scans of a volume that are alike), with a first verdict: may it train."""
        in_full = len(self) <= DESCRIBED_IN_FULL
        volumes = self.volumes()
        subjects = {header.subject for header in self.headers}
        lines = [f"{self.path}: {type(self).__name__}, {len(self)} scans, {len(volumes)} volumes, {len(subjects)} subjects"]
        if not in_full:
            lines.append("of each volume the middle scan was read")
        for volume_id, ids in track(volumes.items(), "reading"):
            lines += self._describe_volume(volume_id, ids if in_full else ids[len(ids) // 2 : len(ids) // 2 + 1])
        lines += [f"  not read: {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)

    def _describe_volume(self, volume_id: str, ids: tuple[str, ...]) -> list[str]:
        found: dict[str, list[str]] = {}
        for scan_id in ids:
            found.setdefault(self._describe_scan(scan_id), []).append(scan_id)
        if len(found) == 1:
            return [f"  {volume_id} ({len(ids)} scans): {text}" for text in found]
        return [f"  {members[0]}{f' and {len(members) - 1} more' if members[1:] else ''}: {text}" for text, members in found.items()]

    def _describe_scan(self, scan_id: str) -> str:
        try:
            scan = self.read(scan_id)
        except BadInput as error:
            return f"cannot be read: found {error.found}; expected {error.expected}"
        notes = "".join(f"; {key}: {text}" for key, text in scan.header.notes.items())
        return f"{verdict(scan)}{notes}"


class Folder(Archive):
    """The files of a folder and its subfolders, each in its own format. Scans of a subfolder carry its name in front of theirs.

    Files that cannot be used do not stop the others: they are in `skipped` and in `describe`.
    """

    def __init__(self, path: Path | str, require_deidentified: bool = False):
        self.path, self.require_deidentified = Path(path), require_deidentified

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.is_dir() and any(_formats_of(file) for file in _data_files(path))

    @cached_property
    def _contents(self) -> tuple[dict[str, tuple[Archive, str, Header]], dict[str, str]]:
        scans: dict[str, tuple[Archive, str, Header]] = {}
        skipped: dict[str, str] = {}
        taken: set[Path] = set()
        for file in track(_data_files(self.path), "listing"):
            name = file.relative_to(self.path)
            if file in taken:
                continue
            try:
                if self.require_deidentified and not all(map(harmless, name.parent.parts)):
                    raise BadInput(file, found="what may bear identity: the name of its folder", expected="a de-identified file")
                archive = _open_file(file, self.require_deidentified)
                listed = archive.headers
            except BadInput as error:
                # That a file is in none of the formats is said once and for all in the README, not for every file of a folder.
                expected = "a format that ssrecon reads" if error.expected == _known() else error.expected
                skipped[name.as_posix()] = f"found {error.found}; expected {expected}"
                continue
            taken |= archive.companions
            skipped |= {f"{name.as_posix()}, {part}": reason for part, reason in archive.skipped.items()}
            for header in listed:
                inside = _within(header, name.parent)
                if inside.scan_id in scans:
                    other = scans[inside.scan_id][0].path
                    raise BadInput(file, found=f"scan {inside.scan_id}, which is also in {other}", expected="different names")
                scans[inside.scan_id] = (archive, header.scan_id, inside)
        # A companion may lie before the file that it belongs to.
        skipped = {what: reason for what, reason in skipped.items() if self.path / what not in taken}
        if not scans:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
            raise BadInput(self.path, found=f"no scan ({reasons or 'no files'})", expected=_known())
        return scans, skipped

    @property
    def skipped(self) -> Mapping[str, str]:
        return self._contents[1]

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(header for _, _, header in self._contents[0].values())

    @cached_property
    def _members(self) -> dict[str, list[Archive]]:
        """The archives that each volume is read from."""
        members: dict[str, dict[int, Archive]] = {}
        for archive, _, header in self._contents[0].values():
            members.setdefault(header.volume_id, {})[id(archive)] = archive
        return {volume_id: list(archives.values()) for volume_id, archives in members.items()}

    def files(self, volume_id: str) -> tuple[Path, ...]:
        return tuple(sorted({file for archive in self._members.get(volume_id, ()) for file in Archive.files(archive, volume_id)}))

    def part(self, volume_id: str) -> "Folder":
        smaller, scans = Folder(self.path, self.require_deidentified), self._contents[0]
        ids = (scan_id for archive in self._members[volume_id] for scan_id in self._of_archive[id(archive)])
        smaller.__dict__["_contents"] = ({scan_id: scans[scan_id] for scan_id in ids}, {})
        return smaller

    @cached_property
    def _of_archive(self) -> dict[int, list[str]]:
        ids: dict[int, list[str]] = {}
        for scan_id, (archive, _, _) in self._contents[0].items():
            ids.setdefault(id(archive), []).append(scan_id)
        return ids

    def partitions(self, scan_id: str) -> Iterator[tuple[int, Scan]]:
        archive, inner_id, header = self._contents[0][scan_id]
        for start, piece in archive.partitions(inner_id):
            yield start, replace(piece, header=header)

    def not_transformable(self, scan_id: str) -> str:
        archive, inner_id, _ = self._contents[0][scan_id]
        return archive.not_transformable(inner_id)

    def read(self, scan_id: str) -> Scan:
        scans = self._contents[0]
        if scan_id not in scans:
            raise unknown_scan(self.path, scan_id, tuple(scans))
        archive, inner_id, listed = scans[scan_id]
        scan = archive.read(inner_id)
        # As listed, and not made again: whoever is sent an archive to read from need not have the key.
        return replace(scan, header=replace(scan.header, scan_id=scan_id, volume_id=listed.volume_id, subject=listed.subject))


def open_archive(path: Path | str, require_deidentified: bool = False) -> Archive:
    """Open a file or a folder in whichever format its content is.

    With `require_deidentified` a file that still bears identity (`Archive.identity`) is refused; in a folder it is among the skipped.
    Raises `BadInput` where there is nothing, nothing readable, or nothing in a known layout.
    """
    path = Path(path)
    if not path.exists():
        raise BadInput(path, found="no such file or folder", expected=_known())
    if not path.is_dir():
        return _open_file(path, require_deidentified)
    whole = _formats_of(path)
    archive = whole[0](path) if whole and not require_deidentified else Folder(path, require_deidentified)  # type: ignore[call-arg]
    _ = archive.headers  # an empty or unreadable archive is an error now, not at the first scan
    return archive


@cache
def formats() -> tuple[type[Archive], ...]:
    """Every archive format of this package, found by walking it."""
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
    known = [kind for kind in found if not isabstract(kind) and kind is not Folder and kind.__module__.startswith(ROOMS)]
    return tuple(sorted(known, key=lambda kind: kind.__name__))


def holds(path: Path, test: Callable[[h5py.File], bool]) -> bool:
    """Whether `path` is an HDF5 file that passes a test. False, and no error, for whatever else it is."""
    if not path.is_file():
        return False
    try:
        with h5py.File(path) as file:
            return test(file)
    except UNREADABLE:
        return False


def unknown_scan(path: Path, scan_id: str, known: tuple[str, ...]) -> BadInput:
    """The error for a scan id that an archive does not hold."""
    listed = ", ".join(known[:3]) + (f" ... ({len(known)} in all)" if len(known) > 3 else "")
    return BadInput(path, found=f"no scan {scan_id!r}", expected=f"one of {listed}")


def _known() -> str:
    return " or ".join(kind.layout for kind in formats() if kind.layout)


def _formats_of(path: Path) -> list[type[Archive]]:
    return [kind for kind in formats() if kind.recognises(path)]


def _open_file(path: Path, require_deidentified: bool) -> Archive:
    kinds = _formats_of(path)
    if kinds:
        archive = kinds[0](path)  # type: ignore[call-arg]
        if require_deidentified and (places := archive.identity):
            more = f" and {len(places) - 5} more places" if places[5:] else ""
            raise BadInput(path, found="what may bear identity: " + ", ".join(places[:5]) + more, expected="a de-identified file")
        return archive
    if refused := refusal(path):
        raise refused
    raise _unknown_format(path)


def _unknown_format(path: Path) -> BadInput:
    """The error for a file of no known format, or one that cannot be read: with what it holds, or why it cannot."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        return unreadable(path, error, _known())
    if not start:
        return BadInput(path, found="an empty file", expected=_known())
    if is_matlab5(path):
        try:
            held = ", ".join(sorted(matlab5_variables(path))) or "nothing"
        except BadInput as error:
            return error
        return BadInput(path, found=f"a MATLAB 5 file (saved without -v7.3) with {held} in it", expected=_known())
    if not is_hdf5(path):
        return BadInput(path, found=f"not an HDF5 file (it starts with {start!r})", expected=_known())
    try:
        with h5py.File(path) as opened:
            held = broken_links(opened) or ", ".join(top_names(opened)) or "nothing"
            return BadInput(path, found=f"an HDF5 file of an unknown layout, with {held} at its top", expected=_known())
    except UNREADABLE as error:
        return unreadable(path, error, _known())


def _data_files(folder: Path) -> list[Path]:
    inside = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file())
    shown = (file for file in inside if not any(part.startswith(".") for part in file.parts))
    return [folder / file for file in shown if file.suffix.lower() not in NOT_DATA]


def _within(header: Header, parent: Path) -> Header:
    if not parent.parts:
        return header
    parent = Path(safe_name(parent.as_posix()))
    volume_id = (parent / header.volume_id).as_posix()
    # A subject that is only the volume's name for want of a better one has to stay unique too.
    subject = volume_id if header.subject == header.volume_id else header.subject
    return replace(header, scan_id=(parent / header.scan_id).as_posix(), volume_id=volume_id, subject=subject)
