"""The phantom archive is an endless cohort of made-up heads, the data that come with the package."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ssrecon.archive.base import Archive
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.origin import Origin
from ssrecon.core.scan import Header, Scan
from ssrecon.simulation.phantom.acquisition import correlated, encode, magnetisation, phase, white_matter_snr
from ssrecon.simulation.phantom.anatomy import Slice, anatomy
from ssrecon.simulation.phantom.coils import CoilArray
from ssrecon.simulation.phantom.contrast import FIELD_STRENGTH, TISSUES, Contrast, T1Weighted
from ssrecon.simulation.phantom.fields import Canvas, Fields
from ssrecon.simulation.phantom.head import Head

NOISE_READOUTS = 128
NOISE_SAMPLES = 256
LOWEST, HIGHEST = -4.0, 46.0
"""Heights of the first and the last slice above the middle of the third ventricle, in millimetres."""

THICKNESS = 5.0
"""Millimetres that headers tell of a slice, which is drawn as a plane."""


@dataclass(frozen=True)
class PhantomArchive(Archive):
    """The archive makes fully sampled multi-coil scans of random heads when they are read: nothing is stored or downloaded.

    Every subject has their own anatomy and relaxation times, every volume (a subject in a contrast) its own phase and receiver gain; the
    coil array is one for the archive, as it is for a scanner. A scan is a pure function of these fields and its name. It is drawn on a
    grid finer than it is encoded, and has correlated noise, a noise scan, and its noiseless k-space as `truth`.

    Raises BadInput where a number is out of range, two contrasts share a name, or a scan is asked for that does not exist.
    """

    subjects: int = 8
    slices: int = 4
    """Per volume, between the third ventricle and the top of the brain."""
    matrix: tuple[int, int] = (256, 256)
    """Encoded ``(ky, kx)``."""
    coils: int = 8
    contrasts: tuple[Contrast, ...] = (T1Weighted(),)
    noise: float = 1 / 30
    """sqrt(E|n|^2) of the optimally combined, fully sampled image relative to white matter in the middle of the brain, per contrast."""
    seed: int = 0
    fov: tuple[float, float] = (236.0, 236.0)
    """The field of view in millimetres, ``(y, x)``."""
    oversampling: int = 2
    """How many times finer, in each direction, the head is drawn than it is encoded."""
    fat_shift: float = 1.0
    """Displacement of fat along the readout, in encoded pixels: 3.4 ppm over the bandwidth of a pixel."""
    noise_bandwidth_ratio: float = 1.0
    """Variance of the noise in k-space over that in the noise scan."""
    repetitions: int = 1
    """Of every scan, as frames: the same object and independent noise, as in M4Raw."""

    def __post_init__(self) -> None:
        for name, least in (("subjects", 1), ("slices", 1), ("coils", 1), ("oversampling", 2), ("repetitions", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"PhantomArchive.{name}", found=str(getattr(self, name)), expected=f"{least} or more")
        if min(self.matrix) < 16 or self.noise < 0 or min(self.fov) <= 0 or self.noise_bandwidth_ratio <= 0:
            found = f"matrix={self.matrix}, noise={self.noise}, fov={self.fov}, noise_bandwidth_ratio={self.noise_bandwidth_ratio}"
            raise BadInput("PhantomArchive", found=found, expected="a matrix of at least 16x16, noise not negative, fov and ratio positive")
        names = [contrast.name for contrast in self.contrasts]
        if not names or len(set(names)) < len(names):
            raise BadInput("PhantomArchive.contrasts", found=", ".join(names) or "none", expected="at least one, each with its own name")

    from_files: ClassVar[bool] = False

    @property
    def path(self) -> Path:  # type: ignore[override]
        """The path is a name rather than a place."""
        return Path(f"phantom-seed-{self.seed}")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return False: no file holds a phantom archive. What `ssrecon simulate` writes is in fastMRI's layout."""
        return False

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(
            self._header(subject, contrast, index)
            for subject in range(self.subjects)
            for contrast in self.contrasts
            for index in range(self.slices)
        )

    def read(self, scan_id: str) -> Scan:
        header = self.listed(scan_id)
        contrast = next(it for it in self.contrasts if it.name == header.contrast)
        draw = Draw(self.seed)
        coils, gain = CoilArray.drawn(draw, self.coils), self._receiver_gain(header.volume_id)
        truth = self._truth(header, contrast, coils) * gain
        kspace, readouts = truth.expand(self.repetitions, *truth.shape), None
        if self.noise > 0:
            covariance = coils.covariance()
            covariance = covariance * (self.noise * white_matter_snr(coils, covariance, contrast.of("white")) * gain) ** 2
            purposes = ["phantom noise", *(f"phantom noise {number}" for number in range(1, self.repetitions))]
            kspace = kspace + torch.stack([correlated(draw.generator(purpose, scan_id), covariance, self.matrix) for purpose in purposes])
            generator = draw.generator("phantom noise scan", header.volume_id)
            readouts = correlated(generator, covariance / self.noise_bandwidth_ratio, (NOISE_READOUTS, NOISE_SAMPLES)).transpose(0, 1)
        full = torch.ones(1, self.repetitions, 1, *self.matrix, dtype=torch.bool)
        return Scan(
            header=header,
            kspace=kspace[None].contiguous(),
            mask=full,
            padding=torch.zeros_like(full),
            noise=None if readouts is None else readouts.contiguous(),
            noise_bandwidth_ratio=self.noise_bandwidth_ratio,
            truth=truth.expand(self.repetitions, *truth.shape)[None].contiguous(),
        )

    def tissues(self, scan_id: str) -> Slice:
        """Return the layers of tissue that a scan was made from, on the fine grid: what is really there, for figures and tests."""
        header = self.listed(scan_id)
        draw = Draw(self.seed)
        head, fields = Head.drawn(draw, header.subject, len(TISSUES)), Fields(draw, header.subject)
        return anatomy(head, fields, self._canvas, self._height(header))

    def _truth(self, header: Header, contrast: Contrast, coils: CoilArray) -> Tensor:
        draw, z = Draw(self.seed), self._height(header)
        head, fields = Head.drawn(draw, header.subject, len(TISSUES)), Fields(draw, header.subject)
        slice_ = anatomy(head, fields, self._canvas, z)
        signal = magnetisation(slice_, head, contrast, round(self.fat_shift * self.oversampling))
        image = torch.polar(torch.ones_like(signal), phase(head, fields, self._canvas, z, contrast.name)) * signal
        return encode(image, coils.maps(self._canvas, z), self.matrix)

    @property
    def _canvas(self) -> Canvas:
        return Canvas((self.matrix[0] * self.oversampling, self.matrix[1] * self.oversampling), self.fov)

    def _height(self, header: Header) -> float:
        """Return the height of an evenly spaced slice.

        The stack lies a little differently in each subject, as in people who are scanned.
        """
        generator = Draw(self.seed).generator("phantom stack", header.subject)
        if self.slices == 1:
            return float(generator.uniform(LOWEST, HIGHEST))
        spacing = (HIGHEST - LOWEST) / (self.slices - 1)
        return LOWEST + spacing * header.slice + float(generator.uniform(-0.5, 0.5)) * min(spacing, 16.0)

    def _receiver_gain(self, volume_id: str) -> float:
        """Draw a factor: scanners' units differ by orders of magnitude, and so do these."""
        return float(10 ** Draw(self.seed).generator("phantom receiver", volume_id).uniform(-5, -3))

    def _header(self, subject: int, contrast: Contrast, index: int) -> Header:
        name = f"phantom-{subject:04d}"
        header = Header(
            scan_id=f"{name}-{contrast.name}-{index:03d}",
            volume_id=f"{name}-{contrast.name}",
            subject=name,
            slice=index,
            protocol=repr(contrast),
            contrast=contrast.name,
            origin=Origin.SIMULATED,
            vendor="ssrecon phantom",
            field_strength=FIELD_STRENGTH,
            encoded_matrix=self.matrix,
            recon_matrix=self.matrix,
            encoded_fov=self.fov,
            recon_fov=self.fov,
            notes={"seed": str(self.seed)},
            **contrast.timing,  # type: ignore[arg-type]
        )
        return replace(header, geometry=self._geometry(self._height(header)))

    def _geometry(self, height: float) -> Geometry:
        """Rows run to the back of the head and columns to its right: the front is on top, and the left is on the left."""
        (rows, columns), (y, x) = self.matrix, self.fov
        return Geometry(
            position=(0.0, 0.0, height),
            read_direction=(-1.0, 0.0, 0.0),
            phase_direction=(0.0, 1.0, 0.0),
            slice_direction=(0.0, 0.0, 1.0),
            voxel_size=(THICKNESS, y / rows, x / columns),
            field_of_view=(THICKNESS, y, x),
            patient_position="HFS",
        )
