"""Semi-synthetic archives show files of complex, coil-combined images through simulated coils."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.archive import Archive
from ssrecon.archive.arrays import finite
from ssrecon.archive.base import holds
from ssrecon.archive.slices import slice_of
from ssrecon.core.description import READ_FILE
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import complex_dataset, opened, stored
from ssrecon.core.origin import Origin
from ssrecon.core.scan import Header, Scan
from ssrecon.core.shapes import checked
from ssrecon.operators.fourier import resample
from ssrecon.simulation.phantom.acquisition import correlated, encode
from ssrecon.simulation.phantom.archive import NOISE_READOUTS, NOISE_SAMPLES
from ssrecon.simulation.phantom.coils import CoilArray
from ssrecon.simulation.phantom.fields import Canvas


@dataclass(frozen=True)
class ComplexImages(Archive):
    """The archive is an HDF5 file with a complex dataset ``image`` (n, y, x) of real anatomy and phase.

    Coils and noise are simulated when it is read.

    Every image counts as a subject and volume of its own. Label results made from it semi-synthetic.
    """

    layout: ClassVar[str] = "HDF5 with a complex `image` (n, y, x)"

    path: str | Path = field(metadata=READ_FILE)  # type: ignore[assignment]
    coils: int = 8
    noise: float = 0.02
    """As `simulate_coils` takes it."""
    seed: int = 0

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return holds(path, lambda file: complex_dataset(file, "image", 3) is not None and "kspace" not in file)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        if not self.recognises(Path(self.path)):
            raise BadInput(self.path, found="no complex dataset `image` (n, y, x)", expected=self.layout)
        with opened(Path(self.path), self.layout) as file:
            count, *matrix = stored(file["image"], Path(self.path)).shape
        if min(count, *matrix) < 1:
            raise BadInput(self.path, found=f"image {(count, *matrix)}", expected="no axis of length 0")
        base = _header((int(matrix[0]), int(matrix[1])), (230.0, 230.0))
        names = [f"{Path(self.path).stem}-{index:03d}" for index in range(count)]
        return tuple(replace(base, scan_id=f"{name}/slice-000", volume_id=name, subject=name) for name in names)

    def read(self, scan_id: str) -> Scan:
        header = self.listed(scan_id)
        index = self.headers.index(header)
        with opened(Path(self.path), self.layout) as file:
            image = finite(slice_of(file["image"], index), Path(self.path), f"image {index}")
        # Noise is drawn by what the file holds: its name, and the key of a pseudonym of it, change nothing.
        scan = simulate_coils(image, self.coils, self.noise, self.seed, self.with_draw_key(header))
        finite(scan.kspace.numpy(), Path(self.path), f"k-space simulated from image {index}")
        return scan


@checked
def simulate_coils(
    image: Complex[Tensor, "y x"],
    coils: int = 8,
    noise_std: float = 0.02,
    seed: int = 0,
    header: Header | None = None,
    fov: float = 230.0,
) -> Scan:
    r"""Return a fully sampled multi-coil scan of a coil-combined complex image: real anatomy and phase through simulated coils.

    :math:`y_c = F(s_c\, x) + n_c` with loop coils (Biot-Savart, unit norm over the coils: the coil-combined image is `image`) and noise
    correlated between them. `noise_std` is sqrt(E|n|^2) of the optimally combined image, the median over the field of view, in units of
    the 99th percentile of ``|image|``. `image` is interpolated (by zero-filling its transform) to twice its matrix before it meets the
    coils, so that what they see is not periodic in the encoded grid. `fov` is the length of its longer side in millimetres.

    The coil array depends on `seed`, the noise on `seed` and the header's `scan_key`: give every image of a cohort its own header and all
    of them one seed. Say of results made from this that they are semi-synthetic. Raises BadInput where the image is not two-dimensional and
    finite, or noise_std is negative.
    """
    where = header.scan_id if header else "image"
    if image.ndim != 2 or not torch.isfinite(torch.view_as_real(image.to(torch.complex64))).all():
        raise BadInput(where, found=f"shape {tuple(image.shape)} or values that are not finite", expected="a finite complex image (y, x)")
    if noise_std < 0 or coils < 1:
        raise BadInput(where, found=f"noise_std={noise_std}, coils={coils}", expected="noise_std of 0 or more, at least one coil")
    matrix = (int(image.shape[0]), int(image.shape[1]))
    canvas = Canvas((2 * matrix[0], 2 * matrix[1]), (fov * matrix[0] / max(matrix), fov * matrix[1] / max(matrix)))
    draw = Draw(seed)
    header = header or _header(matrix, canvas.fov)
    array = CoilArray.drawn(draw, coils)
    maps = array.maps(canvas, z=10.0).unit_norm
    truth = encode(_on_finer_grid(image.to(torch.complex64)), maps, matrix)
    kspace, readouts = truth, None
    if noise_std > 0:
        covariance = array.covariance()
        seen = maps.coarse.flatten(1).to(covariance.dtype)
        combined = 1 / (seen.conj() * torch.linalg.solve(covariance, seen)).sum(dim=0).real
        level = noise_std * float(torch.quantile(image.abs().flatten(), 0.99))
        covariance = covariance * (level**2 / float(combined.median()))
        kspace = truth + correlated(draw.generator("semi-synthetic noise", header.scan_key), covariance, matrix)
        generator = draw.generator("semi-synthetic noise scan", header.volume_key)
        readouts = correlated(generator, covariance, (NOISE_READOUTS, NOISE_SAMPLES)).transpose(0, 1).contiguous()
    full = torch.ones(1, 1, 1, *matrix, dtype=torch.bool)
    return Scan(header, kspace[None, None], full, torch.zeros_like(full), noise=readouts, truth=truth[None, None])


def _on_finer_grid(image: Complex[Tensor, "y x"]) -> Complex[Tensor, "2*y 2*x"]:
    """Show the same image on twice as fine a grid: its transform is surrounded by zeros."""
    return resample(image, (2 * image.shape[0], 2 * image.shape[1]))


def _header(matrix: tuple[int, int], fov: tuple[float, float]) -> Header:
    rounded = tuple(math.floor(length * 1000 + 0.5) / 1000 for length in fov)
    return Header(
        scan_id="semi-synthetic",
        volume_id="semi-synthetic",
        subject="semi-synthetic",
        origin=Origin.SEMI_SYNTHETIC,
        vendor="simulated coils",
        encoded_matrix=matrix,
        recon_matrix=matrix,
        encoded_fov=rounded,
        recon_fov=rounded,
        notes={"origin": "semi-synthetic: a measured image through simulated coils"},
    )
