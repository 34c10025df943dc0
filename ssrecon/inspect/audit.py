"""The audit of an archive: every scan is looked at once, and what was found is kept volume by volume."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from ssrecon.archive import Archive
from ssrecon.archive.deidentified import without_names
from ssrecon.archive.leave_out import left_out, not_left_out
from ssrecon.calibrate import Calibrator
from ssrecon.core.description import describe, digest
from ssrecon.core.engines import each, shard_of
from ssrecon.core.errors import BadInput, OutputInUse, SsreconError
from ssrecon.core.files import whole_file
from ssrecon.core.json_text import json_object
from ssrecon.core.progress import track
from ssrecon.core.provenance import data_fingerprint
from ssrecon.inspect.cohort import Cohort, cohorts
from ssrecon.inspect.duplicates import duplicates
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.look import look
from ssrecon.inspect.picture import picture
from ssrecon.inspect.scan_report import ScanReport, description_of, group_key, unreadable, with_sampling
from ssrecon.privacy.pseudonyms import safe_name, safe_reason
from ssrecon.sampling.describe import on_protocol, protocol_key
from ssrecon.sampling.describe.description import tuples_of

PARTS, VERSION = "parts", 4
"""Parts of another version, or made with other settings, are made again by the same call."""


@dataclass(frozen=True)
class Audit:
    """An audit holds what was found in an archive."""

    scans: tuple[ScanReport, ...]
    refused: Mapping[str, str]
    """Files that could not be read at all, each with the reason."""
    missing: int = 0
    """The number of volumes that no shard has looked at yet."""
    left_out: tuple[str, ...] = ()
    """Scans that were not looked at because somebody said so."""
    leave_out: tuple[str, ...] = ()
    """The patterns by which they were chosen."""

    @property
    def cohorts(self) -> list[Cohort]:
        return cohorts(self.scans)

    @property
    def verdicts(self) -> Counter[str]:
        return Counter(record.verdict for record in self.scans)


def audit(
    archive: Archive,
    out: Path | str,
    workers: int = 1,
    shard: tuple[int, int] | None = None,
    dask: str | None = None,
    calibrator: Calibrator = Calibrator(),  # noqa: B008 - frozen
    leave_out: Sequence[str] = (),
) -> Audit:
    """Look at every scan of an archive, keep what was found in ``OUT/parts``, one JSON a volume, and return what all parts say.

    A part made from the same files is kept: an interrupted audit is continued by the same call, and shards put theirs beside each other.
    Verdicts are those of `calibrator`, the one that `prepare` is to use. Scans that match a pattern of `leave_out` are not looked at
    (`ssrecon.archive.leave_out`).

    One scan at a time is in memory. Raises OutputInUse where `out` is a file, or holds parts of another archive.
    """
    archive, out = without_names(archive), Path(out)
    if out.exists() and not out.is_dir():
        raise OutputInUse(out, found="a file", expected="a folder, or a path where one can be made")
    spared = left_out(archive.headers, leave_out, archive.skipped)
    volumes = {name: tuple(scan_id for scan_id in ids if scan_id not in spared) for name, ids in archive.volumes().items()}
    jobs = [_VolumeAudit(archive.part(name), name, ids, out / PARTS, calibrator) for name, ids in volumes.items() if ids]
    expected = {job.path for job in jobs}
    if others := [path for path in (out / PARTS).glob("*.json") if path not in expected]:
        raise OutputInUse(others[0], found="a part of another archive's audit", expected="an empty folder, or the same archive's")
    todo = [job for job in shard_of(jobs, shard, lambda job: job.volume_id) if not job.is_done()]
    with each(_audit_volume, todo, workers, dask) as results:
        for job, error in track(results, "Looking", total=len(todo)):
            if isinstance(error, BaseException):
                raise BadInput(job.volume_id, found=f"a worker that was lost with it ({error})", expected="more memory for each worker")
    scans: list[ScanReport] = []
    pictured: set[tuple[Any, ...]] = set()
    for job in jobs:
        if job.is_done():
            scans += [_with_picture_once(record, pictured) for record in job.read()]
    unread = not_left_out(archive.skipped, leave_out)
    refused = {safe_name(name): safe_reason(reason, Path(name)) for name, reason in unread.items()}
    missing = sum(not job.path.exists() for job in jobs)
    found = _with_missing_pictures(_with_protocol_acceleration(_with_duplicates_named(scans)), archive)
    return Audit(found, refused, missing, tuple(sorted(spared)), tuple(leave_out))


@dataclass(frozen=True)
class _VolumeAudit:
    archive: Archive
    volume_id: str
    scan_ids: tuple[str, ...]
    folder: Path
    calibrator: Calibrator

    @property
    def path(self) -> Path:
        return self.folder / f"{blake2b(self.volume_id.encode(), digest_size=8).hexdigest()}.json"

    @property
    def fingerprint(self) -> str:
        files = self.archive.files(self.volume_id)
        return f"{VERSION} {data_fingerprint(files) if files else 'made'} {digest([describe(self.calibrator), *self.scan_ids])}"

    def is_done(self) -> bool:
        try:
            return bool(json_object(self.path.read_bytes(), self.path, "a part of an audit").get("fingerprint") == self.fingerprint)
        except (OSError, BadInput):
            return False

    def run(self) -> None:
        headers = {header.scan_id: header for header in self.archive.headers}
        found: list[ScanReport] = []
        for scan_id in self.scan_ids:
            try:
                found.append(look(self.archive.read(scan_id), self.calibrator))
            except SsreconError as error:
                reason = f"found {error.found}; expected {error.expected}" if isinstance(error, BadInput) else str(error)
                found.append(unreadable(headers[scan_id], error, safe_reason(reason, *self.archive.files(self.volume_id))))
        # A picture of the middle scan, and of the first with each kind of finding: the page shows no more of one volume.
        seen: set[tuple[Any, ...]] = set()
        shown = [record for record in found if record.picture]
        middle = shown[len(shown) // 2] if shown else None
        kept = [record if record is middle else _with_picture_once(record, seen, protocol=False) for record in found]
        with whole_file(self.path) as partial:
            partial.write_text(json.dumps({"fingerprint": self.fingerprint, "scans": [asdict(record) for record in kept]}))

    def read(self) -> list[ScanReport]:
        known = {f.name for f in fields(ScanReport)}
        written: Sequence[dict[str, Any]] = json.loads(self.path.read_text())["scans"]
        return [ScanReport(**{key: tuples_of(value) for key, value in item.items() if key in known}) for item in written]


def _audit_volume(job: _VolumeAudit) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # beside other workers, and for the same sums whatever their number
    try:
        job.run()
    finally:
        torch.set_num_threads(threads)


def _with_picture_once(record: ScanReport, seen: set[tuple[Any, ...]], protocol: bool = True) -> ScanReport:
    """Return a record, with its picture only where that is the first of its protocol or of a kind of finding; `seen` remembers these."""
    if not record.picture:
        return record
    first = _stands_for(record) if protocol else _stands_for(record) - {("protocol", *group_key(record))}
    new = first - seen
    seen |= first
    return record if new else replace(record, picture="")


def _stands_for(record: ScanReport) -> set[tuple[Any, ...]]:
    """Return what a picture of this scan is an example of: its protocol, and each kind of its findings."""
    return {("protocol", *group_key(record)), *(("finding", str(finding["kind"])) for finding in record.findings)}


def _with_missing_pictures(scans: Sequence[ScanReport], archive: Archive) -> tuple[ScanReport, ...]:
    """Return the records with a picture for each protocol and kind of finding that has none.

    What is found between scans is found after each was looked at, when pictures had been chosen: one scan of each such kind is read again.
    """
    seen: set[tuple[Any, ...]] = set().union(*(_stands_for(record) for record in scans if record.picture))
    found = []
    for record in scans:
        if record.sampling and not record.picture and not _stands_for(record) <= seen:
            with suppress(SsreconError):  # a file that is gone by now has no picture
                record = replace(record, picture=picture(archive.read(record.scan)))
            seen |= _stands_for(record)
        found.append(record)
    return tuple(found)


def _with_protocol_acceleration(scans: Sequence[ScanReport]) -> tuple[ScanReport, ...]:
    """Return the records with accelerations on what each protocol ever acquired, and with what follows from them."""
    sampled = {place: description_of(record) for place, record in enumerate(scans) if record.sampling}
    protocols = {place: protocol_key(scans[place], scans[place].matrix) for place in sampled}
    sampled = on_protocol(sampled, protocols)
    return tuple(with_sampling(record, sampled[place]) if place in sampled else record for place, record in enumerate(scans))


def _with_duplicates_named(scans: Sequence[ScanReport]) -> tuple[ScanReport, ...]:
    """Return the records with a finding for each copy of a scan, which would be in training and in test at once."""
    shapes: dict[tuple[Any, ...], dict[str, tuple[float, ...]]] = {}
    for record in scans:
        if record.signature:
            shapes.setdefault((record.matrix, record.coils, record.frames), {})[record.scan] = record.signature
    copies: dict[str, str] = {}
    for signatures in shapes.values():
        copies |= duplicates(signatures)
    return tuple(_with_duplicate_finding(record, copies[record.scan]) if record.scan in copies else record for record in scans)


def _with_duplicate_finding(record: ScanReport, of: str) -> ScanReport:
    finding = Finding(
        "duplicate",
        "refuse",
        f"the same samples as {of}, but perhaps for a factor and the order of the coils",
        "leave one of the two out: a scan in training and in test at once makes every figure too good",
    )
    return replace(record, findings=(*record.findings, asdict(finding)))
