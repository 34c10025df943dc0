"""The records everything else reads, and the one place that says what an axis is.

=================  =============================  ==========================================================================
k-space            ``batch frames coils *k``      centred (DC at ``N // 2``), orthonormal; zero where it was not acquired
mask (Omega)       ``batch frames 1 *k``          bool, True where acquired
padding            ``batch frames 1 *k``          bool, True where the scanner filled in zeros: known, never measured
csm                ``batch maps coils *x``        coil sensitivity maps, unit norm over the coils inside the object
image              ``batch frames maps *x``       shown as the root sum of squares over the maps
=================  =============================  ==========================================================================

``*k`` is ``ky kx`` or ``kz ky kx``, the readout always last; a hybrid slice of a 3-D Cartesian scan is ``kz ky`` and has no readout
axis (its `Header.encoding` is a `HybridSlice`). Complex data is complex64.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float, Shaped
from torch import Tensor

from ssrecon.core.connected import connected_coils, heard_coils
from ssrecon.core.encoding import Encoding, HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.origin import Origin
from ssrecon.core.shapes import checked
from ssrecon.core.window import crop

Numbers = float | tuple[float, ...] | None
"""One number, several (of echoes, in their order), or None where nothing is known."""


@dataclass(frozen=True)
class Header:
    """A header holds what is known of a scan besides its samples.

    Matrices and fields of view are in the order of ``*k``: ``(z, y, x)``, readout last.
    """

    scan_id: str
    """Unique in its archive: the unit that is split and trained on."""
    volume_id: str
    """Scans of one volume share their scale and, by default, their retrospective mask."""
    subject: str
    """A pseudonym. Archives are divided, and statistics are made, by subject."""
    slice: int = 0
    protocol: str = ""
    contrast: str = ""
    vendor: str = ""
    site: str = ""
    """A pseudonym of the institution, or the data set's own name for it."""
    scanner: str = ""
    """A pseudonym of the device, or its model."""
    field_strength: float | None = None
    """In tesla."""
    echo_time: Numbers = None
    """In milliseconds; a tuple of them where there are several echoes."""
    repetition_time: Numbers = None
    """In milliseconds."""
    inversion_time: Numbers = None
    """In milliseconds."""
    flip_angle: Numbers = None
    """In degrees."""
    encoded_matrix: tuple[int, ...] = ()
    recon_matrix: tuple[int, ...] = ()
    encoded_fov: tuple[float, ...] = ()
    """In millimetres."""
    recon_fov: tuple[float, ...] = ()
    """In millimetres."""
    geometry: Geometry = Geometry()
    """Where the image of `encoded_matrix` pixels lies in the patient, and along which direction each of its axes runs."""
    encoding: Encoding = WholeLines()
    """How the samples lie in k-space; the reader decides it from the samples."""
    acceleration: float | None = None
    """Locations of the encoded support over locations acquired, of the scan as it trains; None before it was prepared."""
    content: str = ""
    """A digest of the volume's files, the same on any machine and under any name; empty before it was prepared."""
    draw_key: str = field(default="", compare=False, repr=False)
    """What random draws of this scan are keyed by: the digest of its volume's files and its place in the volume, ``DIGEST/0000``. Empty
    where they are keyed by the ids: of scans that are made, and in stores that an earlier version has prepared."""
    origin: Origin = Origin.MEASURED
    volume_max: float | None = None
    """fastMRI's ``max`` attribute: the largest value of the reference volume in the file's own units."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What a reader found worth telling: warnings, derived values."""
    doubts: Mapping[str, str] = field(default_factory=dict)
    """What speaks against the file itself: fixed words, which weigh in the verdict, each with how it shows. ``incomplete``: the file may
    end early. ``no header``: fields of view, oversampling and padding are unknown."""

    @property
    def scan_key(self) -> str:
        """This is the name of the scan to `Draw.generator`, whatever its file and its subject are called."""
        return self.draw_key or self.scan_id

    @property
    def volume_key(self) -> str:
        """This is the name of the scan's volume to `Draw.generator`, whatever its file is called."""
        return self.draw_key.rpartition("/")[0] or self.volume_id

    @property
    def timing(self) -> dict[str, Numbers]:
        """Times and flip angle by their names, unknown ones too."""
        return {name: getattr(self, name) for name in ("echo_time", "repetition_time", "inversion_time", "flip_angle")}

    def shown_matrix(self, matrix: Sequence[int]) -> tuple[int, ...]:
        r"""Return how many pixels of an image of `matrix` pixels are shown: those in the reconstruction *field of view*, at most all.

        They are :math:`\mathrm{round}(N\, \mathrm{FOV_{recon}} / \mathrm{FOV_{encoded}})` along each axis: what the scanner oversampled is
        cut, what it interpolated (`recon_matrix`) is not undone. Where a field of view is not known, the reconstruction matrix stands in
        for it.
        """
        dims = len(matrix)

        def of_image_axes(sizes: tuple[Any, ...]) -> tuple[Any, ...]:
            # A header may tell of a partition axis that a slice has not got, or of a hybrid slice's readout.
            sides = sizes[:dims] if isinstance(self.encoding, HybridSlice) else sizes[-dims:]
            return sides if len(sides) == dims else (0,) * dims

        sizes = map(of_image_axes, (self.recon_fov, self.encoded_fov, self.recon_matrix))
        kept = []
        for pixels, fov, encoded, recon in zip(matrix, *sizes, strict=True):
            inside = round(pixels * fov / encoded) if fov > 0 and encoded > 0 else recon
            kept.append(min(max(inside, 1), pixels) if inside else pixels)
        return tuple(kept)

    @checked
    def shown(self, image: Shaped[Tensor, "*axes"], dims: int) -> Shaped[Tensor, "*shown"]:
        """Cut the last `dims` axes to `shown_matrix` about pixel ``N // 2``, where the centre of the object is. Nothing is padded."""
        return crop(image, self.shown_matrix(image.shape[-dims:]))


@checked
@dataclass(frozen=True)
class Calibration:
    """Calibration lines were acquired apart from the image: they may give csm, and are never in Omega."""

    kspace: Complex[Tensor, "1 1 coils *k"]
    mask: Bool[Tensor, "1 1 1 *k"]


@checked
@dataclass(frozen=True)
class Scan:
    """A scan is as its file holds it: not whitened, not scaled, in the receiver's own units."""

    header: Header
    kspace: Complex[Tensor, "1 frames coils *k"]
    mask: Bool[Tensor, "1 frames 1 *k"]
    padding: Bool[Tensor, "1 frames 1 *k"]
    noise: Complex[Tensor, "readouts coils samples"] | None = None
    """Noise readouts: the receivers with no signal."""
    noise_bandwidth_ratio: float = 1.0
    """Variance of the noise in k-space over the variance in `noise`: corrects for another dwell time or receiver bandwidth."""
    calibration: Calibration | None = None
    csm: Complex[Tensor, "1 maps coils *x"] | None = None
    """Sensitivity maps that the user brought; then none are estimated."""
    reference: Complex[Tensor, "1 frames coils *k"] | None = None
    """The fully sampled k-space that this scan was undersampled from, where there is one."""
    reference_mask: Bool[Tensor, "1 frames 1 *k"] | None = None
    """What of `reference` was acquired; None: all but the padding. The full scan may have partial Fourier too."""
    truth: Complex[Tensor, "1 frames coils *k"] | None = None
    """The same without noise: only simulations have it."""

    def to(self, device: torch.device | str) -> "Scan":
        """Return the same scan on another device."""
        if torch.device(device) == self.kspace.device:
            return self
        moved: dict[str, Any] = {f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        if self.calibration is not None:
            moved["calibration"] = Calibration(self.calibration.kspace.to(device), self.calibration.mask.to(device))
        return replace(self, **moved)

    @property
    def scan_id(self) -> str:
        return self.header.scan_id

    @property
    def volume_id(self) -> str:
        return self.header.volume_id

    @property
    def subject(self) -> str:
        return self.header.subject


@checked
@dataclass(frozen=True)
class CalibratedScan:
    """What networks and objectives see: a batch of scans of one shape, whitened, scaled and with coil sensitivities."""

    headers: tuple[Header, ...]
    kspace: Complex[Tensor, "batch frames coils *k"]
    mask: Bool[Tensor, "batch frames 1 *k"]
    padding: Bool[Tensor, "batch frames 1 *k"]
    csm: Complex[Tensor, "batch maps coils *x"]
    calibration: Bool[Tensor, "batch 1 1 *k"]
    """The region that csm and scale came from; all False where it was a separate measurement."""
    scale: Float[Tensor, " batch"]
    """Divide by it to go from the scan's whitened units to these; one number a volume."""
    noise_std: Float[Tensor, " batch"] | None = None
    """sqrt(E|n|^2) of one complex sample, in these units; None where unknown."""
    noise_source: str = "unknown"
    """``noise scan``, ``calibration matrix``, ``given`` or ``unknown``; ``mixed`` in a batch where they differ."""

    @staticmethod
    def white(scan: Scan, noise_std: float | None = None) -> "CalibratedScan":
        """Return a scan that needs no calibration: it has sensitivities, and its noise is white.

        `noise_std` is sqrt(E|n|^2) of a complex sample in the scan's own units (None where it is not known). k-space keeps these units;
        csm is brought to unit norm over the coils. Coils that are not connected (`ssrecon.core.connected`) are left out: their zeros are no
        noise of that level. Raises BadInput where the scan has no csm, `noise_std` is not positive or no coil is connected.
        """
        if scan.csm is None:
            raise BadInput(scan.scan_id, found="no coil sensitivities", expected="Scan.csm, or a Calibrator, which estimates them")
        if noise_std is not None and not 0 < noise_std < float("inf"):
            raise BadInput(scan.scan_id, found=f"a noise level of {noise_std}", expected="a positive number, or None where it is unknown")
        mask = scan.mask & ~scan.padding
        connected, _ = connected_coils([scan.scan_id], [heard_coils(scan.kspace, mask, scan.noise, scan.noise_bandwidth_ratio)])
        kept = connected.nonzero().flatten().to(mask.device)
        csm = scan.csm.index_select(2, kept)
        norm = torch.linalg.vector_norm(csm, dim=2, keepdim=True)
        level = None if noise_std is None else torch.tensor([noise_std], device=mask.device)
        return CalibratedScan(
            headers=(scan.header,),
            kspace=torch.where(mask, scan.kspace.index_select(2, kept), 0),
            mask=mask,
            padding=scan.padding,
            csm=torch.where(norm > 0, csm / norm, 0),
            calibration=torch.zeros_like(mask[:, :1]),
            scale=torch.ones(1, device=mask.device) if level is None else 1 / level,
            noise_std=level,
            noise_source="unknown" if level is None else "given",
        )

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(header.scan_id for header in self.headers)

    @property
    def keys(self) -> tuple[str, ...]:
        """These are the names of the scans to `Draw.generator`."""
        return tuple(header.scan_key for header in self.headers)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(frames, coils, maps, *k)``: scans are batched where this agrees."""
        return (self.kspace.shape[1], self.kspace.shape[2], self.csm.shape[1], *self.kspace.shape[3:])

    @property
    def dims(self) -> int:
        """This is the number of axes of ``*k``."""
        return self.kspace.ndim - 3

    @checked
    def on(self, mask: Bool[Tensor, "batch frames 1 *k"]) -> "CalibratedScan":
        """Return the same scan as if only the samples of `mask` had been acquired; everything else is dropped, be it NaN."""
        kept = self.mask & mask
        return replace(self, mask=kept, kspace=torch.where(kept, self.kspace, 0))

    def with_csm_of(self, estimate: "Estimate") -> "CalibratedScan":
        """Return the same scan with the sensitivities that belong to an image, where its method estimated its own."""
        return self if estimate.csm is None else replace(self, csm=estimate.csm)

    def to(self, device: torch.device | str) -> "CalibratedScan":
        moved: dict[str, Any] = {
            f.name: value.to(device, non_blocking=True) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)

    def __getitem__(self, index: int) -> "CalibratedScan":
        """Return one scan of the batch, as a batch of one."""
        part: dict[str, Any] = {
            f.name: value[index : index + 1] for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, headers=self.headers[index : index + 1], **part)

    @staticmethod
    def batch(scans: Sequence["CalibratedScan"]) -> "CalibratedScan":
        """Return several scans of one shape as one batch. Raises ValueError where shapes or known noise levels differ."""
        first = scans[0]
        for scan in scans[1:]:
            if scan.shape != first.shape or (scan.noise_std is None) != (first.noise_std is None):
                raise ValueError(f"scans {first.ids} {first.shape} and {scan.ids} {scan.shape} do not fit into one batch")
        joined = {
            f.name: torch.cat([getattr(scan, f.name) for scan in scans])
            for f in fields(first)
            if isinstance(getattr(first, f.name), Tensor)
        }
        sources = {scan.noise_source for scan in scans}
        return replace(
            first,
            headers=sum((scan.headers for scan in scans), ()),
            noise_source=first.noise_source if len(sources) == 1 else "mixed",
            **joined,
        )


@checked
@dataclass(frozen=True)
class Estimate:
    """An estimate is what a network or a baseline returns."""

    image: Complex[Tensor, "batch frames maps *x"]
    uncertainty: Float[Tensor, "batch frames maps *x"] | None = None
    csm: Complex[Tensor, "batch maps coils *x"] | None = None
    """The sensitivities that belong to `image`, where the method estimated its own."""
    kspace_std: Float[Tensor, "batch frames 1 *k"] | None = None
    """How wrong the predicted k-space is expected to be, sqrt(E|e|^2) of a sample without the noise of its measurement."""

    @property
    def magnitude(self) -> Float[Tensor, "batch frames *x"]:
        """This is the root sum of squares over the maps, which is shown and scored."""
        return torch.linalg.vector_norm(self.image, dim=2)


Network = Callable[[CalibratedScan], Estimate]
"""Whatever reconstructs: a trained network, a baseline, a function. Its batch is that of the scan."""


@checked
@dataclass(frozen=True)
class Prepared:
    """What a store keeps of one scan: what training sees, and, apart from it, what only supervised training and scoring may see."""

    scan: CalibratedScan
    reference: CalibratedScan | None = None
    """The fully sampled k-space through the *undersampled* scan's own whitening, compression, scale and csm; its mask is what was
    acquired.
    """
    truth: Complex[Tensor, "1 frames maps *x"] | None = None
    """The noiseless coil-combined image in the same units: simulations only."""
