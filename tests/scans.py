"""Small simulated scans with known image, csm and noise, for tests of everything above the records."""

import math

import torch

from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.core.scan import CalibratedScan, Header
from ssrecon.networks import ResNet, Unrolled
from ssrecon.operators import sense


def smooth_csm(coils: int, shape: tuple[int, ...], maps: int = 1, dtype: torch.dtype = torch.complex64) -> torch.Tensor:
    """Unit-norm maps (1, maps, coils, *shape): a complex bump a coil, on a circle around the field of view."""
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape]
    grid = torch.meshgrid(*axes, indexing="ij")
    sets = []
    for m in range(maps):
        coil_maps = []
        for c in range(coils):
            angle = 2 * math.pi * (c + 0.4 * m) / coils
            y, x = grid[-2] - 1.2 * math.sin(angle), grid[-1] - 1.2 * math.cos(angle)
            coil_maps.append(torch.exp(-(x**2 + y**2) / 1.6) * torch.exp(1j * (angle + 0.7 * (1 + m) * x * math.cos(angle))))
        stacked = torch.stack(coil_maps)
        sets.append(stacked / torch.linalg.vector_norm(stacked, dim=0))
    return (torch.stack(sets)[None] / math.sqrt(maps)).to(dtype)


def smooth_image(
    shape: tuple[int, ...], frames: int = 1, maps: int = 1, seed: int = 0, dtype: torch.dtype = torch.complex64
) -> torch.Tensor:
    """A disc with a few blobs and smooth phase, about 1 where bright."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.meshgrid(*[torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape], indexing="ij")
    radius = sum(g**2 for g in grid).sqrt()
    image = 0.5 * (radius < 0.8).double()
    for _ in range(6):
        centre = torch.rand(len(shape), generator=generator, dtype=torch.float64) - 0.5
        width = 0.05 + 0.1 * torch.rand(1, generator=generator, dtype=torch.float64)
        image = image + 0.5 * torch.exp(-sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) / width**2)
    image = image * torch.exp(1j * (0.8 * grid[-1] + 0.5 * grid[-2] ** 2))
    return image.expand(1, frames, maps, *shape).contiguous().to(dtype)


def column_mask(shape: tuple[int, ...], acceleration: int = 4, lines: int = 8, frames: int = 1, offset: int = 0) -> torch.Tensor:
    """Every R-th phase-encoding line and a calibration band, constant along the readout: (1, frames, 1, *shape)."""
    mask = torch.zeros(1, frames, 1, *shape, dtype=torch.bool)
    for frame in range(frames):
        mask[:, frame, ..., (offset + frame) % acceleration :: acceleration, :] = True
    centre = shape[-2] // 2
    mask[..., centre - lines // 2 : centre + (lines + 1) // 2, :] = True
    return mask


def loss_of(objective, network, scan, reference, draw):
    """A loss with what its objective draws for it."""
    return objective.loss(network, scan, reference, objective.draws(scan, draw))


def reconstruction_of(objective, network, scan, draw):
    """An image by an objective's rule at test time, with what it draws for it."""
    return objective.reconstruct(network, scan, objective.test_draws(scan, draw))


def make_scan(
    shape: tuple[int, ...] = (32, 32),
    coils: int = 4,
    frames: int = 1,
    maps: int = 1,
    noise_std: float = 0.01,
    seed: int = 0,
    scan_id: str = "phantom/slice-000",
    mask: torch.Tensor | None = None,
    readout: bool = True,
) -> CalibratedScan:
    """A calibrated scan of `smooth_image` with exact maps and white noise of known level."""
    csm = smooth_csm(coils, shape, maps)
    mask = column_mask(shape, frames=frames) if mask is None else mask
    full = full_kspace(shape, coils, frames, maps, noise_std, seed)
    calibration = torch.zeros(1, 1, 1, *shape, dtype=torch.bool)
    centre, band, volume_id = shape[-2] // 2, 4, scan_id.split("/")[0]
    calibration[..., centre - band : centre + band, shape[-1] // 2 - band : shape[-1] // 2 + band] = True
    return CalibratedScan(
        headers=(Header(scan_id, volume_id, subject=volume_id, encoding=WholeLines() if readout else GridPoints()),),
        kspace=torch.where(mask, full, 0),
        mask=mask,
        padding=torch.zeros_like(mask),
        csm=csm,
        calibration=calibration & mask.all(dim=1, keepdim=True),
        scale=torch.ones(1),
        noise_std=torch.tensor([noise_std]) if noise_std else None,
        noise_source="noise scan" if noise_std else "unknown",
    )


def full_kspace(shape: tuple[int, ...], coils: int, frames: int, maps: int, noise_std: float, seed: int) -> torch.Tensor:
    """What `make_scan` with the same arguments was undersampled from."""
    everything = torch.ones(1, frames, 1, *shape, dtype=torch.bool)
    clean = sense(everything, smooth_csm(coils, shape, maps))(smooth_image(shape, frames, maps, seed))
    generator = torch.Generator().manual_seed(seed + 1)
    noise = torch.complex(*(torch.randn(clean.shape, generator=generator) for _ in range(2))) / math.sqrt(2)
    return clean + noise_std * noise


def make_reference(scan: CalibratedScan, full: torch.Tensor) -> CalibratedScan:
    """The fully sampled counterpart of a scan."""
    from dataclasses import replace

    return replace(scan, mask=torch.ones_like(scan.mask), kspace=full)


EXAMPLE = make_scan()
"""For networks whose size does not depend on it."""
SMALL_NETWORK = Unrolled(ResNet(blocks=1, channels=4), unrolls=2, cg_iterations=3)
"""The network of the tests wherever any one will do."""
