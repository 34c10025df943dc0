"""Calibrated scans on disk: the project's own HDF5, one file a volume, from which training reads.

::

    FOLDER/VOLUME.h5
      format, version              attributes: "ssrecon store", 1
      json                         one string: {"scans": [{"header", "shape", "noise_source"}, ...], "provenance": {...}}
      scan/0000/                   one group a scan, in the volume's order; each dataset is contiguous: a slice is one read
        kspace  csm                complex64, axes as in `ssrecon.scan`
        mask  padding  calibration bool
        scale  noise_std           float32, in the scan's own units; noise_std is absent where unknown
      reference/0000/kspace mask   the fully sampled scan, where there is one
      truth/0000                   the noiseless coil-combined image, where there is one

``reference`` and ``truth`` are groups of their own, so that they can be deleted from a file and everything self-supervised still runs.
Files are written beside their place and moved there whole: what a reader finds was finished. ``catalogue*.sqlite`` beside them is an index
(`ssrecon.catalogue`), and says what could not be prepared; without it the files are read instead.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from ssrecon.core.description import describe, rebuild
from ssrecon.core.encoding import Encoding, GridPoints, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput, SsreconError
from ssrecon.core.files import whole_file
from ssrecon.core.geometry import Geometry
from ssrecon.core.scan import CalibratedScan, Header, Prepared
from ssrecon.store.catalogue import Record, records

SIMULATED = {"ssrecon phantom": "simulated", "simulated coils": "semi-synthetic"}
FORMAT, VERSION = "ssrecon store", 1
ARRAYS = ("kspace", "mask", "padding", "csm", "calibration", "scale", "noise_std")


class CannotWrite(BadInput):
    """A folder that takes no more: a full disk, or no permission."""


@dataclass(frozen=True)
class Entry:
    """Where one scan lies and what is known of it without reading samples."""

    file: str
    index: int
    header: Header
    shape: tuple[int, ...]
    """As `CalibratedScan.shape`: ``(frames, coils, maps, *k)``."""
    noise_source: str


def volume_path(folder: Path, volume_id: str) -> Path:
    """The file of a volume: its id where that is a plain file name, else a readable part of it and a hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", volume_id).strip(".")[:80]
    suffix = "" if plain == volume_id else "-" + blake2b(volume_id.encode(), digest_size=6).hexdigest()
    return Path(folder) / f"{plain}{suffix}.h5"


def write_volume(folder: Path, volume: Iterable[Prepared], provenance: Mapping[str, Any]) -> Path:
    """One volume as one file; scans are written as they come, so that an iterator never needs the whole volume in memory.

    `provenance` is JSON. Raises CannotWrite (a full disk, a read-only folder), and BadInput where scans of different volumes are
    mixed; then nothing is left behind, and a file already there stays as it was.
    """
    folder = Path(folder)
    volume = iter(volume)
    first = next(volume, None)
    if first is None:
        raise BadInput(folder, "a volume without scans", "at least one")
    path = volume_path(folder, first.scan.headers[0].volume_id)
    # What the iterator itself raises is not ours to rename.
    source = _Guarded(chain([first], volume))
    try:
        with whole_file(path) as partial, h5py.File(partial, "w") as file:
            _fill(file, source, provenance)
    except (OSError, RuntimeError) as error:
        if source.failed or isinstance(error, SsreconError):
            raise
        reason = str(error).splitlines()[0][:300]
        raise CannotWrite(path, f"that it could not be written ({reason})", "room on the disk; volumes written before are whole") from error
    return path


class _Guarded:
    """An iterator that remembers whether it was the one that failed."""

    def __init__(self, items: Iterable[Prepared]):
        self.items, self.failed = iter(items), False

    def __iter__(self) -> Iterator[Prepared]:
        return self

    def __next__(self) -> Prepared:
        try:
            return next(self.items)
        except StopIteration:
            raise
        except BaseException:
            self.failed = True
            raise


def _fill(file: h5py.File, volume: Iterable[Prepared], provenance: Mapping[str, Any]) -> None:
    entries: list[dict[str, Any]] = []
    for index, prepared in enumerate(volume):
        scan = prepared.scan
        header = scan.headers[0]
        if len(scan.headers) != 1 or (entries and header.volume_id != entries[0]["header"]["volume_id"]):
            raise BadInput(header.scan_id, f"a scan of volume {header.volume_id}", "single scans of one volume")
        group = file.create_group(f"scan/{index:04d}")
        for name in ARRAYS:
            if (value := getattr(scan, name)) is not None:
                group[name] = value.detach().cpu().numpy()
        if prepared.reference is not None:
            group = file.create_group(f"reference/{index:04d}")
            group["kspace"] = prepared.reference.kspace.detach().cpu().numpy()
            group["mask"] = prepared.reference.mask.detach().cpu().numpy()
        if prepared.truth is not None:
            file[f"truth/{index:04d}"] = prepared.truth.detach().cpu().numpy()
        notes = {key: str(value) for key, value in header.notes.items()}
        described = {**asdict(replace(header, notes=notes)), "encoding": describe(header.encoding)}
        entries.append({"header": described, "shape": scan.shape, "noise_source": scan.noise_source})
    file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
    file["json"] = json.dumps({"scans": entries, "provenance": dict(provenance)})


def is_store(folder: Path) -> bool:
    """Whether a folder holds prepared volumes."""
    return folder.is_dir() and any(read_provenance(path) is not None for path in sorted(folder.glob("*.h5"))[:1])


def read_provenance(path: Path, known: Record | None = None) -> dict[str, Any] | None:
    """The provenance of a finished volume; None where there is no such file or it is not one that this version reads."""
    try:
        return dict(_describe(Path(path), known)["provenance"])
    except (OSError, BadInput):
        return None


def record_of(path: Path, volume_id: str, seconds: float = 0.0) -> Record:
    """What the catalogue keeps of a finished volume."""
    stat = path.stat()
    return Record(volume_id, "done", "", path.name, stat.st_size, stat.st_mtime_ns, seconds, _description(path))


def _describe(path: Path, known: Record | None = None) -> dict[str, Any]:
    """What a volume says of itself, from the catalogue where that is of this very file."""
    if known is not None:
        stat = path.stat()
        if (known.bytes, known.changed) == (stat.st_size, stat.st_mtime_ns):
            return dict(json.loads(known.described))
    return dict(json.loads(_description(path)))


def _description(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            found = (file.attrs.get("format"), file.attrs.get("version"))
            if found != (FORMAT, VERSION):
                raise BadInput(path, f"an HDF5 file with format {found[0]!r}, version {found[1]}", f"{FORMAT!r}, version {VERSION}")
            return str(file["json"].asstr()[()])
    except (OSError, KeyError) as error:
        raise BadInput(path, f"a file that cannot be read ({error})", f"a whole {FORMAT} file; prepare the archive again") from error


class Store:
    """The volumes of a folder. Files are opened for each read, so that a store may be forked, pickled and shared among loader workers.

    Raises BadInput for a folder without volumes, a damaged file, and a scan id that occurs twice.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self._provenance: dict[str, Any] = {}
        entries: dict[str, Entry] = {}
        known = {record.file: record for record in records(self.folder).values() if record.state == "done"}
        for path in sorted(self.folder.glob("*.h5")):
            described = _describe(path, known.get(path.name))
            self._provenance[path.name] = described["provenance"]
            for index, item in enumerate(described["scans"]):
                header = _header(item["header"])
                if header.scan_id in entries:
                    raise BadInput(path, f"scan {header.scan_id}, also in {entries[header.scan_id].file}", "scan ids that are unique")
                entries[header.scan_id] = Entry(path.name, index, header, tuple(item["shape"]), item["noise_source"])
        if not entries:
            raise BadInput(self.folder, "no prepared volumes", f"{FORMAT} files: run `ssrecon prepare` first")
        self._entries = entries
        self.headers: tuple[Header, ...] = tuple(entry.header for entry in entries.values())

    @property
    def kind(self) -> str:
        """``measured``, ``simulated``, ``semi-synthetic``, or ``mixed``; the maker of simulated scans is named in their headers."""
        kinds = {SIMULATED.get(header.vendor, "measured") for header in self.headers}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def description(self) -> str:
        """One line for a report: how many scans of what."""
        subjects, volumes = {h.subject for h in self.headers}, {h.volume_id for h in self.headers}
        shapes = sorted({entry.shape for entry in self._entries.values()})
        sizes = ", ".join(
            f"{coils} coils {'x'.join(map(str, k))}" + f" x {frames} frames" * (frames > 1) for frames, coils, _, *k in shapes[:3]
        )
        noise = ", ".join(sorted({entry.noise_source for entry in self._entries.values()}))
        counted = f"{len(self)} scans, {len(volumes)} volumes, {len(subjects)} subjects"
        return f"{counted} ({self.kind}); {sizes}{' ...' if len(shapes) > 3 else ''}; noise level: {noise}"

    @property
    def calibrator(self) -> Any:
        """The description of the calibrator that the volumes were prepared with; None where they do not say."""
        return next(iter(self._provenance.values())).get("calibrator")

    @cached_property
    def skipped(self) -> dict[str, str]:
        """Volumes that could not be prepared and files that could not be read, each with the reason."""
        return {record.volume: record.reason for record in records(self.folder).values() if record.state != "done"}

    def __len__(self) -> int:
        return len(self.headers)

    def __contains__(self, scan_id: object) -> bool:
        return scan_id in self._entries

    def shape(self, scan_id: str) -> tuple[int, ...]:
        """``(frames, coils, maps, *k)`` without reading samples: scans are batched where it agrees."""
        return self._entry(scan_id).shape

    def noise_known(self, scan_id: str) -> bool:
        """Whether a scan has a noise level; scans with and without one do not share a batch."""
        return self._entry(scan_id).noise_source != "unknown"

    def provenance(self, scan_id: str) -> dict[str, Any]:
        """What was written beside the volume of a scan: how it was made, and from what."""
        return dict(self._provenance[self._entry(scan_id).file])

    def has_reference(self, scan_id: str) -> bool:
        entry = self._entry(scan_id)
        with h5py.File(self.folder / entry.file, "r") as file:
            return f"reference/{entry.index:04d}" in file

    def load(self, scan_id: str, reference: bool = False) -> Prepared:
        """One scan as a batch of one; its reference and truth are read only when asked for, and None where the file has none."""
        entry = self._entry(scan_id)
        path, key = self.folder / entry.file, f"{entry.index:04d}"
        try:
            with h5py.File(path, "r") as file:
                group = file[f"scan/{key}"]
                arrays = {name: _tensor(group[name]) for name in ARRAYS if name in group}
                scan = CalibratedScan(headers=(entry.header,), noise_source=entry.noise_source, **arrays)
                if not reference:
                    return Prepared(scan)
                full = truth = None
                if f"reference/{key}" in file:
                    full = replace(scan, kspace=_tensor(file[f"reference/{key}/kspace"]), mask=_tensor(file[f"reference/{key}/mask"]))
                if f"truth/{key}" in file:
                    truth = _tensor(file[f"truth/{key}"])
                return Prepared(scan, full, truth)
        except (OSError, KeyError) as error:
            raise BadInput(path, f"scan {scan_id} unreadable ({error})", f"a whole {FORMAT} file; prepare the archive again") from error

    def fingerprint(self) -> str:
        """A short hash of what the store holds: the ids, shapes and provenance of all scans. Cheap: no samples are read.

        It does not depend on the folder's name, nor on whether references were deleted.
        """
        content = {
            "scans": [[entry.header.scan_id, entry.shape, entry.noise_source] for entry in self._entries.values()],
            "provenance": self._provenance,
        }
        return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()

    def _entry(self, scan_id: str) -> Entry:
        if scan_id not in self._entries:
            raise BadInput(self.folder, f"no scan {scan_id!r} among {len(self)}", f"one of {', '.join(list(self._entries)[:5])}, ...")
        return self._entries[scan_id]


def _tensor(dataset: h5py.Dataset) -> torch.Tensor:
    return torch.from_numpy(np.asarray(dataset[()]))


def _header(written: Mapping[str, Any]) -> Header:
    known = {f.name for f in fields(Header)}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in written.items() if key in known}
    values["encoding"] = rebuild(written["encoding"], written["scan_id"]) if "encoding" in written else _earlier_encoding(written)
    values["geometry"] = Geometry.of(written.get("geometry", {}))
    return Header(**values)


def _earlier_encoding(written: Mapping[str, Any]) -> Encoding:
    """Of a store from before encodings had types: a flag said whether there is a readout, a note which slice of a 3-D scan it is."""
    if written.get("readout", True):
        return WholeLines()
    place = re.match(r"position (\d+) of (\d+)", str(written.get("notes", {}).get("hybrid slice", "")))
    return HybridSlice(int(place[1]), int(place[2])) if place else GridPoints()
