"""A folder of prepared volumes, from which training reads scan by scan."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import opened, unreadable
from ssrecon.core.scan import CalibratedScan, Header, Prepared
from ssrecon.sampling.describe import SamplingDescription, acceleration_range, describe_mask, on_protocol, protocol_key, read_description
from ssrecon.store.catalogue import records
from ssrecon.store.volume_file import ARRAYS, FORMAT, WHOLE, CannotWrite, read_header, volume_json, write_volume

__all__ = ["CannotWrite", "Store", "write_volume"]


@dataclass(frozen=True)
class Entry:
    """This says where one scan lies and what is known of it without reading samples."""

    file: str
    index: int
    header: Header
    shape: tuple[int, ...]
    """As `CalibratedScan.shape`: ``(frames, coils, maps, *k)``."""
    noise_source: str


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
            described = volume_json(path, known.get(path.name))
            try:
                self._provenance[path.name] = dict(described["provenance"])
                held = [_entry_of(path.name, index, item) for index, item in enumerate(described["scans"])]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                found = f"a record of its scans that cannot be read ({type(error).__name__}: {error})"
                raise BadInput(path, found=found, expected=WHOLE) from error
            for entry, sampling in held:
                name = entry.header.scan_id
                if name in entries:
                    raise BadInput(path, f"scan {name}, also in {entries[name].file}", "scan ids that are unique")
                entries[name] = entry
                if sampling is not None:
                    sampled[name] = sampling
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
        """This maps volumes that could not be prepared, files and scans that could not be read, and unfit scans to the reason."""
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

    def provenance(self, scan_id: str) -> dict[str, Any]:
        """Return what was written beside the volume of a scan: how it was made, and from what."""
        return dict(self._provenance[self._entry(scan_id).file])

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


def _entry_of(file: str, index: int, item: Mapping[str, Any]) -> tuple[Entry, SamplingDescription | None]:
    """Return what a volume says of one of its scans, as it is in the JSON; anything may be raised where that is damaged."""
    # Earlier versions wrote the acceleration alone, each scan's on its own extent.
    sampling = read_description(item["sampling"]) if "sampling" in item else None
    return Entry(file, index, read_header(item["header"]), tuple(item["shape"]), item["noise_source"]), sampling


def _on_protocols(entries: Mapping[str, Entry], sampled: Mapping[str, SamplingDescription]) -> dict[str, Entry]:
    """Return the entries with accelerations that are counted on the locations that the scans of a protocol acquired between them."""
    sampled = {name: found for name, found in sampled.items() if entries[name].header.acceleration is not None}
    protocols = {name: protocol_key(entries[name].header, entries[name].shape[3:]) for name in sampled}
    together = on_protocol(sampled, protocols)
    headers = {name: replace(entries[name].header, acceleration=round(found.acceleration, 6)) for name, found in together.items()}
    return {name: replace(entry, header=headers.get(name, entry.header)) for name, entry in entries.items()}


def _tensor(dataset: h5py.Dataset) -> torch.Tensor:
    return torch.from_numpy(np.asarray(dataset[()]))
