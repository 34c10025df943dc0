"""One volume of an archive on its way into a store: read, undersampled, calibrated, written."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from ssrecon.archive import Archive
from ssrecon.archive.deidentified import Deidentified
from ssrecon.calibrate import Calibrator, VolumeCalibration, unfit
from ssrecon.core.description import describe, digest
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe, SsreconError
from ssrecon.core.files import content_digest
from ssrecon.core.provenance import data_fingerprint
from ssrecon.core.scan import Prepared, Scan
from ssrecon.privacy.pseudonyms import safe_reason
from ssrecon.sampling import Undersampling, undersample
from ssrecon.sampling.describe import describe_sampling
from ssrecon.store.freed_memory import returning_memory
from ssrecon.store.hybrid import Hybrid
from ssrecon.store.volume_file import volume_path, write_volume


@dataclass(frozen=True)
class VolumeToPrepare:
    """A job is one volume with all that a process needs to know to prepare it."""

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
        """Calibrate the scans that can be read and may train, and write them. Raises `BadInput` where there are none."""
        refused: dict[str, BadInput] = {}
        fitted = self._fit(refused)
        content = self.archive.content(self.volume_id)
        files = self.archive.files(self.volume_id)
        reasons = {name: safe_reason(f"found {error.found}; expected {error.expected}", *files) for name, error in refused.items()}
        about = {**self.provenance(), "calibration": fitted.record(), **({"unfit": reasons} if reasons else {})}
        scans = map(self._read, returning_memory(self._kept(refused)))
        write_volume(self.out, (_with_fields_for_splits(prepared, content) for prepared in fitted.each(scans)), about)

    def _fit(self, refused: dict[str, BadInput]) -> VolumeCalibration:
        """Fit the calibration to the scans that are used. The others are put into `refused`; where all are, the first error is raised."""
        try:
            return self.calibrator.fit(self._usable(refused))
        except BadInput:
            if refused and not self._kept(refused):
                raise next(iter(refused.values())) from None
            raise

    def _usable(self, refused: dict[str, BadInput]) -> Iterator[Scan]:
        """Yield the scans that are used, and put the errors of the others into `refused`.

        An error of reading is kept under the id of what was read: a 3-D scan is read as a whole, and is not tried again for each slice.
        """
        for scan_id in self.scan_ids:
            read_from = self._read_from(scan_id)
            if read_from in refused:
                continue
            try:
                scan = self._read(scan_id)
            except BadRecipe:
                raise
            except BadInput as error:
                refused[read_from] = error
                continue
            if not self.keep_unfit and (errors := unfit(scan, self.calibrator)):
                refused[scan_id] = errors[0]
                continue
            yield scan

    def _kept(self, refused: Collection[str]) -> list[str]:
        return [scan_id for scan_id in self.scan_ids if not {scan_id, self._read_from(scan_id)} & set(refused)]

    def _read_from(self, scan_id: str) -> str:
        """Return the id of the scan that has to be read for this one: of a hybrid slice its 3-D scan."""
        return self.archive.read_from(scan_id) if isinstance(self.archive, Hybrid) else scan_id

    def clean_up(self) -> None:
        """Remove what was written beside the store on the way."""
        if isinstance(self.archive, Hybrid):
            self.archive.discard(self.volume_id)

    def _read(self, scan_id: str) -> Scan:
        scan = self.archive.read(scan_id)
        scan = scan if self.pattern is None else undersample(scan, self.pattern, self.draw, self.per_slice, self.only_full)
        return scan.to(self.device)


def prepare_volume(job: VolumeToPrepare) -> tuple[SsreconError | None, float]:
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


def worker_lost(job: VolumeToPrepare, error: object) -> SsreconError:
    """Return the error of a volume whose worker did not come back."""
    return BadInput(job.volume_id, found=f"a worker that was lost with it ({type(error).__name__})", expected="more memory for each worker")


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
