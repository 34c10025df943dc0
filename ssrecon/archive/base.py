"""What an archive is: scans that are listed cheaply and read one at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import h5py

from ssrecon.archive.pieces import masks, uneven
from ssrecon.calibrate import Calibrator
from ssrecon.calibrate.verdict import Verdict, verdict
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import UNREADABLE, sources_of
from ssrecon.core.origin import Origin
from ssrecon.core.progress import track
from ssrecon.core.provenance import content_fingerprint
from ssrecon.core.scan import Header, Scan
from ssrecon.privacy.identifying import identity_of
from ssrecon.privacy.pseudonyms import harmless
from ssrecon.sampling.describe import on_protocol, protocol_key

DESCRIBED_IN_FULL = 64
"""Up to this many scans `Archive.describe` reads every scan; in a larger archive it reads the middle one of each volume and says so."""


class Archive(ABC):
    """An archive lists its scans cheaply and reads them one at a time. A new format is one new file in `ssrecon.archive` with one subclass.

    A reader gives headers as its file has them, names of people among them. What `open_archive` returns is wrapped (`Deidentified`) and
    gives none: a reader itself has nothing to do for that, and whoever makes one directly sees what the file says.
    """

    layout: ClassVar[str] = ""
    """The format in words, for messages; empty where nothing on a disk is in it."""

    path: Path

    from_files: ClassVar[bool] = True
    """False where scans are made and not read: nobody can be named."""

    is_deidentified: ClassVar[bool] = False
    """True where headers have lost their names already, whatever the files say."""

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Tell whether `path` holds this format, from its content and not from its name. It never raises."""

    @property
    @abstractmethod
    def headers(self) -> tuple[Header, ...]:
        """The headers, one a scan, stand in the order of the archive; no samples are read for them. Raises `BadInput` naming the file."""

    @abstractmethod
    def read(self, scan_id: str) -> Scan:
        """Read one scan, and only that, from the disk. Raises `BadInput` naming the file, what was found and what was expected."""

    def listed(self, scan_id: str) -> Header:
        """Return the header of a scan. Raises `BadInput` where the archive has no scan of this id, and says which it has."""
        for header in self.headers:
            if header.scan_id == scan_id:
                return header
        raise unknown_scan(self.path, scan_id, tuple(header.scan_id for header in self.headers))

    def partitions(self, scan_id: str) -> Iterator[tuple[int, Scan]]:
        """Give a 3-D scan in pieces along its first axis, each with its place there. Where a format cannot read less, the
        piece is the scan.

        Joined they are what `read` gives. Raises `BadInput` as `read` does (counts are of a piece), at the latest after the last piece.
        """
        yield 0, self.read(scan_id)

    def not_transformable(self, scan_id: str) -> str:
        """Say why a 3-D scan may not be transformed along its readout; the text is empty where it may be.

        Formats whose headers tell it do not read samples for it.
        """
        return uneven(masks(piece) for _, piece in self.partitions(scan_id))

    @property
    def format_name(self) -> str:
        """This is the name of the format in descriptions."""
        return type(self).__name__

    @property
    def skipped(self) -> Mapping[str, str]:
        """This maps what could not be used to the reason: files of a folder, and parts of a file (in a folder, after the file's name)."""
        return {}

    @property
    def companions(self) -> frozenset[Path]:
        """These other files are read by this archive (a header, a mask, repetitions). A folder does not open them for themselves."""
        return frozenset()

    @property
    def identity(self) -> tuple[str, ...]:
        """These are the places in the files that may name a person, a place or a date. What they hold is never shown."""
        return tuple(dict.fromkeys(place for file in self.files("") for place in identity_of(file)))

    def files(self, volume_id: str) -> tuple[Path, ...]:
        """Return the files that a volume is read from. There are none where it is made and not read."""
        places = {Path(self.path), *self.companions} if self.from_files else set()
        places |= {source for place in places if place.is_file() for source in sources_of(place)}
        inside = {file for place in places if place.is_dir() for file in place.rglob("*")}
        return tuple(sorted(file for file in places | inside if file.is_file()))

    def content(self, volume_id: str) -> str:
        """Return a digest of a volume's files, whatever they are called, with its place among the volumes in them.

        It is empty where the volume is made and not read.
        """
        files = self.files(volume_id)
        return f"{content_fingerprint(files)}-{self._volumes_by_files[files].index(volume_id):04d}" if files else ""

    @cached_property
    def _volumes_by_files(self) -> dict[tuple[Path, ...], list[str]]:
        """This maps files to the volumes that are read from just these, in the order of the archive."""
        found: dict[tuple[Path, ...], list[str]] = {}
        for volume_id in self.volumes():
            found.setdefault(self.files(volume_id), []).append(volume_id)
        return found

    def with_draw_key(self, header: Header) -> Header:
        """Return the header of one of these scans with what its random draws are keyed by (`Header.draw_key`).

        That is the content of its files and its place in the volume, so that neither the name of a file nor the key of the pseudonyms
        changes a mask. Simulated scans of harmless names draw by their ids: these are the same for everyone, and what they were made from
        is not a file.
        """
        by_ids = header.origin is Origin.SIMULATED and all(map(harmless, header.scan_id.split("/")))
        content = "" if by_ids else self._content_once(header.volume_id)
        return replace(header, draw_key=f"{content}/{self._place_in_volume[header.scan_id]:04d}" if content else "")

    def _content_once(self, volume_id: str) -> str:
        if volume_id not in self._contents_read:
            self._contents_read[volume_id] = self.content(volume_id)
        return self._contents_read[volume_id]

    @cached_property
    def _contents_read(self) -> dict[str, str]:
        """This keeps `content` of the volumes that were asked for, so that files are not read again for every scan."""
        return {}

    @cached_property
    def _place_in_volume(self) -> dict[str, int]:
        """This maps the id of every scan to its place in its volume."""
        return {scan_id: place for ids in self.volumes().values() for place, scan_id in enumerate(ids)}

    def part(self, volume_id: str) -> "Archive":
        """Return an archive of no more than the files of a volume, to be sent to another process."""
        return self

    def __len__(self) -> int:
        return len(self.headers)

    def __iter__(self) -> Iterator[Scan]:
        return (self.read(header.scan_id) for header in self.headers)

    def volumes(self) -> dict[str, tuple[str, ...]]:
        """Return the scan ids of each volume."""
        ids: dict[str, list[str]] = {}
        for header in self.headers:
            ids.setdefault(header.volume_id, []).append(header.scan_id)
        return {volume_id: tuple(scan_ids) for volume_id, scan_ids in ids.items()}

    def describe(self, calibrator: Calibrator = Calibrator()) -> str:  # noqa: B008 - frozen
        """Say what was found, scan by scan, with the verdict: may it train with this calibrator.

        Scans of a volume that are alike share a line. Accelerations are counted on the locations that the scans of a protocol acquired
        between them.
        """
        in_full = len(self) <= DESCRIBED_IN_FULL
        volumes = self.volumes()
        subjects = {header.subject for header in self.headers}
        lines = [f"{self.path}: {self.format_name}, {len(self)} scans, {len(volumes)} volumes, {len(subjects)} subjects"]
        if not in_full:
            lines.append("of each volume the middle scan was read")
        seen = {volume_id: ids if in_full else ids[len(ids) // 2 : len(ids) // 2 + 1] for volume_id, ids in volumes.items()}
        found = {scan_id: self._judge(scan_id, calibrator) for ids in track(seen.values(), "reading") for scan_id in ids}
        texts = _described(found)
        for volume_id, ids in seen.items():
            by_text: dict[str, list[str]] = {}
            for scan_id in ids:
                by_text.setdefault(texts[scan_id], []).append(scan_id)
            if len(by_text) == 1:
                lines += [f"  {volume_id} ({len(ids)} scans): {text}" for text in by_text]
            else:
                lines += [f"  {some[0]}{f' and {len(some) - 1} more' if some[1:] else ''}: {text}" for text, some in by_text.items()]
        lines += [f"  not read: {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)

    def _judge(self, scan_id: str, calibrator: Calibrator) -> tuple[Header, Verdict] | str:
        try:
            scan = self.read(scan_id)
        except BadInput as error:
            return f"cannot be read: found {error.found}; expected {error.expected}"
        return scan.header, verdict(scan, calibrator)


def _described(found: Mapping[str, tuple[Header, Verdict] | str]) -> dict[str, str]:
    """Return what was found of each scan as text, every sampling as its protocol shows it."""
    seen = {scan_id: one for scan_id, one in found.items() if not isinstance(one, str)}
    protocols = {scan_id: protocol_key(header, judged.matrix) for scan_id, (header, judged) in seen.items()}
    together = on_protocol({scan_id: judged.sampling for scan_id, (_, judged) in seen.items()}, protocols)
    told = {scan_id: one for scan_id, one in found.items() if isinstance(one, str)}
    for scan_id, (header, judged) in seen.items():
        notes = "".join(f"; {key}: {text}" for key, text in header.notes.items())
        told[scan_id] = f"{judged.on(together[scan_id])}{notes}"
    return told


def slice_fields(volume_id: str, index: int) -> dict[str, Any]:
    """Return the fields of a header that name a slice of a volume: its id, that of the volume, and its number."""
    return {"scan_id": f"{volume_id}/slice-{index:03d}", "volume_id": volume_id, "slice": index}


def holds(path: Path, test: Callable[[h5py.File], bool]) -> bool:
    """Tell whether `path` is an HDF5 file that passes a test. For whatever else it is, the answer is False and no error is raised."""
    if not path.is_file():
        return False
    try:
        with h5py.File(path) as file:
            return test(file)
    except UNREADABLE:
        return False


def unknown_scan(path: Path, scan_id: str, known: tuple[str, ...]) -> BadInput:
    """Return the error for a scan id that an archive does not hold."""
    listed = ", ".join(known[:3]) + (f" ... ({len(known)} in all)" if len(known) > 3 else "")
    return BadInput(path, found=f"no scan {scan_id!r}", expected=f"one of {listed}")
