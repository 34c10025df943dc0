"""Calibrated scans on disk: the project's own HDF5, one file a volume, from which training reads.

::

    FOLDER/VOLUME.h5
      format, version              attributes: "ssrecon store", 1
      json                         one string: {"scans": [{"header", "shape", "noise_source"}, ...], "provenance": {...}}
      scan/0000/                   one group a scan, in the volume's order; each dataset is contiguous: a slice is one read
        kspace  csm                complex64, axes as in `ssrecon.core.scan`
        mask  padding  calibration bool
        scale  noise_std           float32, in the scan's own units; noise_std is absent where unknown
      reference/0000/kspace mask   the fully sampled scan, where there is one
      truth/0000                   the noiseless coil-combined image, where there is one

``reference`` and ``truth`` are groups of their own, so that they can be deleted from a file and everything self-supervised still runs.
Files are written beside their place and moved there whole: what a reader finds was finished. ``.catalogue*.sqlite`` beside them is an index
(`ssrecon.store.catalogue`), and says what could not be prepared; without it the files are read instead.
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
from ssrecon.core.hdf5 import CannotOpen, opened, unreadable
from ssrecon.core.origin import recorded_origin
from ssrecon.core.scan import CalibratedScan, Header, Prepared
from ssrecon.sampling.describe import (
    SamplingDescription,
    acceleration_range,
    describe_mask,
    describe_sampling,
    on_protocol,
    protocol_key,
    read_description,
)
from ssrecon.store.catalogue import Record, records

FORMAT, VERSION = "ssrecon store", 1
WHOLE = f"a whole {FORMAT} file; prepare the archive again"
ARRAYS = ("kspace", "mask", "padding", "csm", "calibration", "scale", "noise_std")


class CannotWrite(BadInput):
    """A folder takes no more: the disk is full, or permission is missing."""


@dataclass(frozen=True)
class Entry:
    """This says where one scan lies and what is known of it without reading samples."""

    file: str
    index: int
    header: Header
    shape: tuple[int, ...]
    """As `CalibratedScan.shape`: ``(frames, coils, maps, *k)``."""
    noise_source: str


def volume_path(folder: Path, volume_id: str) -> Path:
    """Return the file of a volume. It is called by the id where that is a plain file name, else by a readable part of it and a hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", volume_id).strip(".")[:80]
    suffix = "" if plain == volume_id else "-" + blake2b(volume_id.encode(), digest_size=6).hexdigest()
    return Path(folder) / f"{plain}{suffix}.h5"


def write_volume(folder: Path, volume: Iterable[Prepared], provenance: Mapping[str, Any]) -> Path:
    """Write one volume as one file. Scans are written as they come, so that an iterator never needs the whole volume in memory.

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
    source = _WatchedIterator(chain([first], volume))
    try:
        with whole_file(path) as partial, h5py.File(partial, "w") as file:
            _write_scans(file, source, provenance)
    except (OSError, RuntimeError) as error:
        if source.failed or isinstance(error, SsreconError):
            raise
        reason = str(error).splitlines()[0][:300]
        raise CannotWrite(path, f"that it could not be written ({reason})", "room on the disk; volumes written before are whole") from error
    return path


class _WatchedIterator:
    """This iterator remembers whether it was the one that failed."""

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


def _write_scans(file: h5py.File, volume: Iterable[Prepared], provenance: Mapping[str, Any]) -> None:
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
        sampled = describe_sampling(scan)
        entries.append({"header": described, "shape": scan.shape, "noise_source": scan.noise_source, "sampling": asdict(sampled)})
    file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
    file["json"] = json.dumps({"scans": entries, "provenance": dict(provenance)})


def is_store(folder: Path) -> bool:
    """Tell whether a folder holds prepared volumes."""
    return folder.is_dir() and any(read_provenance(path) is not None for path in sorted(folder.glob("*.h5"))[:1])


def read_provenance(path: Path, known: Record | None = None) -> dict[str, Any] | None:
    """Return the provenance of a finished volume, or None where there is no such file or it is not one that this version reads.

    Raises `CannotOpen` where it is there and locked, or not to be read by this user.
    """
    try:
        return dict(_volume_json(Path(path), known)["provenance"])
    except CannotOpen:
        if Path(path).exists():
            raise
        return None
    except (OSError, BadInput):
        return None


def record_of(path: Path, volume_id: str, seconds: float = 0.0) -> Record:
    """Return what the catalogue keeps of a finished volume."""
    stat = path.stat()
    return Record(volume_id, "done", "", path.name, stat.st_size, stat.st_mtime_ns, seconds, _read_json(path))


def _volume_json(path: Path, known: Record | None = None) -> dict[str, Any]:
    """Return what a volume says of itself. It is taken from the catalogue where that is of this very file."""
    if known is not None:
        stat = path.stat()
        if (known.bytes, known.changed) == (stat.st_size, stat.st_mtime_ns):
            return dict(json.loads(known.described))
    return dict(json.loads(_read_json(path)))


def _read_json(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            found = (file.attrs.get("format"), file.attrs.get("version"))
            if found != (FORMAT, VERSION):
                raise BadInput(path, f"an HDF5 file with format {found[0]!r}, version {found[1]}", f"{FORMAT!r}, version {VERSION}")
            return str(file["json"].asstr()[()])
    except (OSError, KeyError) as error:
        raise unreadable(path, error, WHOLE) from error


class Store:
    """A store gives the scans of the prepared volumes of a folder.

    Files are opened for each read, so that a store may be forked, pickled and shared among loader workers.

    Raises BadInput for a folder without volumes, a damaged file, and a scan id that occurs twice.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self._provenance: dict[str, Any] = {}
        entries: dict[str, Entry] = {}
        sampled: dict[str, SamplingDescription] = {}
        known = {record.file: record for record in records(self.folder).values() if record.state == "done"}
        for path in sorted(self.folder.glob("*.h5")):
            described = _volume_json(path, known.get(path.name))
            self._provenance[path.name] = described["provenance"]
            for index, item in enumerate(described["scans"]):
                header = _header(item["header"])
                if header.scan_id in entries:
                    raise BadInput(path, f"scan {header.scan_id}, also in {entries[header.scan_id].file}", "scan ids that are unique")
                entries[header.scan_id] = Entry(path.name, index, header, tuple(item["shape"]), item["noise_source"])
                if "sampling" in item:  # earlier versions wrote the acceleration alone, each scan's on its own extent
                    sampled[header.scan_id] = read_description(item["sampling"])
        if not entries:
            raise BadInput(self.folder, "no prepared volumes", f"{FORMAT} files: run `ssrecon prepare` first")
        self._entries = _on_protocols(entries, sampled)
        self.headers: tuple[Header, ...] = tuple(entry.header for entry in self._entries.values())

    @property
    def kind(self) -> str:
        """This is the origin of the scans (`Origin`: ``measured``, ``simulated``, ``semi-synthetic``), or ``mixed``."""
        origins = {header.origin for header in self.headers}
        return str(origins.pop()) if len(origins) == 1 else "mixed"

    @property
    def description(self) -> str:
        """This line tells a report how many scans of what there are."""
        subjects, volumes = {h.subject for h in self.headers}, {h.volume_id for h in self.headers}
        shapes = sorted({entry.shape for entry in self._entries.values()})
        sizes = ", ".join(
            f"{coils} coils {'x'.join(map(str, k))}" + f" x {frames} frames" * (frames > 1) for frames, coils, _, *k in shapes[:3]
        )
        noise = ", ".join(sorted({entry.noise_source for entry in self._entries.values()}))
        known = [header.acceleration for header in self.headers if header.acceleration]
        sizes += f"; R = {acceleration_range(known)}" if known else ""
        counted = f"{len(self)} scans, {len(volumes)} volumes, {len(subjects)} subjects"
        return f"{counted} ({self.kind}); {sizes}{' ...' if len(shapes) > 3 else ''}; noise level: {noise}"

    @property
    def calibrator(self) -> Any:
        """This describes the calibrator that the volumes were prepared with; it is None where they do not say."""
        return next(iter(self._provenance.values())).get("calibrator")

    @cached_property
    def skipped(self) -> dict[str, str]:
        """Volumes that could not be prepared, files that could not be read, and scans that may not train, each with the reason."""
        failed = {record.volume: record.reason for record in records(self.folder).values() if record.state != "done"}
        return {**failed, **{scan: str(reason) for made in self._provenance.values() for scan, reason in made.get("unfit", {}).items()}}

    def __len__(self) -> int:
        return len(self.headers)

    def __contains__(self, scan_id: object) -> bool:
        return scan_id in self._entries

    def shape(self, scan_id: str) -> tuple[int, ...]:
        """Return ``(frames, coils, maps, *k)`` without reading samples. Scans are batched where it agrees."""
        return self._entry(scan_id).shape

    def noise_known(self, scan_id: str) -> bool:
        """Tell whether a scan has a noise level. Scans with and without one do not share a batch."""
        return self._entry(scan_id).noise_source != "unknown"

    def sampling(self, scan_id: str) -> SamplingDescription:
        """Describe the mask of a scan, its acceleration counted as its header says it. No samples are read.

        Where sensitivities and scale did not come from a region of the scan itself, its calibration is 0, and said to be measured apart.
        """
        entry = self._entry(scan_id)
        with opened(self.folder / entry.file, WHOLE) as file:
            group = file[f"scan/{entry.index:04d}"]
            mask, padding, calibration = (_tensor(group[name]) for name in ("mask", "padding", "calibration"))
        apart = None if bool(calibration.any()) else calibration[0, 0, 0]
        found = describe_mask(mask[0, :, 0], padding[0, :, 0], entry.header.encoding.has_readout, apart)
        known = entry.header.acceleration
        return found if known is None else replace(found, acceleration=known)

    def provenance(self, scan_id: str) -> dict[str, Any]:
        """Return what was written beside the volume of a scan: how it was made, and from what."""
        return dict(self._provenance[self._entry(scan_id).file])

    def has_reference(self, scan_id: str) -> bool:
        entry = self._entry(scan_id)
        with opened(self.folder / entry.file, WHOLE) as file:
            return f"reference/{entry.index:04d}" in file

    def load(self, scan_id: str, reference: bool = False) -> Prepared:
        """Load one scan as a batch of one. Reference and truth are read only when asked for, and are None where the file has none."""
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
            raise unreadable(path, error, WHOLE) from error

    def fingerprint(self) -> str:
        """Return a short hash of what the store holds: the ids, shapes and provenance of all scans. No samples are read for it.

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


def _on_protocols(entries: Mapping[str, Entry], sampled: Mapping[str, SamplingDescription]) -> dict[str, Entry]:
    """Entries whose headers count their acceleration on the union of the locations that the scans of their protocol acquired."""
    sampled = {name: found for name, found in sampled.items() if entries[name].header.acceleration is not None}
    protocols = {name: protocol_key(entries[name].header, entries[name].shape[3:]) for name in sampled}
    together = on_protocol(sampled, protocols)
    headers = {name: replace(entries[name].header, acceleration=round(found.acceleration, 6)) for name, found in together.items()}
    return {name: replace(entry, header=headers.get(name, entry.header)) for name, entry in entries.items()}


def _tensor(dataset: h5py.Dataset) -> torch.Tensor:
    return torch.from_numpy(np.asarray(dataset[()]))


def _header(written: Mapping[str, Any]) -> Header:
    known = {f.name for f in fields(Header)}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in written.items() if key in known}
    values["origin"] = recorded_origin(str(written.get("origin", "")), str(written.get("vendor", "")))
    values["encoding"] = rebuild(written["encoding"], written["scan_id"]) if "encoding" in written else _earlier_encoding(written)
    values["geometry"] = Geometry.of(written.get("geometry", {}))
    doubts = written.get("doubts", {})
    values["doubts"] = doubts if isinstance(doubts, Mapping) else dict.fromkeys(doubts, "")  # earlier versions wrote the words alone
    return Header(**values)


def _earlier_encoding(written: Mapping[str, Any]) -> Encoding:
    """Return the encoding of a scan in a store from before encodings had types.

    There a flag said whether there is a readout, and a note which slice of a 3-D scan it is.
    """
    if written.get("readout", True):
        return WholeLines()
    place = re.match(r"position (\d+) of (\d+)", str(written.get("notes", {}).get("hybrid slice", "")))
    return HybridSlice(int(place[1]), int(place[2])) if place else GridPoints()
