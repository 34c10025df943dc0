"""The one place that decides whether a scan may train with a calibrator, and says why not."""

from dataclasses import dataclass, replace

from ssrecon.calibrate.calibrator import Calibrator
from ssrecon.calibrate.checks import check_scan
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Scan
from ssrecon.sampling.describe import SamplingDescription, describe_sampling

EMPTY = 0.001
"""This part of the locations said to be acquired may be exactly zero in every coil: readers drop a sample here and there."""


@dataclass(frozen=True)
class Verdict:
    """What `verdict` found of one scan."""

    may_train: bool
    reasons: tuple[str, ...]
    """Why not; empty where it may."""
    matrix: tuple[int, ...]
    coils: int
    """Coils of the file."""
    connected: int
    """Those of them that are connected (`Calibrator.connected`); the others are left out."""
    frames: int
    sampling: SamplingDescription
    noise: str
    """``noise scan``, ``can be estimated`` or ``unknown``."""

    @property
    def pattern(self) -> str:
        return self.sampling.words

    @property
    def acceleration(self) -> float:
        return self.sampling.acceleration

    @property
    def calibration(self) -> tuple[int, ...]:
        return self.sampling.calibration

    @property
    def calibration_source(self) -> str:
        return self.sampling.calibration_source

    def on(self, sampling: SamplingDescription) -> "Verdict":
        """Return the same verdict with the sampling as its protocol shows it (`ssrecon.sampling.on_protocol`)."""
        return replace(self, sampling=sampling)

    def __str__(self) -> str:
        def size(numbers: tuple[int, ...]) -> str:
            return "x".join(map(str, numbers))

        frames = f"{self.frames} frames, " if self.frames > 1 else ""
        silent = f", {self.coils - self.connected} of them not connected" if self.connected < self.coils else ""
        trains = "may train" if self.may_train else "may not train: " + "; ".join(self.reasons)
        return (
            f"{size(self.matrix)}, {frames}{self.coils} coils{silent}, {self.pattern}, R={self.acceleration:.2f}, "
            f"calibration {size(self.calibration)} {self.calibration_source}, noise level: {self.noise}: {trains}"
        )


def verdict(scan: Scan, calibrator: Calibrator = Calibrator()) -> Verdict:  # noqa: B008 - frozen
    """Tell how a scan was sampled, and whether it may train with `calibrator`. Nothing but the scan is looked at."""
    found = describe_sampling(scan)
    reasons = tuple(f"found {error.found}; expected {error.expected}" for error in unfit(scan, calibrator, found))
    estimable = "can be estimated" if calibrator.can_estimate_noise(scan) else "unknown"
    return Verdict(
        may_train=not reasons,
        reasons=reasons,
        matrix=tuple(scan.kspace.shape[3:]),
        coils=scan.kspace.shape[2],
        connected=int(calibrator.connected(scan).sum()),
        frames=scan.kspace.shape[1],
        sampling=found,
        noise="noise scan" if scan.noise is not None else estimable,
    )


def unfit(scan: Scan, calibrator: Calibrator, found: SamplingDescription | None = None) -> list[BadInput]:
    """Return everything for which a scan may not train, as the errors that its preparation raises; nothing where it may.

    The first look, the audit, `prepare` and `run` all ask this, and nothing else leaves a scan out. The audit looks further and also
    refuses what was not measured as it says (``ssrecon/inspect/data_crimes.py``); its ``refused.lst`` tells `prepare` to leave that out.

    A scan is unfit that has acquired nothing or values that are not finite, acquired samples that are exactly zero in every coil (`EMPTY`),
    whose file may end early and lacks a side of k-space, or that `calibrator` refuses: no calibration region (`NoCalibration`), a noise
    scan that cannot whiten the coils, fewer coils than map sets (`Calibrator.check`).
    """
    where = scan.scan_id
    try:
        check_scan(scan)
    except BadInput as error:
        return [error]
    errors: list[BadInput] = []
    if (empty := empty_locations(scan)) > EMPTY:
        of = f"{empty:.0%} of what is said to be acquired" if empty < 1 else "everything that is said to be acquired"
        errors.append(EmptySamples(where, f"{of} exactly zero in every coil", "the receivers' noise at least, or a mask that says it"))
    sides = (found or describe_sampling(scan)).missing_side if "incomplete" in scan.header.doubts else ()
    for axis, side in enumerate(sides):
        if not side:
            continue
        errors.append(BrokenOff(where, f"a file that may end early, and no {side} side of axis {axis}", "a whole measurement"))
    try:
        calibrator.check(scan)
    except BadInput as error:
        errors.append(error)
    return errors


class EmptySamples(BadInput):
    """Samples are said to be acquired and are exactly zero in every coil, which no receiver gives."""


class BrokenOff(BadInput):
    """A scan lacks a side of k-space because its file ends early, and not because of partial Fourier."""


def empty_locations(scan: Scan) -> float:
    """Return the part of acquired lines (points, without a readout) that are exactly zero in every coil: no receiver is that quiet."""
    acquired = (scan.mask & ~scan.padding)[:, :, 0]
    if not acquired.any():
        return 1.0
    empty = (scan.kspace == 0).all(dim=2) & acquired
    if scan.header.encoding.has_readout:
        acquired, empty = acquired.any(dim=-1), (empty | ~acquired).all(dim=-1) & acquired.any(dim=-1)
    return float(empty.sum()) / float(acquired.sum())
