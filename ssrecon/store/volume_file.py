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
from dataclasses import asdict, fields, replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import h5py

from ssrecon.core.description import describe, rebuild
from ssrecon.core.encoding import Encoding, GridPoints, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput, SsreconError
from ssrecon.core.files import whole_file
from ssrecon.core.geometry import Geometry
from ssrecon.core.hdf5 import UNREADABLE, CannotOpen, unreadable
from ssrecon.core.json_text import json_object
from ssrecon.core.origin import recorded_origin
from ssrecon.core.scan import Header, Prepared
from ssrecon.sampling.describe import describe_sampling
from ssrecon.store.catalogue import Record

FORMAT, VERSION = "ssrecon store", 1
WHOLE = f"a whole {FORMAT} file; prepare the archive again"
ARRAYS = ("kspace", "mask", "padding", "csm", "calibration", "scale", "noise_std")


class CannotWrite(BadInput):
    """A folder takes no more files: the disk is full, or permission is missing."""


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
    """Tell whether a folder holds prepared volumes. One whose record of itself is damaged is one too: `Store` says what is wrong."""
    return folder.is_dir() and any(_is_volume(path) for path in sorted(folder.glob("*.h5"))[:1])


def _is_volume(path: Path) -> bool:
    try:
        return bool(_read_json(path))
    except CannotOpen:
        if path.exists():
            raise
    except (OSError, BadInput):
        pass
    return False


def read_provenance(path: Path, known: Record | None = None) -> dict[str, Any] | None:
    """Return the provenance of a finished volume, or None where there is no such file or it is not one that this version reads.

    Raises `CannotOpen` where it is there and locked, or not to be read by this user.
    """
    try:
        return dict(volume_json(Path(path), known)["provenance"])
    except CannotOpen:
        if Path(path).exists():
            raise
        return None
    except (OSError, BadInput, KeyError, TypeError, ValueError):
        return None


def record_of(path: Path, volume_id: str, seconds: float = 0.0) -> Record:
    """Return what the catalogue keeps of a finished volume."""
    stat = path.stat()
    return Record(volume_id, "done", "", path.name, stat.st_size, stat.st_mtime_ns, seconds, _read_json(path))


def volume_json(path: Path, known: Record | None = None) -> dict[str, Any]:
    """Return what a volume says of itself. It is taken from the catalogue where that is of this very file."""
    if known is not None:
        stat = path.stat()
        if (known.bytes, known.changed) == (stat.st_size, stat.st_mtime_ns):
            return json_object(known.described, path, WHOLE)
    return json_object(_read_json(path), path, WHOLE)


def _read_json(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            found = (file.attrs.get("format"), file.attrs.get("version"))
            if found != (FORMAT, VERSION):
                raise BadInput(path, f"an HDF5 file with format {found[0]!r}, version {found[1]}", f"{FORMAT!r}, version {VERSION}")
            return str(file["json"].asstr()[()])
    except (*UNREADABLE, AttributeError) as error:
        raise unreadable(path, error, WHOLE) from error


def read_header(written: Mapping[str, Any]) -> Header:
    """Return a header from its JSON, that of earlier versions too; fields of later ones are passed over."""
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
