"""Receive sensitivities of loop coils by Biot-Savart's law, and the noise they pick up together."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.shapes import checked
from ssrecon.simulation.phantom.fields import Canvas

SEGMENTS = 24
"""Straight pieces of wire in a loop."""
WIRE_RADIUS = 12.0
"""The conductor's half width in millimetres, which keeps the field finite in it."""
SHARED_NOISE = 0.6
"""The part of the noise power that comes from the head and is therefore seen by several coils; the rest is each preamplifier's own."""


@checked
@dataclass(frozen=True, eq=False)
class CoilArray:
    """The array has circular loops around the head, in the scanner's frame: right, front, up, in millimetres from the isocentre."""

    start: Float[Tensor, "coils segments 3"]
    """Middle of each straight piece of wire."""
    step: Float[Tensor, "coils segments 3"]
    """The piece itself, in the direction of the current."""
    gain: Complex[Tensor, " coils"]
    """The receivers' gains: they differ in size and phase, for signal and noise alike."""

    @classmethod
    def drawn(cls, draw: Draw, coils: int) -> "CoilArray":
        """Draw one or, from 12 coils on, two rings around the head, as a coil builder leaves them: a little irregular."""
        g = draw.generator("phantom coils")
        rings = 2 if coils >= 12 else 1
        start, step = [], []
        for ring in range(rings):
            count = coils // rings + (ring < coils % rings)
            radius = 1.15 * math.pi * 142 / max(count, 5)
            for turn in (np.arange(count) + 0.5 * ring + g.normal(0, 0.06, count) + 0.25) * (2 * np.pi / count):
                lean = g.normal(0, 0.08) + 0.35 * ring
                up = 20.0 if rings == 1 else -5.0 + 60.0 * ring
                wall = 1.0 - 0.18 * ring
                centre = np.array([134 * wall * np.cos(turn), 150 * wall * np.sin(turn), up + g.normal(0, 5)])
                inwards = np.array([-np.cos(turn) * np.cos(lean), -np.sin(turn) * np.cos(lean), -np.sin(lean)])
                points = _loop(centre, inwards, radius * g.uniform(0.93, 1.07))
                step.append(np.roll(points, -1, axis=0) - points)
                start.append(points + step[-1] / 2)
        gain = np.exp(g.uniform(-0.35, 0.35, coils) + 2j * np.pi * g.random(coils))
        middles, pieces = (torch.from_numpy(np.stack(parts).astype(np.float32)) for parts in (start, step))
        return cls(middles, pieces, torch.from_numpy(gain.astype(np.complex64)))

    def field(self, right: Tensor, front: Tensor, up: Tensor) -> Complex[Tensor, "coils points"]:
        r"""Return what a unit spin at each point induces: :math:`B_x - i B_y` of a unit current, by reciprocity (before the gain).

        The field is :math:`B(r) = \sum_j dl_j \times (r - r_j) / (|r - r_j|^2 + w^2)^{3/2}`, in units of a single loop's field at its own
        centre. Hoult and Richards. The signal-to-noise ratio of the nuclear magnetic resonance experiment. J Magn Reson 24:71-85 (1976).
        doi:10.1016/0022-2364(76)90233-X
        """
        place = torch.stack([right, front, up], dim=-1)
        away = place - self.start[:, :, None, :]
        x, y, z = away.unbind(-1)
        dx, dy, dz = (part[..., None] for part in self.step.unbind(-1))
        weight = (x * x + y * y + z * z + WIRE_RADIUS**2) ** -1.5
        radius = torch.linalg.vector_norm(self.step, dim=-1).sum(dim=-1)[:, None] / (2 * math.pi)
        bx, by = ((dy * z - dz * y) * weight).sum(dim=1), ((dz * x - dx * z) * weight).sum(dim=1)
        return torch.complex(bx, -by) * radius / (2 * math.pi)

    def maps(self, canvas: Canvas, z: float, knots: int = 36) -> "SmoothMaps":
        """Return the sensitivities in the slice at height `z`, gains included."""
        rows, columns = canvas.axes
        coarse = [np.linspace(float(axis[0]), float(axis[-1]), knots) for axis in (rows, columns)]
        front, right = torch.meshgrid(*(torch.from_numpy(axis).float() for axis in (-coarse[0], coarse[1])), indexing="ij")
        points = self.field(right.flatten(), front.flatten(), torch.full((knots * knots,), float(z)))
        values = (points * self.gain[:, None]).reshape(-1, knots, knots)
        return SmoothMaps(values, _spline(coarse[0], rows), _spline(coarse[1], columns))

    def covariance(self, head: tuple[float, float, float] = (75.0, 95.0, 80.0)) -> Complex[Tensor, "coils coils"]:
        """Return the noise covariance up to a factor: what the coils see in common in an ellipsoid the size of a head, plus their own.

        The overlap of the receive fields stands in for that of the electric fields (Roemer et al. Magn Reson Med 16:192-225 (1990).
        doi:10.1002/mrm.1910160203). The mean variance before the gains is 1.
        """
        lattice = torch.stack(torch.meshgrid(*(torch.linspace(-0.95, 0.95, 9) for _ in range(3)), indexing="ij"), dim=-1).reshape(-1, 3)
        inside = lattice[lattice.norm(dim=1) < 1] * torch.tensor(head)
        seen = self.field(*inside.unbind(-1)).to(torch.complex128)
        overlap = seen @ seen.conj().T
        overlap /= overlap.diagonal().real.mean()
        total = SHARED_NOISE * overlap + (1 - SHARED_NOISE) * torch.eye(len(overlap))
        gain = self.gain.to(torch.complex128)
        return gain[:, None] * total * gain.conj()[None]


@checked
@dataclass(frozen=True, eq=False)
class SmoothMaps:
    """Coil sensitivities are ``rows @ coarse @ columns.T``: two matrices of splines take a coarse grid to the fine one."""

    coarse: Complex[Tensor, "coils knots knots"]
    rows: Float[Tensor, "y knots"]
    columns: Float[Tensor, "x knots"]

    @property
    def unit_norm(self) -> "SmoothMaps":
        """These are the maps divided by their root sum of squares over the coils."""
        return SmoothMaps(self.coarse / torch.linalg.vector_norm(self.coarse, dim=0), self.rows, self.columns)

    def fine(self) -> Complex[Tensor, "coils y x"]:
        return self.rows.to(self.coarse.dtype) @ self.coarse @ self.columns.T.to(self.coarse.dtype)


def _loop(centre: np.ndarray, axis: np.ndarray, radius: float) -> np.ndarray:
    """Return the corners of a regular polygon around `axis`."""
    first = np.cross(axis, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    angle = np.arange(SEGMENTS)[:, None] * (2 * np.pi / SEGMENTS)
    return centre + radius * (np.cos(angle) * first + np.sin(angle) * np.cross(axis, first))


def _spline(coarse: np.ndarray, fine: Tensor) -> Float[Tensor, "fine coarse"]:
    """Return the matrix of cubic spline interpolation."""
    from scipy.interpolate import make_interp_spline

    return torch.from_numpy(make_interp_spline(coarse, np.eye(len(coarse)), k=3)(fine.numpy()).astype(np.float32))
