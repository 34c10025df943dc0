"""The record of what the audit knows of one scan, and what is told from it."""

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ssrecon.core.errors import BadInput, SsreconError
from ssrecon.core.scan import Header
from ssrecon.inspect.finding import Finding
from ssrecon.sampling.describe import SamplingDescription, protocol_key, read_description

VERDICTS = {"note": "train", "warn": "train with a warning", "refuse": "refuse"}
"""By the gravest finding."""
GRAVITY = ("note", "warn", "refuse")


@dataclass(frozen=True)
class ScanReport:
    """A report holds what the audit knows of one scan, in plain numbers and words, for JSON."""

    scan: str
    volume: str
    subject: str
    protocol: str = ""
    contrast: str = ""
    vendor: str = ""
    site: str = ""
    scanner: str = ""
    field_strength: float | None = None
    matrix: tuple[int, ...] = ()
    coils: int = 0
    connected: int = 0
    """Coils that are connected (`ssrecon.calibrate.Calibrator.connected`); preparation leaves the others of `coils` out."""
    frames: int = 0
    readout: bool = True
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """The fields of `SamplingDescription`, its acceleration on the union of the locations that the protocol acquired."""
    oversampling: tuple[float, ...] = ()
    """The encoded field of view over the reconstructed one, along each axis, after the readout's own oversampling was removed."""
    noise_std: float | None = None
    """Root mean square over coils of the noise of one acquired sample, in the file's units."""
    noise_source: str = "unknown"
    snr_db: float | None = None
    """10 log10 of signal over noise power of a sample, the mean over the calibration region and the coils."""
    findings: tuple[Mapping[str, Any], ...] = ()
    """The fields of `Finding`."""
    signature: tuple[float, ...] = ()
    mask: str = ""
    """The phase-encoded locations that were acquired in any frame, packed in bits, base64."""
    mask_shape: tuple[int, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    """What the reader noted."""
    picture: str = ""
    """A small PNG in base64 (`ssrecon.inspect.picture`); of few scans of a volume."""

    @property
    def verdict(self) -> str:
        worst = max((GRAVITY.index(str(finding["severity"])) for finding in self.findings), default=0)
        return VERDICTS[GRAVITY[worst]]


def header_fields(header: Header) -> dict[str, Any]:
    """Return the fields of a report that repeat what a header says."""
    names = ("subject", "protocol", "contrast", "vendor", "site", "scanner", "field_strength")
    notes = {key: str(text) for key, text in header.notes.items()}
    return {"scan": header.scan_id, "volume": header.volume_id, "notes": notes, **{name: getattr(header, name) for name in names}}


def unreadable(header: Header, error: SsreconError, reason: str) -> ScanReport:
    """Report a scan that could not be read."""
    finite = isinstance(error, BadInput) and "finite" in error.found
    finding = Finding(
        "non_finite" if finite else "unreadable",
        "refuse",
        reason,
        "export it again from the scanner or the archive"
        if finite
        else "export or convert it again; the other scans are not touched by it",
    )
    return ScanReport(**header_fields(header), findings=(asdict(finding),))


def acquired_lines(report: ScanReport) -> np.ndarray:
    """Return the mask of a record, unpacked."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(report.mask), np.uint8), count=math.prod(report.mask_shape))
    return bits.reshape(report.mask_shape).astype(bool)


def description_of(report: ScanReport) -> SamplingDescription:
    """Return the sampling of a record as a `SamplingDescription`."""
    return read_description(report.sampling)


def group_key(report: ScanReport) -> tuple[Any, ...]:
    """Return what scans share that are shown as one group."""
    found = description_of(report) if report.sampling else None
    # A distance between lines that is no whole number comes out a little different in each scan.
    sampled = (found.family, *(round(step) for step in found.step)) if found else ()
    return *protocol_key(report, report.matrix), report.coils, sampled, report.noise_source


def with_sampling(report: ScanReport, found: SamplingDescription) -> ScanReport:
    """Return the record with its sampling as the protocol shows it; it is warned of where that is more undersampled than it has coils."""
    findings = report.findings
    lattice = any(finding["kind"] == "single_coil_lattice" for finding in findings)
    if found.acceleration > report.coils and found.pattern != "full" and not lattice:
        warning = Finding(
            "acceleration",
            "warn",
            f"{found.acceleration:.1f} times undersampled with {report.coils} coils",
            "train with scans of lower acceleration beside it",
            {"acceleration": found.acceleration},
        )
        findings = (*findings, asdict(warning))
    return replace(report, sampling=asdict(found), findings=findings)
