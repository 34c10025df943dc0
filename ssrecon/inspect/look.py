"""The look at one scan: how it was sampled, how noisy it is, what is wrong with it, and whether it may train."""

import base64
import math
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import torch
from torch import Tensor

from ssrecon.calibrate import Calibrator, noise_covariance, unfit
from ssrecon.calibrate.noise_level import estimated_covariance
from ssrecon.calibrate.verdict import BrokenOff, EmptySamples, empty_locations
from ssrecon.core.errors import NoCalibration, SsreconError
from ssrecon.core.scan import Header, Scan
from ssrecon.core.window import crop
from ssrecon.inspect.centre import off_centre
from ssrecon.inspect.channels import CHANNELS
from ssrecon.inspect.data_crimes import DATA_CRIMES
from ssrecon.inspect.duplicates import signature
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.oversampling import oversampled
from ssrecon.inspect.picture import picture
from ssrecon.inspect.scan_report import ScanReport, header_fields
from ssrecon.sampling.centre import centred_region
from ssrecon.sampling.describe import SamplingDescription, describe_sampling, phase_encoded


def look(scan: Scan, calibrator: Calibrator = Calibrator()) -> ScanReport:  # noqa: B008 - frozen
    """Report everything about one scan, which `calibrator` is to calibrate. It takes the memory of a few copies in double precision."""
    header, found = scan.header, describe_sampling(scan)
    silent = not bool(torch.where(scan.mask & ~scan.padding, scan.kspace, 0).any())
    connected = calibrator.connected(scan)
    noise, source, signal = (None, "unknown", None) if silent else _noise_and_signal(scan, calibrator, connected)
    # Of a scan that is zero throughout nothing more can be told, and nothing has to be.
    findings = [*_unfit_findings(scan, calibrator, found), *_doubt_findings(header)]
    findings += [] if silent else [*_detected_findings(scan), *_sampling_findings(scan, found, source)]
    lines = phase_encoded((scan.mask & ~scan.padding)[0, :, 0].any(dim=0), header.encoding.has_readout)
    return ScanReport(
        **header_fields(header),
        matrix=tuple(scan.kspace.shape[3:]),
        coils=scan.kspace.shape[2],
        connected=int(connected.sum()),
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


def _noise_and_signal(scan: Scan, calibrator: Calibrator, connected: Tensor) -> tuple[float | None, str, float | None]:
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
            covariance = estimated_covariance(data[0] * connected.reshape(-1, *[1] * (data.ndim - 3)))
            source = "calibration matrix" if covariance is not None else "unknown"
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
    if noise == "unknown" and scan.noise is None:
        yield Finding(
            "noise_unknown",
            "warn",
            "no noise readouts, and a calibration region too small to tell noise from signal",
            "train; Gamma is then not in units of the noise, and noise-aware objectives are out",
        )
