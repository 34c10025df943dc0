"""One scan looked at: how it was sampled, how noisy it is, what is wrong with it, and whether it may train."""

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from ssrecon.calibrate import Calibrator, noise_covariance
from ssrecon.calibrate.noise_level import estimated_covariance
from ssrecon.calibrate.region import centred_region, crop
from ssrecon.calibrate.verdict import SMALLEST_CALIBRATION, empty_locations
from ssrecon.core.errors import BadInput, SsreconError
from ssrecon.core.scan import Header, Scan
from ssrecon.inspect.centre import off_centre
from ssrecon.inspect.channels import CHANNELS
from ssrecon.inspect.data_crimes import DATA_CRIMES
from ssrecon.inspect.duplicates import signature
from ssrecon.inspect.finding import Finding
from ssrecon.inspect.oversampling import oversampled
from ssrecon.inspect.sampling import Sampling, phase_encoded, sampling

VERDICTS = {"note": "train", "warn": "train with a warning", "refuse": "refuse"}
"""By the gravest finding."""
GRAVITY = ("note", "warn", "refuse")
EMPTY = 0.001
"""Part of the locations said to be acquired that may be exactly zero in every coil: readers drop a sample here and there."""


@dataclass(frozen=True)
class Looked:
    """What is known of one scan after looking at it; plain numbers and words, for JSON."""

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
    """The fields of `Sampling`."""
    oversampling: tuple[float, ...] = ()
    """Encoded over reconstructed field of view along each axis, of what is left after the readout's own oversampling was removed."""
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

    @property
    def verdict(self) -> str:
        worst = max((GRAVITY.index(str(finding["severity"])) for finding in self.findings), default=0)
        return VERDICTS[GRAVITY[worst]]


def look(scan: Scan) -> Looked:
    """Everything about one scan. Its memory is a few copies of it in double precision."""
    header, found = scan.header, sampling(scan)
    noise, source, signal = _noise(scan)
    findings = [
        *_detected(scan),
        *_geometry(scan, found, source),
    ]
    lines = phase_encoded((scan.mask & ~scan.padding)[0, :, 0].any(dim=0), header.encoding.has_readout)
    return Looked(
        **_said(header),
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
        signature=signature(scan),
        mask=base64.b64encode(np.packbits(lines.numpy()).tobytes()).decode(),
        mask_shape=tuple(lines.shape),
    )


def unreadable(header: Header, error: SsreconError, reason: str) -> Looked:
    """A scan that could not be read."""
    finite = isinstance(error, BadInput) and "finite" in error.found
    finding = Finding(
        "non_finite" if finite else "unreadable",
        "refuse",
        reason,
        "export it again from the scanner or the archive"
        if finite
        else "export or convert it again; the other scans are not touched by it",
    )
    return Looked(**_said(header), findings=(asdict(finding),))


def _detected(scan: Scan) -> Iterator[Finding]:
    """What the detectors find in the first, the middle and the last frame, each kind once."""
    count = scan.kspace.shape[1]
    found: dict[str, Finding] = {}
    for frame in sorted({0, count // 2, count - 1}):
        here = slice(frame, frame + 1)
        one = replace(scan, kspace=scan.kspace[:, here], mask=scan.mask[:, here], padding=scan.padding[:, here])
        for detect in (*DATA_CRIMES, *CHANNELS, off_centre, oversampled):
            if (finding := detect(one)) is not None:
                found.setdefault(finding.kind, finding)
    yield from found.values()


def _said(header: Header) -> dict[str, Any]:
    names = ("subject", "protocol", "contrast", "vendor", "site", "scanner", "field_strength")
    return {"scan": header.scan_id, "volume": header.volume_id, **{name: getattr(header, name) for name in names}}


def _noise(scan: Scan) -> tuple[float | None, str, float | None]:
    """Noise level, where it is known from, and the power of a sample of the calibration region."""
    mask = (scan.mask & ~scan.padding)[0, 0, 0]
    region = centred_region(mask, Calibrator().width)
    data = crop(scan.kspace[:, :1], region) if min(region) > 0 else None
    signal = float(data.abs().double().square().mean()) if data is not None else None
    covariance: Tensor | None = None
    source = "unknown"
    try:
        if scan.noise is not None:
            covariance, source = noise_covariance(scan.noise, scan.noise_bandwidth_ratio, scan.scan_id), "noise scan"
        elif data is not None and min(region) >= SMALLEST_CALIBRATION:
            covariance = estimated_covariance(data[0])
            source = "calibration region" if covariance is not None else "unknown"
    except SsreconError:
        covariance, source = None, "unknown"
    if covariance is None:
        return None, source, signal
    return math.sqrt(float(covariance.diagonal().real.mean())), source, signal


def _geometry(scan: Scan, found: Sampling, noise: str) -> Iterator[Finding]:
    """What the sampling allows and what it does not."""
    sides = found.calibration[:-1] if scan.header.encoding.has_readout else found.calibration
    narrowest, coils = min(sides, default=0), scan.kspace.shape[2]
    smallest = Calibrator().smallest
    if scan.csm is None and narrowest < smallest:
        yield Finding(
            "no_calibration",
            "refuse",
            f"the fully sampled region about the centre is {' x '.join(map(str, found.calibration))}: {smallest} lines are needed",
            "add a separate calibration measurement, or sensitivities of your own (docs/plain_hdf5.md)",
            {"lines": float(narrowest)},
        )
    if (empty := empty_locations(scan)) > EMPTY:
        yield Finding(
            "wrong_mask",
            "refuse",
            f"{empty:.0%} of what is said to be acquired is exactly zero in every coil, which no receiver gives",
            "give the mask of what was acquired; a loss on these samples would teach zeros",
            {"empty": empty},
        )
    for axis, (part, side) in enumerate(zip(found.partial_fourier, found.missing_side, strict=True)):
        if side:
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
    elif found.acceleration > coils:
        yield Finding(
            "acceleration",
            "warn",
            f"{found.acceleration:.1f} times undersampled with {coils} coils",
            "train with scans of lower acceleration beside it",
            {"acceleration": found.acceleration},
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


def acquired_lines(looked: Looked) -> np.ndarray:
    """The mask of a record, unpacked."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(looked.mask), np.uint8), count=math.prod(looked.mask_shape))
    return bits.reshape(looked.mask_shape).astype(bool)
