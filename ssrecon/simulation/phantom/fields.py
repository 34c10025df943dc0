"""A slice is drawn on a fine grid, and everything irregular in it is made of smooth random fields."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssrecon.core.draw import Draw

Spectrum = Callable[[Tensor], Tensor]
"""Amplitude against spatial frequency in cycles per millimetre."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """A canvas is the fine grid of one slice: `shape` points ``(y, x)`` over `fov` millimetres; the origin lies at index ``N // 2``."""

    shape: tuple[int, int]
    fov: tuple[float, float]

    @property
    def pixel(self) -> tuple[float, float]:
        """This is the spacing of the points in millimetres."""
        return self.fov[0] / self.shape[0], self.fov[1] / self.shape[1]

    @property
    def blur(self) -> float:
        """This is the width over which an edge rises, in millimetres: one fine pixel, so that edges are not stairs."""
        return max(self.pixel)

    @cached_property
    def axes(self) -> tuple[Float[Tensor, " y"], Float[Tensor, " x"]]:
        """These are the places of rows and columns in millimetres."""
        return tuple((torch.arange(n) - n // 2) * step for n, step in zip(self.shape, self.pixel, strict=True))  # type: ignore[return-value]

    def inside(self, distance: Tensor, blur: float = 0.0) -> Tensor:
        """Return the fraction covered, from a signed distance in millimetres (positive inside); it rises over a pixel or `blur`."""
        return (distance / max(self.blur, blur) + 0.5).clamp(0, 1)


def band(wavelength: float, octaves: float = 0.35) -> Spectrum:
    """Return a band of about `octaves` to either side of a wavelength in millimetres; two-dimensional power is equal per octave."""
    return lambda f: torch.exp(-0.5 * (torch.log2(f.clamp_min(1e-6) * wavelength) / octaves) ** 2) / f.clamp_min(1e-6)


def smooth(wavelength: float) -> Spectrum:
    """Pass all frequencies up to about one cycle per `wavelength` millimetres."""
    return lambda f: torch.exp(-((f * wavelength) ** 2)) * (f > 0)


def rough(exponent: float, longest: float) -> Spectrum:
    """Return a power law ``f^-exponent`` for wavelengths below `longest` millimetres: structure at every scale."""
    return lambda f: (f**2 + longest**-2) ** (-exponent / 2) * (f > 0)


@dataclass(frozen=True)
class Fields:
    """The random fields of one subject are Gaussian, continuous in all three directions, of mean 0 and variance 1.

    Fourier coefficients are drawn in planes `along` millimetres apart and blended by a cubic B-spline in z, so that any height can be
    asked for by itself and neighbouring slices agree. Which coefficients are drawn depends on the field of view alone, not on the
    matrix: a finer canvas shows the same head.
    """

    draw: Draw
    subject: str

    def __call__(self, name: str, canvas: Canvas, z: float, spectrum: Spectrum, finest: float, along: float) -> Float[Tensor, "y x"]:
        """Return the field at height `z`, which holds wavelengths down to `finest` millimetres."""
        order = [max(1, math.ceil(fov / finest)) for fov in canvas.fov]
        rows = torch.arange(-order[0], order[0] + 1)
        columns = torch.arange(order[1] + 1)
        frequency = torch.hypot((rows / canvas.fov[0])[:, None], (columns / canvas.fov[1])[None])
        amplitude = spectrum(frequency.float()) * (frequency <= 1 / finest)
        # Half of the plane is drawn and the other half is its conjugate: a coefficient counts twice, but not on the axis of symmetry.
        amplitude[:, 0] *= math.sqrt(2)
        variance = (amplitude**2 * torch.where(columns > 0, 4, 1)).sum()
        coefficients = self._plane(name, z / along, amplitude.shape) * (amplitude / variance.sqrt())
        return _synthesise(coefficients, rows, columns, canvas.shape)

    def _plane(self, name: str, z: float, shape: torch.Size) -> Tensor:
        first = math.floor(z)
        t = z - first
        weights = np.array([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3])
        weights /= np.linalg.norm(weights)
        plane = np.zeros((*shape, 2), np.float32)
        for knot, weight in zip(range(first - 1, first + 3), weights, strict=True):
            generator = self.draw.generator(f"phantom {name} {knot}", self.subject)
            plane += np.float32(weight) * generator.standard_normal(plane.shape, dtype=np.float32)
        return torch.view_as_complex(torch.from_numpy(plane))


def _synthesise(coefficients: Tensor, rows: Tensor, columns: Tensor, shape: tuple[int, int]) -> Tensor:
    fits_rows, fits_columns = rows.abs() < shape[0] / 2, columns < shape[1] / 2
    half = torch.zeros(shape[0], shape[1] // 2 + 1, dtype=torch.complex64)
    kept = coefficients[fits_rows][:, fits_columns]
    half[rows[fits_rows] % shape[0], : kept.shape[1]] = kept
    lines = torch.fft.ifft(half, dim=0, norm="forward")
    lines[:, 0] = lines[:, 0].real  # the imaginary part has no place in a real field
    return torch.fft.irfft(lines, n=shape[1], dim=1, norm="forward")
