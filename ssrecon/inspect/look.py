"""The look at one scan: how it was sampled, how noisy it is, what is wrong with it, and whether it may train."""

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssrecon.calibrate import Calibrator, noise_covariance
from ssrecon.calibrate.noise_level import estimated_covariance
from ssrecon.calibrate.verdict import BrokenOff, EmptySamples, empty_locations, unfit
from ssrecon.core.errors import BadInput, NoCalibration, SsreconError
from ssrecon.core.scan import Header, Scan
from ssrecon.core.window import crop
from ssrecon.inspect.centre import off_centre
from ssrecon.inspect.channels import CHANNELS
from ssrecon.inspect.data_crimes import DATA_CRIMES
from ssrecon.inspect.duplicates import signature
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.oversampling import oversampled
from ssrecon.inspect.picture import picture
from ssrecon.sampling.centre import centred_region
from ssrecon.sampling.describe import SamplingDescription, describe_sampling, phase_encoded, protocol_key, read_description

VERDICTS = {"note": "train", "warn": "train with a warning", "refuse": "refuse"}
"""By the gravest finding."""
GRAVITY = ("note", "warn", "refuse")


@dataclass(frozen=True)
class ScanReport:
    """This report holds what the audit knows of one scan, in plain numbers and words, for JSON."""

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


def look(scan: Scan, calibrator: Calibrator = Calibrator()) -> ScanReport:  # noqa: B008 - frozen
    """Report everything about one scan, which `calibrator` is to calibrate. It takes the memory of a few copies in double precision."""
    header, found = scan.header, describe_sampling(scan)
    silent = not bool(torch.where(scan.mask & ~scan.padding, scan.kspace, 0).any())
    noise, source, signal = (None, "unknown", None) if silent else _noise_and_signal(scan, calibrator)
    # Of a scan that is zero throughout nothing more can be told, and nothing has to be.
    findings = [*_unfit_findings(scan, calibrator, found), *_doubt_findings(header)]
    findings += [] if silent else [*_detected_findings(scan), *_sampling_findings(scan, found, source)]
    lines = phase_encoded((scan.mask & ~scan.padding)[0, :, 0].any(dim=0), header.encoding.has_readout)
    return ScanReport(
        **_header_fields(header),
        matrix=tuple(scan.kspace.shape[3:]),
        coils=scan.kspace.shape[2],
        frames=scan.kspace.shape[1],
        readout=header.encoding.has_readout,
        sampling=asdict(found),
        oversampling=tuple(round(e / r, 4) for e, r in zip(header.encoded_fov, header.recon_fov, strict=False) if r > 0),
        noise_std=noise,
        noise_source=source,
        snr_db=10 * math.log10(max(signal / noise**2 - 1, 1e-3)) if noise and signal else None,
        findings=tuple(asdict(finding) for finding in findings),
        signature=() if silent else signature(scan),
        mask=base64.b64encode(np.packbits(lines.numpy()).tobytes()).decode(),
        mask_shape=tuple(lines.shape),
        picture=picture(scan),
    )


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
    return ScanReport(**_header_fields(header), findings=(asdict(finding),))


def _detected_findings(scan: Scan) -> Iterator[Finding]:
    """Yield what the detectors find in the first, the middle and the last frame, each kind once."""
    count = scan.kspace.shape[1]
    found: dict[str, Finding] = {}
    for frame in sorted({0, count // 2, count - 1}):
        here = slice(frame, frame + 1)
        one = replace(scan, kspace=scan.kspace[:, here], mask=scan.mask[:, here], padding=scan.padding[:, here])
        for detect in (*DATA_CRIMES, *CHANNELS, off_centre, oversampled):
            if (finding := detect(one)) is not None:
                found.setdefault(finding.kind, finding)
    yield from found.values()


def _header_fields(header: Header) -> dict[str, Any]:
    names = ("subject", "protocol", "contrast", "vendor", "site", "scanner", "field_strength")
    notes = {key: str(text) for key, text in header.notes.items()}
    return {"scan": header.scan_id, "volume": header.volume_id, "notes": notes, **{name: getattr(header, name) for name in names}}


def _noise_and_signal(scan: Scan, calibrator: Calibrator) -> tuple[float | None, str, float | None]:
    """Return the noise level, where it is known from, and the power of a sample of the calibration region."""
    mask = (scan.mask & ~scan.padding)[0, 0, 0]
    region = centred_region(mask, calibrator.width)
    data = crop(scan.kspace[:, :1], region) if min(region) > 0 else None
    signal = float(data.abs().double().square().mean()) if data is not None else None
    covariance: Tensor | None = None
    source = "unknown"
    try:
        if scan.noise is not None:
            covariance, source = noise_covariance(scan.noise, scan.noise_bandwidth_ratio, scan.scan_id), "noise scan"
        elif data is not None and min(region) >= calibrator.kernel + 2:
            covariance = estimated_covariance(data[0])
            source = "calibration region" if covariance is not None else "unknown"
    except SsreconError:
        covariance, source = None, "unknown"
    if covariance is None:
        return None, source, signal
    return math.sqrt(float(covariance.diagonal().real.mean())), source, signal


def _unfit_findings(scan: Scan, calibrator: Calibrator, found: SamplingDescription) -> Iterator[Finding]:
    """Yield the reasons of the verdict (`ssrecon.calibrate.verdict.unfit`), each with its remedy."""
    for error in unfit(scan, calibrator, found):
        kind, remedy, measured = "unfit", "export it again from the scanner or the archive", {}
        if isinstance(error, NoCalibration):
            kind, remedy = "no_calibration", "add a separate calibration measurement, or sensitivities of your own (docs/plain_hdf5.md)"
            sides = found.calibration[:-1] if scan.header.encoding.has_readout else found.calibration
            measured = {"lines": float(min(sides, default=0))}
        elif isinstance(error, EmptySamples):
            kind, measured = "wrong_mask", {"empty": empty_locations(scan)}
            remedy = "give the mask of what was acquired, or leave the scan out: a loss on these samples would teach zeros"
        elif isinstance(error, BrokenOff):
            kind, remedy = "broken_off", "copy or export the measurement again, whole"
            measured = {"part": min(found.partial_fourier)}
        yield Finding(kind, "refuse", f"found {error.found}; expected {error.expected}", remedy, measured)


def _doubt_findings(header: Header) -> Iterator[Finding]:
    """Yield what the reader doubts of the file (`Header.doubts`)."""
    if "incomplete" in header.doubts:
        yield Finding("may_be_incomplete", "warn", header.doubts["incomplete"], "compare its size and lines with the scanner's own")
    if "no header" in header.doubts:
        remedy = "check oversampling and the field of view, or export with the header"
        yield Finding("no_header", "warn", f"header {header.doubts['no header']}", remedy)


def _sampling_findings(scan: Scan, found: SamplingDescription, noise: str) -> Iterator[Finding]:
    """Yield what follows from how the scan was sampled."""
    coils, whole = scan.kspace.shape[2], "incomplete" not in scan.header.doubts
    for axis, (part, side) in enumerate(zip(found.partial_fourier, found.missing_side, strict=True)):
        if side and whole:
            yield Finding(
                "partial_fourier",
                "warn",
                f"the {side} side of axis {axis} was left out ({part:.0%} of its extent acquired)",
                "train; nothing teaches that side but the image's smooth phase, and figures hold on the encoded support",
                {"part": part},
            )
    if found.pattern == "full":
        yield Finding("full", "note", "everything was acquired", "may train supervised too, and be undersampled in retrospect")
    elif coils == 1 and found.pattern == "lattice":
        yield Finding(
            "single_coil_lattice",
            "refuse",
            "one coil and a regular lattice: what the lattice folds together nothing can tell apart",
            "random columns, or more coils",
        )
    if found.elliptical:
        yield Finding("elliptical_shutter", "note", "the corners of k-space were left out", "the encoded support is an ellipse")
    if any(found.padding):
        yield Finding("padding", "note", "the matrix is larger than what was encoded", "it counts as neither acquired nor missing")
    if noise == "unknown":
        yield Finding(
            "noise_unknown",
            "warn",
            "no noise readouts, and a calibration region too small to tell noise from signal",
            "train; Gamma is then not in units of the noise, and noise-aware objectives are out",
        )


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
