"""A head is drawn once for a subject; it gives the closed curves of skull, scalp and brain at any height."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.shapes import checked
from ssrecon.simulation.phantom.fields import Canvas

ANGLES = 720


@dataclass(frozen=True)
class Lesion:
    """A lesion is an ellipsoid in white matter, in millimetres of the head's own frame."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]


@dataclass(frozen=True)
class Harmonics:
    """A smooth closed profile runs around the head and drifts with height.

    It is the sum of ``a_k cos(k (t - p_k) + d_k z)``, of variance about 1.
    """

    amplitude: tuple[float, ...]
    phase: tuple[float, ...]
    drift: tuple[float, ...]

    @classmethod
    def drawn(cls, generator: np.random.Generator, orders: range, decay: float) -> "Harmonics":
        falling = np.array([k**-decay for k in orders])
        amplitude = generator.standard_normal(len(orders)) * falling / np.linalg.norm(falling) * math.sqrt(2)
        phase = generator.uniform(0, 2 * np.pi, len(orders))
        drift = generator.normal(0, 0.03, len(orders))
        return cls(tuple(amplitude.tolist()), tuple(phase.tolist()), tuple(drift.tolist()))

    def __call__(self, angle: np.ndarray, z: float, first: int) -> np.ndarray:
        terms = zip(self.amplitude, self.phase, self.drift, strict=True)
        total = sum((a * np.cos((first + i) * angle - p + d * z) for i, (a, p, d) in enumerate(terms)), np.zeros_like(angle))
        return 1.6 * np.tanh(total / 1.6)


@dataclass(frozen=True)
class Head:
    """A head is a subject's anatomy in numbers.

    Lengths are in millimetres; the origin is the middle of the third ventricle, the axes right, front, up.
    """

    half_width: float
    half_length: float
    top: float
    narrow_front: float
    squareness: float
    shape: Harmonics
    asymmetry: Harmonics
    layers: tuple[Harmonics, ...]
    rotation: float
    tilt: tuple[float, float]
    shift: tuple[float, float]
    scale: float
    """The size of the deep structures."""
    ventricles: float
    """Their radius relative to a young adult's."""
    atrophy: float
    """Width of the sulci relative to a young adult's."""
    scalp: float
    """Thickness of the fat under the skin."""
    skull: float
    """Its relative thickness."""
    muscle: float
    fold: float
    """Wavelength of the main folds."""
    relaxation: tuple[tuple[float, float, float], ...]
    """This subject's own factors on T1, T2 and proton density, tissue by tissue."""
    lesions: tuple[Lesion, ...]

    @classmethod
    def drawn(cls, draw: Draw, subject: str, tissues: int) -> "Head":
        """Draw the head of one pseudonym. It is the same for the same seed, whatever else is asked for."""
        g = draw.generator("phantom head", subject)

        def about(mean: float, spread: float) -> float:
            return mean + spread * float(np.clip(g.standard_normal(), -2, 2))

        size, age = about(1, 0.04), float(g.beta(1.6, 2.2))
        return cls(
            half_width=66 * size * about(1, 0.045),
            half_length=82 * size * about(1, 0.035),
            top=76 * size,
            narrow_front=about(0.09, 0.03),
            squareness=g.uniform(2.05, 2.4),
            shape=Harmonics.drawn(g, range(2, 9), 1.3),
            asymmetry=Harmonics.drawn(g, range(2, 9), 1.0),
            layers=tuple(Harmonics.drawn(g, range(1, 12), 0.6) for _ in range(7)),
            rotation=about(0, 0.12),
            tilt=(about(0, 0.035), about(0.05, 0.06)),
            shift=(about(0, 9), about(0, 7)),
            scale=size * about(1, 0.04),
            ventricles=0.72 + 0.75 * age + about(0, 0.06),
            atrophy=0.6 + 1.0 * age + about(0, 0.1),
            scalp=about(3.6, 0.9),
            skull=about(1, 0.13),
            muscle=g.uniform(5, 11),
            fold=about(24, 2),
            relaxation=tuple((about(1, 0.04), about(1, 0.04), about(1, 0.02)) for _ in range(tissues)),
            lesions=_lesions(g, age),
        )

    def outline(self, z: float) -> "Outline":
        """Return the closed curves of the head at height `z`, as tables over the angle."""
        t = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        height = z + 75 * (self.tilt[0] * np.cos(t) + self.tilt[1] * np.sin(t))
        radius = self._hull(t, height)
        slope = (np.roll(radius, -1) - np.roll(radius, 1)) / (4 * np.pi / ANGLES)
        oblique = 1 / np.sqrt(1 + (slope / radius) ** 2)
        steep = (self._hull(t, height + 1) - radius).clip(-3, 3)
        thicker = np.sqrt(1 + steep**2)  # layers look thicker where the slice cuts them aslant
        n = [profile(t, z, 1) for profile in self.layers]
        rear, front = (1 - np.sin(t)) / 2, (1 + np.sin(t)) / 2
        side = np.exp(-(((np.abs(np.angle(np.exp(1j * (t - np.pi / 2)))) - 1.25) / 0.42) ** 2)) * np.clip((32 - height) / 30, 0, 1.2)
        gap = 0.2 + self.atrophy * (0.3 + 0.5 * front) * np.exp(0.45 * n[0])
        inner = 1.5 * self.skull * np.exp(0.12 * n[1])
        diploe = (2.6 * self.skull * np.exp(0.45 * n[2]) - 0.8 - 1.5 * side).clip(0.0)
        outer = 1.7 * self.skull * np.exp(0.12 * n[3]) * (1 + 0.4 * rear)
        muscle = self.muscle * side * np.exp(0.15 * n[4]) + 3 * rear**6 * np.clip((10 - height) / 20, 0, 1)
        fat = self.scalp * np.exp(0.12 * n[5]) * (0.75 + 0.5 * rear)
        skin = 1.7 * np.exp(0.1 * n[6])
        thicknesses = np.stack([gap, inner, diploe, outer, muscle, fat, skin]) * thicker
        table = np.concatenate([radius[None], oblique[None], np.cumsum(thicknesses, axis=0)])
        return Outline(torch.from_numpy(np.concatenate([table, table[:, :1]], axis=1).astype(np.float32)))

    def _hull(self, t: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Return the distance from the axis to the smooth hull of the brain."""
        profile = (1 - (np.abs(height - 6) / (self.top - 6)).clip(0, 0.985) ** 2.3) ** (1 / 2.1)
        width = self.half_width * (1 - self.narrow_front * np.sin(t)) * profile
        length = self.half_length * profile**0.92
        m = self.squareness
        radius = (np.abs(np.cos(t) / width) ** m + np.abs(np.sin(t) / length) ** m) ** (-1 / m)
        from_front = np.abs(np.angle(np.exp(1j * (t - np.pi / 2))))
        middle = float(height.mean())
        return radius * (1 + 0.016 * self.shape(from_front, middle, 2) + 0.008 * self.asymmetry(t, middle, 2))


@checked
@dataclass(frozen=True, eq=False)
class Outline:
    """An outline is tables over the angle: the hull's radius and obliqueness, and the outer limits of seven layers beyond it."""

    table: Float[Tensor, "9 angles"]

    def around(self, x: Tensor, y: Tensor) -> Float[Tensor, "9 y x"]:
        """Return every table at the angle of each point."""
        turn = torch.atan2(y, x) / (2 * math.pi) % 1.0 * ANGLES
        index = turn.long().clamp(0, ANGLES - 1)
        weight = turn - index
        rows = self.table.T.contiguous()  # the values of one angle side by side, for the cache's sake
        low, high = rows[index], rows[index + 1]
        return torch.lerp(low, high, weight[..., None]).permute(2, 0, 1).contiguous()


def _lesions(g: np.random.Generator, age: float) -> tuple[Lesion, ...]:
    """Draw small white-matter lesions, more with age, and in some heads a large one."""

    def ellipsoid(x: float, y: float, z: float, size: float, uneven: float) -> Lesion:
        a, b, c = (size * g.uniform(0.7, 1 + uneven) for _ in range(3))
        return Lesion((float(x), float(y), float(z)), (float(a), float(b), float(c)))

    found = []
    for _ in range(g.poisson(14 * age**1.5)):
        side, angle = g.choice([-1, 1]), g.uniform(0, 2 * np.pi)
        place = side * (24 + 9 * np.cos(angle)), 34 * np.sin(angle) + g.normal(0, 10), g.uniform(-5, 50)
        found.append(ellipsoid(*place, size=g.gamma(4, 0.6) + 1.0, uneven=0.5))
    if g.random() < 0.25:
        place = g.choice([-1, 1]) * g.uniform(24, 38), g.uniform(-45, 40), g.uniform(0, 40)
        found.append(ellipsoid(*place, size=g.uniform(7, 13), uneven=0.3))
    return tuple(found)


def frame(head: Head, canvas: Canvas, z: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the head's own coordinates (right, front, up) of every point of a slice: the head is turned, shifted and tilted."""
    rows, columns = canvas.axes
    x = (columns - head.shift[0])[None, :].float()
    y = (-rows - head.shift[1])[:, None].float()  # the front of the head is at the top of the image
    cosine, sine = math.cos(head.rotation), math.sin(head.rotation)
    right, front = cosine * x + sine * y, -sine * x + cosine * y
    return right, front, z + head.tilt[0] * right + head.tilt[1] * front
