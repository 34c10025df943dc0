"""From an archive to a store: undersample where asked, calibrate, write. Volume by volume, and only those not yet written."""

import ctypes
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from ssrecon.archive import Archive, open_archive
from ssrecon.archive.deidentified import Deidentified, refuse_identity, without_names
from ssrecon.archive.leave_out import left_out
from ssrecon.calibrate import Calibrator, VolumeCalibration
from ssrecon.calibrate.verdict import unfit
from ssrecon.core.description import alike, describe, digest
from ssrecon.core.draw import Draw
from ssrecon.core.engines import each, shard_of
from ssrecon.core.errors import BadInput, BadRecipe, OutputInUse, SsreconError
from ssrecon.core.files import content_digest, whole_file
from ssrecon.core.progress import track
from ssrecon.core.provenance import data_fingerprint
from ssrecon.core.scan import Prepared, Scan
from ssrecon.privacy.pseudonyms import safe_name, safe_reason
from ssrecon.sampling import Undersampling, describe_sampling, undersample
from ssrecon.store.catalogue import Catalogue, Record, records
from ssrecon.store.data import Data
from ssrecon.store.hybrid import Hybrid
from ssrecon.store.store import CannotWrite, Store, is_store, read_provenance, record_of, volume_path, write_volume

SCRATCH = ".hybrid"
"""Beside the volumes while they are made: 3-D scans transposed."""
TRIM = 16
"""Scans between two returns of freed memory to the system."""


class LeftOut(UserWarning):
    """A volume could not be prepared; the others were."""


def prepare(
    archive: Archive,
    out: Path | str,
    calibrator: Calibrator,
    pattern: Undersampling | None = None,
    draw: Draw | None = None,
    workers: int = 1,
    per_slice: bool = False,
    only_full: bool = False,
    volumes: Collection[str] | None = None,
    shard: tuple[int, int] | None = None,
    dask: str | None = None,
    hybrid: bool = True,
    device: str = "cpu",
    keep_unfit: bool = False,
    leave_out: Sequence[str] = (),
) -> Store:
    """Calibrate every volume of an archive (or those named in `volumes`), after undersampling it by `pattern` where one is given, and
    return the store.

    A slice is in memory at a time, not a volume. A volume already there whole, made from the same data in the same way, is kept: an
    interrupted call is continued by the same call. A volume that cannot be prepared (no calibration region, values that are not finite, a
    damaged file ...) is left out with a `LeftOut` warning and listed in `Store.skipped`; where it is the only one, its error is raised.
    A scan that may not train (`ssrecon.calibrate.verdict.unfit`) is left out, with its reason, and the others of its volume are kept; with
    `keep_unfit` whatever can be calibrated is kept. Scans that a pattern of `leave_out` fits are left out too: their own ids, those of
    hybrid slices included, or those of their volume or subject. Both are written into the store.
    `draw` fixes the patterns (``Draw(0)`` by default); `per_slice` and `only_full` are those of `undersample`. Scans are calibrated on
    `device`; the bytes are reproducible on one kind of device.

    3-D Cartesian volumes become hybrid slices where they may (`ssrecon.store.hybrid`), unless `hybrid` is False.

    Several `workers` are processes of this machine; with `dask`, the address of a scheduler, its workers do the same work; a `shard`
    (i, n) is the i-th of n parts of the archive, all of which may be made at once into one folder. Who made a volume changes no byte.

    Raises OutputInUse where `out` holds anything that was made from other data or in another way, and CannotWrite for a full disk.
    """
    out, draw = Path(out), draw or Draw(0)
    archive = without_names(archive)
    archive = Hybrid.of(archive, out / SCRATCH) if hybrid else archive
    spared = left_out(archive.headers, leave_out)
    known = {name: kept for name, ids in archive.volumes().items() if (kept := tuple(one for one in ids if one not in spared))}
    wanted = {name: ids for name, ids in known.items() if volumes is None or name in volumes}
    if not wanted:
        raise BadInput(archive.path, found=f"none of the {len(volumes or ())} volumes asked for", expected=", ".join(list(known)[:5]))
    how = (out, calibrator, pattern, draw, per_slice, only_full, device, keep_unfit)
    asked = {name: tuple(one for one in archive.volumes()[name] if one in spared) for name in wanted} if spared else {}
    jobs = [_VolumeToPrepare(archive.part(name), name, ids, *how, asked.get(name, ())) for name, ids in wanted.items()]
    own = {job.volume_id for job in shard_of(jobs, shard, lambda job: job.volume_id)}
    missing = _not_yet_prepared(out, jobs)
    todo = [job for job in missing if job.volume_id in own]
    catalogue = Catalogue(out, shard)
    out.mkdir(parents=True, exist_ok=True)
    catalogue.forget_failures()
    if shard is None or shard[0] == 1:
        refused = {safe_name(name): safe_reason(reason, Path(name)) for name, reason in archive.skipped.items()}
        catalogue.put(*(Record(name, "refused", reason) for name, reason in refused.items()))
    listed = {name for name, record in records(out).items() if record.state == "done"}.union(job.volume_id for job in missing)
    # What a kill came before the catalogue could be told of.
    catalogue.put(*(record_of(job.path, job.volume_id) for job in jobs if job.volume_id in own - listed))
    _remove_partial_files(out, {job.path.name for job in todo})
    for job in jobs:
        if job.volume_id in own:  # A kill may have come after a volume was whole and before its scratch file was gone.
            job.clean_up()
    errors: list[SsreconError] = []
    with each(_prepare_volume, todo, workers, dask) as results:
        for job, result in track(results, "Preparing", total=len(todo)):
            error, seconds = result if isinstance(result, tuple) else (_worker_lost(job, result), 0.0)
            if isinstance(error, CannotWrite):
                raise error
            if error is None:
                catalogue.put(record_of(job.path, job.volume_id, seconds))
                continue
            errors.append(error)
            # Ids of scans have lost their names; what else an error calls by its place is a file.
            in_file = isinstance(error, BadInput) and not error.where.startswith(job.volume_id)
            text = f"found {error.found}; expected {error.expected}" if in_file else str(error)
            catalogue.put(Record(job.volume_id, "failed", safe_reason(text, *archive.files(job.volume_id)), seconds=seconds))
    with suppress(OSError):  # Not there, or another shard's files are in it.
        (out / SCRATCH).rmdir()
    if errors and len(errors) == len(jobs):
        raise errors[0]
    store = Store(out)
    for name, reason in store.skipped.items():
        warnings.warn(f"{name} is left out: {reason}", LeftOut, stacklevel=2)
    return store


def prepare_data(data: Data, out: Path | str, say: Callable[[str], None] = lambda text: None, require_deidentified: bool = False) -> Store:
    """Put what a recipe trains on into a store in `out`. A source that is a store already is linked (copied where links are impossible).
    `require_deidentified` is that of `open_archive`.

    Raises BadRecipe where a store is to be undersampled or calibrated once more, and what `open_archive` and `prepare` raise.
    """
    out = Path(out)
    if isinstance(data.source, str) and is_store(Path(data.source)):
        if data.pattern is not None:
            raise BadRecipe("data.pattern", found=f"{data.pattern} for a prepared store", expected="None, or the archive it was made from")
        made_with = Store(data.source).calibrator
        if data.calibrator != Calibrator() and describe(data.calibrator) != made_with:
            found = f"{data.calibrator} for a store prepared with {made_with}"
            raise BadRecipe("data.calibrator", found=found, expected="the store's own, or the archive it was made from")
        left_out(Store(data.source).headers, data.leave_out)  # a pattern that fits nothing is known before anything is linked
        _link_volumes(Path(data.source), out)
        store = Store(out)
    else:
        archive = open_archive(data.source, require_deidentified) if isinstance(data.source, str) else without_names(data.source)
        if require_deidentified and not isinstance(data.source, str):
            refuse_identity(archive)
        wanted = {header.volume_id for header in data.chosen(archive.headers)}
        store = prepare(
            archive,
            out,
            data.calibrator,
            data.pattern,
            Draw(data.seed),
            per_slice=data.mask_per_slice,
            only_full=data.only_full,
            volumes=wanted,
            keep_unfit=data.keep_unfit,
            leave_out=data.leave_out,
        )
    say(f"data: {store.description}" + "".join(f"\n  left out: {name}: {reason}" for name, reason in store.skipped.items()))
    return store


@dataclass(frozen=True)
class _VolumeToPrepare:
    """This is a volume with all that a process needs to know to prepare it."""

    archive: Archive
    volume_id: str
    scan_ids: tuple[str, ...]
    out: Path
    calibrator: Calibrator
    pattern: Undersampling | None
    draw: Draw
    per_slice: bool
    only_full: bool
    device: str
    keep_unfit: bool = False
    spared: tuple[str, ...] = ()
    """Scans of the volume that somebody wants left out."""

    @property
    def path(self) -> Path:
        return volume_path(self.out, self.volume_id)

    def provenance(self) -> dict[str, Any]:
        """Say what the volume is made from and how. Equal provenance means equal samples."""
        how = {
            "archive": _archive_settings(self.archive),
            "volume": self.volume_id,
            "data": data_fingerprint(files) if (files := self.archive.files(self.volume_id)) else None,
            "calibrator": describe(self.calibrator),
            # A mask that is read from a file counts by what the file holds, wherever it lies.
            "pattern": describe(self.pattern, lambda path: content_digest(path) or "no such file"),
            "draw": describe(self.draw) if self.pattern is not None else None,
            "per_slice": self.per_slice,
            **({"only_full": True} if self.only_full else {}),
            **({"keep_unfit": True} if self.keep_unfit else {}),
            **({"leave_out": list(self.spared)} if self.spared else {}),
        }
        return {**how, "fingerprint": digest(how)}

    def run(self) -> None:
        unfit_scans: dict[str, BadInput] = {}
        fitted = self._fit(unfit_scans)
        content = self.archive.content(self.volume_id)
        files = self.archive.files(self.volume_id)
        reasons = {one: safe_reason(f"found {error.found}; expected {error.expected}", *files) for one, error in unfit_scans.items()}
        about = {**self.provenance(), "calibration": fitted.record(), **({"unfit": reasons} if reasons else {})}
        scans = map(self._read, _returning_memory([scan_id for scan_id in self.scan_ids if scan_id not in unfit_scans]))
        write_volume(self.out, (_with_fields_for_splits(prepared, content) for prepared in fitted.each(scans)), about)

    def _fit(self, unfit_scans: dict[str, BadInput]) -> VolumeCalibration:
        """Fitted to the scans that may train; the others are put into `unfit_scans`. Raises the first's error where none may."""
        try:
            return self.calibrator.fit(self._fit_to(unfit_scans))
        except BadInput:
            if unfit_scans and len(unfit_scans) == len(self.scan_ids):
                raise next(iter(unfit_scans.values())) from None
            raise

    def _fit_to(self, unfit_scans: dict[str, BadInput]) -> Iterator[Scan]:
        for scan_id in self.scan_ids:
            try:
                scan = self._read(scan_id)
            except BadRecipe:
                raise
            except BadInput as error:
                if self.keep_unfit or isinstance(self.archive, Hybrid):  # the slices of a 3-D scan are read together
                    raise
                unfit_scans[scan_id] = error
                continue
            if not self.keep_unfit and (errors := unfit(scan, self.calibrator)):
                unfit_scans[scan_id] = errors[0]
                continue
            yield scan

    def clean_up(self) -> None:
        """Remove what was written beside the store on the way."""
        if isinstance(self.archive, Hybrid):
            self.archive.discard(self.volume_id)

    def _read(self, scan_id: str) -> Scan:
        scan = self.archive.read(scan_id)
        scan = scan if self.pattern is None else undersample(scan, self.pattern, self.draw, self.per_slice, self.only_full)
        return scan.to(self.device)


def _not_yet_prepared(out: Path, jobs: list[_VolumeToPrepare]) -> list[_VolumeToPrepare]:
    """Return the volumes that are still to be made. Raises OutputInUse where the folder holds anything else: nothing is written over."""
    if out.exists() and not out.is_dir():
        raise OutputInUse(out, found="a file", expected="a folder, or a path where one can be made")
    expected = {job.path.name: job for job in jobs}
    listed = {record.file: record for record in records(out).values()} if out.exists() else {}
    done = set()
    for path in sorted(out.glob("*.h5")) if out.exists() else []:
        known, job = read_provenance(path, listed.get(path.name)), expected.get(path.name)
        if known is None:
            raise OutputInUse(path, found="a file that is no prepared volume, or a damaged one", expected="another folder, or its removal")
        if job is None:
            raise OutputInUse(path, found=f"a volume of other data ({known.get('volume')})", expected="an empty folder")
        if not _is_made_alike(known, job.provenance()):
            raise OutputInUse(
                path, found="a volume made from other data or with other settings", expected="an empty folder, or the same ones"
            )
        done.add(path.name)
    return [job for name, job in expected.items() if name not in done]


def _is_made_alike(known: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether two records of how a volume was made say the same. Earlier versions wrote classes by file and hashed them otherwise."""
    if known.get("fingerprint") == now["fingerprint"]:
        return True
    how = (now.keys() | known.keys()) - {"fingerprint", "calibration", "unfit"}
    return alike({key: known.get(key) for key in how}, {key: now.get(key) for key in how})


def _remove_partial_files(out: Path, names: set[str]) -> None:
    """Remove what a killed process left of volumes that are this call's to make; other shards may be writing theirs."""
    for partial in out.glob(".*.partial"):
        if partial.name[1:].rsplit(".", 2)[0] in names:
            partial.unlink(missing_ok=True)


def _prepare_volume(job: _VolumeToPrepare) -> tuple[SsreconError | None, float]:
    """Prepare one volume. Return its error, if there is one, and the seconds that it took."""
    # One thread: with another number of them sums are added in another order, and the bytes would depend on the number of workers.
    threads, start = torch.get_num_threads(), monotonic()
    torch.set_num_threads(1)
    error: SsreconError | None = None
    try:
        job.run()
    except SsreconError as found:
        error = found
    except (OSError, RuntimeError, ValueError) as found:
        error = BadInput(job.volume_id, found=f"{type(found).__name__}: {found}", expected="a volume that can be read and calibrated")
    finally:
        torch.set_num_threads(threads)
        job.clean_up()
    return error, monotonic() - start


def _worker_lost(job: _VolumeToPrepare, error: object) -> SsreconError:
    """Return the error of a volume whose worker did not come back."""
    return BadInput(job.volume_id, found=f"a worker that was lost with it ({type(error).__name__})", expected="more memory for each worker")


def _returning_memory(items: Iterable[str]) -> Iterator[str]:
    """Yield the items, and give freed memory back to the system after every TRIM of them.

    HDF5's small blocks lie between the slices that were freed, and glibc keeps what it cannot join: in trials a volume of 503 MB took 440
    to 580 MB, and takes 140 to 160 MB this way. Systems without glibc do nothing here.
    """
    for number, item in enumerate(items):
        if number % TRIM == TRIM - 1 and (trim := _malloc_trim()) is not None:
            trim(0)
        yield item


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def _with_fields_for_splits(prepared: Prepared, content: str) -> Prepared:
    """Return a scan with the fields of the header that a split asks for: content and acceleration."""
    scan = prepared.scan
    # On what this scan alone tells; a store counts on the union of its protocol (`Store.headers`).
    header = replace(scan.headers[0], content=content, acceleration=round(describe_sampling(scan).acceleration, 6))
    return replace(prepared, scan=replace(scan, headers=(header,)))


def _archive_settings(archive: Archive) -> Any:
    """Describe what an archive is told besides where its files lie."""
    if isinstance(archive, Deidentified):
        return _archive_settings(archive.reader)
    if not is_dataclass(archive):
        return type(archive).__name__
    return {name: value for name, value in describe(archive).items() if name != "path"}


def _link_volumes(source: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for target in sorted(out.glob("*.h5")):
        # An interrupted call left a part of this very store; anything else is another archive's, and would be mixed into the run.
        known, expected = read_provenance(target), read_provenance(source / target.name)
        if known is None or known != expected:
            raise OutputInUse(target, found="a volume of another store", expected=f"the volumes of {source}; choose another output folder")
    for path in sorted(source.glob("*.h5")):
        target = out / path.name
        if target.exists():
            continue
        try:
            os.link(path, target)
        except OSError:
            with whole_file(target) as partial:
                shutil.copyfile(path, partial)
