"""From an archive to a store: undersample where asked, calibrate, write. Volume by volume, and only those not yet written."""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ssrecon.archive import Archive, open_archive
from ssrecon.archive.deidentified import refuse_identity, without_names
from ssrecon.archive.leave_out import left_out, not_left_out
from ssrecon.calibrate import Calibrator
from ssrecon.core.description import describe
from ssrecon.core.draw import Draw
from ssrecon.core.engines import each, shard_of
from ssrecon.core.errors import BadInput, BadRecipe, SsreconError
from ssrecon.core.progress import track
from ssrecon.privacy.pseudonyms import safe_name, safe_reason
from ssrecon.sampling import Undersampling
from ssrecon.store.already_there import link_volumes, not_yet_prepared, remove_partial_files
from ssrecon.store.catalogue import Catalogue, Record, records
from ssrecon.store.data import Data
from ssrecon.store.hybrid import Hybrid
from ssrecon.store.store import Store
from ssrecon.store.volume_file import CannotWrite, is_store, record_of
from ssrecon.store.volume_job import VolumeToPrepare, prepare_volume, worker_lost

SCRATCH = ".hybrid"
"""Beside the volumes while they are made: 3-D scans transposed."""


class LeftOut(UserWarning):
    """A volume or scan could not be prepared; the others were."""


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
    A scan that cannot be read, or may not train (`ssrecon.calibrate.unfit`), is left out with its reason, and the others of its
    volume are kept; with `keep_unfit` whatever can be calibrated is kept. Scans that a pattern of `leave_out` fits are left out too: their
    own ids, those of hybrid slices included, or those of their volume or subject. Both are written into the store.
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
    how = {
        "out": out,
        "calibrator": calibrator,
        "pattern": pattern,
        "draw": draw,
        "per_slice": per_slice,
        "only_full": only_full,
        "device": device,
        "keep_unfit": keep_unfit,
    }
    jobs = _jobs(archive, volumes, leave_out, how)
    ours = {job.volume_id for job in shard_of(jobs, shard, lambda job: job.volume_id)}
    missing = not_yet_prepared(out, jobs)
    todo = [job for job in missing if job.volume_id in ours]
    catalogue = Catalogue(out, shard)
    out.mkdir(parents=True, exist_ok=True)
    catalogue.forget_failures()
    if shard is None or shard[0] == 1:
        unread = not_left_out(archive.skipped, leave_out)
        refused = {safe_name(name): safe_reason(reason, Path(name)) for name, reason in unread.items()}
        catalogue.put(*(Record(name, "refused", reason) for name, reason in refused.items()))
    listed = {name for name, record in records(out).items() if record.state == "done"}.union(job.volume_id for job in missing)
    # What a kill came before the catalogue could be told of.
    catalogue.put(*(record_of(job.path, job.volume_id) for job in jobs if job.volume_id in ours - listed))
    remove_partial_files(out, {job.path.name for job in todo})
    for job in jobs:
        if job.volume_id in ours:  # A kill may have come after a volume was whole and before its scratch file was gone.
            job.clean_up()
    errors = _prepare_each(todo, catalogue, workers, dask)
    with suppress(OSError):  # Not there, or another shard's files are in it.
        (out / SCRATCH).rmdir()
    if errors and len(errors) == len(jobs):
        raise errors[0]
    store = Store(out)
    for name, reason in store.skipped.items():
        warnings.warn(f"{name} is left out: {reason}", LeftOut, stacklevel=2)
    return store


def _jobs(archive: Archive, volumes: Collection[str] | None, leave_out: Sequence[str], how: Mapping[str, Any]) -> list[VolumeToPrepare]:
    """Return a job for each volume that is wanted and of which not all scans are to be left out. Raises `BadInput` where there is none."""
    spared = left_out(archive.headers, leave_out, archive.skipped)
    jobs = []
    for name, ids in archive.volumes().items():
        kept = tuple(scan_id for scan_id in ids if scan_id not in spared)
        if kept and (volumes is None or name in volumes):
            without = tuple(scan_id for scan_id in ids if scan_id in spared)
            jobs.append(VolumeToPrepare(archive.part(name), name, kept, **how, spared=without))
    if not jobs:
        there = ", ".join(list(archive.volumes())[:5])
        raise BadInput(archive.path, found=f"none of the {len(volumes or ())} volumes asked for", expected=there)
    return jobs


def _prepare_each(jobs: Sequence[VolumeToPrepare], catalogue: Catalogue, workers: int, dask: str | None) -> list[SsreconError]:
    """Prepare volumes, tell the catalogue what became of each, and return the errors. Raises CannotWrite: the others would fail too."""
    errors: list[SsreconError] = []
    with each(prepare_volume, jobs, workers, dask) as results:
        for job, result in track(results, "Preparing", total=len(jobs)):
            error, seconds = result if isinstance(result, tuple) else (worker_lost(job, result), 0.0)
            if isinstance(error, CannotWrite):
                raise error
            if error is None:
                catalogue.put(record_of(job.path, job.volume_id, seconds))
                continue
            errors.append(error)
            # Ids of scans have lost their names; what else an error calls by its place is a file.
            in_file = isinstance(error, BadInput) and not error.where.startswith(job.volume_id)
            text = f"found {error.found}; expected {error.expected}" if in_file else str(error)
            catalogue.put(Record(job.volume_id, "failed", safe_reason(text, *job.archive.files(job.volume_id)), seconds=seconds))
    return errors


def prepare_data(data: Data, out: Path | str, say: Callable[[str], None] = lambda text: None, require_deidentified: bool = False) -> Store:
    """Put what a recipe trains on into a store in `out`. A source that is a store already is linked (copied where links are impossible).
    `require_deidentified` is that of `open_archive`.

    Raises BadRecipe where a store is to be undersampled or calibrated once more, and what `open_archive` and `prepare` raise.
    """
    out = Path(out)
    if isinstance(data.source, str) and is_store(Path(data.source)):
        if data.pattern is not None:
            raise BadRecipe("data.pattern", found=f"{data.pattern} for a prepared store", expected="None, or the archive it was made from")
        source = Store(data.source)
        made_with = source.calibrator
        if data.calibrator != Calibrator() and describe(data.calibrator) != made_with:
            found = f"{data.calibrator} for a store prepared with {made_with}"
            raise BadRecipe("data.calibrator", found=found, expected="the store's own, or the archive it was made from")
        left_out(source.headers, data.leave_out, source.skipped)  # a pattern that fits nothing is known before anything is linked
        link_volumes(Path(data.source), out)
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
