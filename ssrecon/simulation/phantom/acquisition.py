"""From a slice of tissue to what the receivers record: contrast, phase, coils, k-space and noise."""

import math

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.simulation.phantom.anatomy import Slice
from ssrecon.simulation.phantom.coils import CoilArray, SmoothMaps
from ssrecon.simulation.phantom.contrast import TISSUES, Contrast
from ssrecon.simulation.phantom.fields import Canvas, Fields, smooth
from ssrecon.simulation.phantom.head import Head, frame


def magnetisation(slice_: Slice, head: Head, contrast: Contrast, fat_shift: int = 0) -> Float[Tensor, "y x"]:
    """Return the signal at every point of the fine grid: each layer's own, weighted by the part of it that nothing covers.

    Fat appears `fat_shift` fine pixels further along the readout, its resonance being 3.4 ppm lower.
    """
    names = list(TISSUES)
    seen = torch.ones_like(slice_.texture[0])
    water, fat = torch.zeros_like(seen), torch.zeros_like(seen)
    for layer in reversed(slice_.layers):
        part = (layer.cover * seen).flatten()
        seen = seen * (1 - layer.cover)
        where = torch.nonzero(part > 1e-3)[:, 0]
        tissue, own = TISSUES[layer.tissue], head.relaxation[names.index(layer.tissue)]
        texture = 1 + tissue.rough * slice_.texture.flatten(1)[:, where].clamp(-4, 4)
        signal = contrast.signal(tissue.t1 * own[0] * texture[0], tissue.t2 * own[1] * texture[1], tissue.density * own[2] * texture[2])
        (fat if tissue.fat else water).view(-1).index_add_(0, where, part[where] * signal)
    return water + fat.roll(fat_shift, dims=1)


def phase(head: Head, fields: Fields, canvas: Canvas, z: float, contrast: str) -> Float[Tensor, "y x"]:
    """Return a smooth phase in radians: a quadratic and a smooth random part, and the dipole field of the air behind the forehead."""
    g = fields.draw.generator(f"phantom phase {contrast}", fields.subject)
    right, front, up = frame(head, canvas, z)
    x, y, h = right / 100, front / 100, up / 100
    c = g.normal(0, 1, 8) * (0, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6, 0)
    c[0] = g.uniform(0, 2 * math.pi)
    total = c[0] + c[1] * x + c[2] * y + c[3] * h + c[4] * x * x + c[5] * x * y + c[6] * y * y
    total = total + 0.35 * fields(f"phase {contrast}", canvas, z, smooth(80), 35, 40)
    dx, dy, dz = right, front - 0.9 * head.half_length, up + 32
    square = dx * dx + dy * dy + dz * dz + 14.0**2
    return total + g.uniform(1.0, 2.5) * (25.0**3) * (3 * dz * dz / square - 1) / square**1.5


@checked
def encode(image: Complex[Tensor, "y x"], maps: SmoothMaps, matrix: tuple[int, int]) -> Complex[Tensor, "coils ky kx"]:
    """Return the k-space of the fine image through each coil, cut to the encoded matrix.

    It is centred, and scaled as the orthonormal transform of an image of that matrix would be. Everything beyond the matrix is lost, as it
    is in a scanner: edges ring.
    """
    # Rolled once here, so that the transforms need no shift for the origin at N // 2.
    image = torch.fft.ifftshift(image)
    rows, columns = (torch.fft.ifftshift(part, dim=0).to(image.dtype) for part in (maps.rows, maps.columns))
    keep = [(torch.arange(n) - n // 2) % fine for n, fine in zip(matrix, image.shape, strict=True)]
    scale = math.sqrt(matrix[0] * matrix[1]) / image.numel()
    result = torch.empty(len(maps.coarse), *matrix, dtype=torch.complex64)
    for coil, values in enumerate(maps.coarse):  # one at a time, so that each stays in the cache
        lines = torch.fft.fft(image * (rows @ values @ columns.T), dim=1)[:, keep[1]]
        result[coil] = torch.fft.fft(lines, dim=0)[keep[0]] * scale
    return result


def white_matter_snr(coils: CoilArray, covariance: Tensor, signal: float) -> float:
    r"""Return the SNR of white matter in the optimally combined, fully sampled image.

    It is the median of :math:`|m| \sqrt{c^H \Psi^{-1} c}` over the brain. The noise is counted as sqrt(E|n|^2) of the complex image, for
    noise of covariance :math:`\Psi`.
    """
    lattice = torch.stack(torch.meshgrid(*(torch.linspace(-0.9, 0.9, 9) for _ in range(3)), indexing="ij"), dim=-1).reshape(-1, 3)
    inside = lattice[lattice.norm(dim=1) < 1] * torch.tensor([62.0, 80.0, 45.0]) + torch.tensor([0.0, 0.0, 20.0])
    seen = (coils.field(*inside.unbind(-1)) * coils.gain[:, None]).to(torch.complex128)
    power = (seen.conj() * torch.linalg.solve(covariance, seen)).sum(dim=0).real
    return abs(signal) * float(power.sqrt().median())


@checked
def correlated(
    generator: np.random.Generator, covariance: Complex[Tensor, "coils coils"], shape: tuple[int, ...]
) -> Complex[Tensor, "coils *shape"]:
    """Draw circular complex Gaussian noise of the given covariance between the coils."""
    white = generator.standard_normal((len(covariance), *shape, 2), dtype=np.float32) * np.float32(math.sqrt(0.5))
    root = torch.linalg.cholesky(covariance).to(torch.complex64)
    return (root @ torch.view_as_complex(torch.from_numpy(white)).flatten(1)).reshape(-1, *shape)
