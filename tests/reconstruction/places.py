"""Scans with a place: blobs given in the patient's coordinates, sampled as a magnet does it, without any image in between."""

import math
from dataclasses import replace

import numpy as np
import torch

from ssrecon.core.encoding import WholeLines
from ssrecon.core.geometry import Geometry
from ssrecon.core.scan import Header, Scan

CENTRE = (12.0, -20.0, 31.0)
MARK = (21.0, -33.0, 38.0)
"""Left, posterior and superior of the centre, at three different distances."""
VOXEL = (4.0, 2.5, 2.0)
"""Slice, phase, read."""


def oblique() -> tuple[tuple[float, float, float], ...]:
    turned, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))
    return tuple(tuple(float(v) for v in column) for column in turned.T)


PLANES = {
    "axial": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "axial, read to the front": ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    "sagittal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "oblique": oblique(),
}
"""Directions of slice, phase and read."""


def signal(directions, matrix, centre, offset=0.0, voxel=VOXEL):
    r"""What a magnet measures of Gaussian blobs at :math:`k = \sum_a n_a d_a / (N_a v_a)`: :math:`\int \rho(r) e^{-2\pi i k (r - centre)}`.

    `matrix` is (z, y, x), or (y, x) of the slice `offset` mm along the normal.
    """
    dims = len(matrix)
    axes = [np.asarray(d) for d in directions[-dims:]]
    sides = voxel[-dims:]
    k = np.meshgrid(*[(np.arange(n) - n // 2) / (n * v) for n, v in zip(matrix, sides, strict=True)], indexing="ij")
    total = np.zeros(matrix, complex)
    for place, height, width in ((CENTRE, 1.0, 25.0), (MARK, 4.0, 3.0)):
        away = np.asarray(place) - np.asarray(centre)
        beside = 0.0 if dims == 3 else float(away @ np.asarray(directions[0])) - offset
        along = sum(axis * float(away @ d) for axis, d in zip(k, axes, strict=True))
        squared = sum(axis**2 for axis in k)
        weight = height * math.exp(-((beside / width) ** 2)) * (math.pi * width**2) ** (dims / 2)
        total += weight * np.exp(-((math.pi * width) ** 2) * squared - 2j * math.pi * along)
    # Over the volume of a pixel and the root of the number of samples: values of the orthonormal transform of an image.
    return total / math.prod(sides) / math.sqrt(math.prod(matrix))


def scan(name, matrix, slice_=0, slices=1, frames=1, maps=1, **header):
    """One slice (y, x) of several, or a volume (z, y, x), of the plane `name`; one coil that sees everything alike."""
    directions, dims = PLANES[name], len(matrix)
    offset = (slice_ - slices // 2) * VOXEL[0] if dims == 2 else 0.0
    kspace = torch.from_numpy(signal(directions, matrix, CENTRE, offset)).to(torch.complex64)
    place = tuple(float(c + offset * d) for c, d in zip(CENTRE, directions[0], strict=True))
    full = (1, *matrix)[-3:]
    geometry = Geometry(
        position=place,
        slice_direction=directions[0],
        phase_direction=directions[1],
        read_direction=directions[2],
        voxel_size=VOXEL,
        field_of_view=tuple(n * v for n, v in zip(full, VOXEL, strict=True)),
        patient_position="HFS",
        axes=("slice", "phase", "read")[-dims:],
    )
    about = Header(f"v/{slice_:03d}", "v", "somebody", slice_, encoded_matrix=matrix, geometry=geometry, encoding=WholeLines())
    mask = torch.ones(1, frames, 1, *matrix, dtype=torch.bool)
    times = torch.arange(1, frames + 1).reshape(1, frames, 1, *[1] * dims)
    return Scan(
        header=replace(about, **header),
        kspace=times * kspace.expand(1, frames, 1, *matrix),
        mask=mask,
        padding=torch.zeros_like(mask),
        csm=torch.ones(1, maps, 1, *matrix, dtype=torch.complex64) if maps == 1 else None,
    )
