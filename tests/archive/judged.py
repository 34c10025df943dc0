"""What became of a damaged archive: refused, read right, or wrong."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.calibrate.verdict import EmptySamples, unfit
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Scan
from ssrecon.operators import Fourier
from ssrecon.simulation import simulate_coils

REFUSED = "refused"
SOME_REFUSED = "some scans refused"
EQUAL = "read equal"
FEWER = "fewer samples"
TOLD = "placed otherwise"
MAY_NOT = "may not train"
CHANGED = "samples changed"
WRONG = "wrong"
OUTCOMES = (REFUSED, SOME_REFUSED, EQUAL, FEWER, TOLD, MAY_NOT, CHANGED, WRONG)
"""Of what was read: every sample equal; or equal, or not acquired in the damaged file's own mask; samples of the undamaged file in other
places or scans of another shape, as the damaged file tells; acquired zeros that the undamaged file has not, for which the verdict refuses
the scan; samples that the damaged file holds otherwise; anything else.
"""

LARGEST = 1 << 22
"""Numbers in a dataset that is still looked through for what a file now holds."""


@dataclass(frozen=True)
class Whole:
    """The undamaged archive: its scans, and how often each sample occurs in them."""

    scans: dict[str, Scan]
    samples: Counter

    @staticmethod
    def read(path: Path) -> "Whole":
        scans = {scan.scan_id: scan for scan in open_archive(path)}
        return Whole(scans, sum((_samples(scan) for scan in scans.values()), Counter()))


def judge(path: Path, whole: Whole, touched: int) -> tuple[str, str]:
    """Read a damaged archive in every way, and hold it against the undamaged one. `touched` is what `mutate` returned.

    Any error but `BadInput`, or one that does not name a file of the archive, is an outcome for the caller to catch or to count as wrong.
    """
    names = {file.name for file in path.parent.rglob("*")} | {path.name}
    try:
        archive = open_archive(path)
        headers = archive.headers
    except BadInput as error:
        return _named(error, names)
    if not any(header.volume_id in archive.describe() for header in headers):
        return WRONG, "the description names no volume"
    scans, refused = [], []
    for header in headers:
        try:
            scans.append(archive.read(header.scan_id))
        except BadInput as error:
            refused.append(_named(error, names))
    if bad := [reason for outcome, reason in refused if outcome == WRONG]:
        return WRONG, bad[0]
    if not scans:
        return refused[0]
    for scan in scans:
        if problem := _broken(scan):
            return WRONG, problem
    outcome, reason = _compared(scans, whole, touched, path.parent)
    return (SOME_REFUSED, refused[0][1]) if refused and outcome != WRONG else (outcome, reason)


def _named(error: BadInput, names: set[str]) -> tuple[str, str]:
    return (REFUSED, str(error)) if any(name in str(error) for name in names) else (WRONG, f"an error that names no file: {error}")


def _broken(scan: Scan) -> str:
    """What a scan owes its callers and has not got."""
    header, (frames, coils, *shape) = scan.header, scan.kspace.shape[1:]
    numbers = (*header.encoded_fov, *header.recon_fov, header.field_strength or 0, header.volume_max or 0, scan.noise_bandwidth_ratio)
    laws = {
        "k-space is complex64": scan.kspace.dtype == torch.complex64,
        "mask and padding are of one shape with k-space": scan.mask.shape == scan.padding.shape == (1, frames, 1, *shape),
        "something is acquired, and nothing of it padding": bool(scan.mask.any()) and not bool((scan.mask & scan.padding).any()),
        "zero where it was not acquired": not bool(torch.where(scan.mask, 0, scan.kspace).any()),
        "the header has its matrix": header.encoded_matrix == tuple(shape),
        "matrices are positive": all(isinstance(n, int) and 0 < n < 1 << 16 for n in header.recon_matrix),
        "numbers of the header are finite": all(math.isfinite(n) and n >= 0 for n in numbers) and scan.noise_bandwidth_ratio > 0,
        "noise belongs to the coils": scan.noise is None or (scan.noise.ndim == 3 and scan.noise.shape[1] == coils),
        "maps belong to k-space": scan.csm is None or scan.csm.shape == (1, scan.csm.shape[1], coils, *shape),
    }
    if scan.calibration is not None:
        laws["calibration belongs to k-space"] = scan.calibration.kspace.shape == (1, 1, coils, *shape)
    for part in _arrays(scan):
        laws["everything is finite"] = laws.get("everything is finite", True) and bool(torch.isfinite(torch.view_as_real(part)).all())
    return "; ".join(f"not so: {law}" for law, holds in laws.items() if not holds)


def _arrays(scan: Scan) -> list[torch.Tensor]:
    apart = () if scan.calibration is None else (scan.calibration.kspace,)
    return [part for part in (scan.kspace, scan.noise, scan.csm, scan.truth, *apart) if part is not None]


def _samples(scan: Scan) -> Counter:
    """How often each number was acquired; zeros are counted together."""
    parts = [scan.kspace[scan.mask.expand_as(scan.kspace)]]
    if scan.calibration is not None:
        parts.append(scan.calibration.kspace[scan.calibration.mask.expand_as(scan.calibration.kspace)])
    parts += [part.flatten() for part in (scan.noise, scan.csm) if part is not None]
    values = torch.cat(parts).numpy() + np.complex64(0)  # no negative zeros
    return Counter(values.view(np.uint64).tolist())


def _compared(scans: list[Scan], whole: Whole, touched: int, folder: Path) -> tuple[str, str]:
    def alike(scan: Scan) -> bool:
        before = whole.scans.get(scan.scan_id)
        return before is not None and before.kspace.shape == scan.kspace.shape

    if all(alike(scan) for scan in scans):
        pairs = [(scan, whole.scans[scan.scan_id]) for scan in scans]
        others = all(_same_apart(scan, before) for scan, before in pairs)
        if others and all(bool((~scan.mask | ((scan.kspace == before.kspace) & before.mask)).all()) for scan, before in pairs):
            same = len(scans) == len(whole.scans) and all(torch.equal(scan.mask, before.mask) for scan, before in pairs)
            return (EQUAL, "") if same else (FEWER, "")
    if all(scan.truth is not None for scan in scans):
        return _simulated(scans, folder)
    found = sum((_samples(scan) for scan in scans), Counter())
    foreign = Counter({value: count for value, count in found.items() if value not in whole.samples})
    zeros = max(0, found[0] - whole.samples[0]) if 0 in whole.samples else found[0]
    if not foreign and not zeros:
        return TOLD, ""
    if zeros and all(any(isinstance(error, EmptySamples) for error in unfit(scan, Calibrator())) for scan in scans):
        zeros = foreign[0] = 0
        foreign = +foreign
        if not foreign:
            return MAY_NOT, ""
    if _same_profiles(scans, whole):
        return TOLD, "another length of the readouts, whose profiles are the same where both have them"
    held = _held(folder)
    if held and not zeros and not any(value not in held for value in foreign):
        return CHANGED, "as the file now holds them"
    # A byte changes the line it is in, of every coil where it is in the header; a moved one is missing in one place and new in another.
    line = max(scan.kspace.shape[-1] * scan.kspace.shape[2] for scan in scans)
    most = 0 if touched == 0 else line * (2 * min(touched, 6) + touched // (8 * scans[0].kspace.shape[-1]))
    if sum(foreign.values()) + zeros <= most:
        return CHANGED, f"{sum(foreign.values()) + zeros} of at most {most}"
    return WRONG, f"{sum(foreign.values())} samples from nowhere, {zeros} new zeros, of {found.total()}; {most} may differ"


def _same_profiles(scans: list[Scan], whole: Whole) -> bool:
    """Whether scans differ in nothing but how much of each readout's profile was kept when its oversampling was removed."""

    def profile(scan: Scan, kept: int) -> torch.Tensor:
        lines = Fourier(1).adjoint(scan.kspace)
        start = lines.shape[-1] // 2 - kept // 2
        return lines[..., start : start + kept]

    for scan in scans:
        before = whole.scans.get(scan.scan_id)
        if before is None or before.kspace.shape[:-1] != scan.kspace.shape[:-1] or before.kspace.shape == scan.kspace.shape:
            return False
        kept = min(before.kspace.shape[-1], scan.kspace.shape[-1])
        mine, theirs = profile(scan, kept), profile(before, kept)
        if torch.linalg.vector_norm(mine - theirs) > 1e-4 * torch.linalg.vector_norm(theirs):
            return False
    return True


def _simulated(scans: list[Scan], folder: Path) -> tuple[str, str]:
    """Scans made from images: each is what is simulated from the image that the file now holds."""
    with h5py.File(next(folder.glob("*.h5"))) as file:
        images = file["image"][()].astype(np.complex64)
    for scan in scans:
        image = images[int(scan.volume_id.rpartition("-")[2])]
        if not torch.equal(simulate_coils(torch.from_numpy(image), header=scan.header).kspace, scan.kspace):
            return WRONG, f"scan {scan.scan_id} is not of its image"
    return CHANGED, "as the file now holds them"


def _same_apart(scan: Scan, before: Scan) -> bool:
    """Whether noise, maps and separate calibration are what they were."""
    mine, theirs = _arrays(scan)[1:], _arrays(before)[1:]
    return len(mine) == len(theirs) and all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def _held(folder: Path) -> set[int]:
    """The complex numbers that a folder's files hold as they are now: HDF5 as its library reads it, of others all eight bytes."""
    held: set[int] = set()
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                with h5py.File(path) as file:
                    file.visititems(lambda _, item: held.update(_numbers(item)))
            except (OSError, RuntimeError, KeyError, ValueError):
                data = path.read_bytes()
                held.update(np.frombuffer(data[: len(data) // 8 * 8], np.uint64).tolist())
    return held


def _numbers(item: object) -> list[int]:
    if not isinstance(item, h5py.Dataset) or not item.size or item.size > LARGEST:
        return []
    names = item.dtype.names or ()
    if item.dtype.kind != "c" and "real" not in names:
        return []
    data = item[()]
    with np.errstate(all="ignore"):
        if names:
            data = data["real"] + 1j * data["imag"]
        return (np.atleast_1d(data).astype(np.complex64).ravel() + np.complex64(0)).view(np.uint64).tolist()
