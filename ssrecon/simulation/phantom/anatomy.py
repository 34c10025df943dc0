"""A slice of a head as layers of tissue, painted one over the other on the fine grid."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from ssrecon.core.shapes import checked
from ssrecon.simulation.phantom.fields import Canvas, Fields, band, rough, smooth
from ssrecon.simulation.phantom.head import Head, frame

VENTRICLE = ((7.0, 34.0, -2.0, 3.0), (7.5, 30.0, 10.0, 5.0), (9.0, 14.0, 19.0, 5.2), (11.5, -8.0, 23.0, 4.6), (16.0, -26.0, 19.0, 5.4),
         (22.0, -38.0, 8.0, 6.6), (29.0, -30.0, -8.0, 4.2))  # fmt: skip
"""The right lateral ventricle from its frontal to its temporal horn: right, front, up and radius, in millimetres."""
OCCIPITAL_HORN = ((22.0, -38.0, 8.0, 5.5), (23.0, -58.0, 5.0, 2.2))
"""The occipital horn of the same ventricle."""


Place = tuple[Tensor, Tensor, Tensor]
"""Right, front and up of every point in the head's own frame, in millimetres."""


@checked
@dataclass(frozen=True, eq=False)
class Layer:
    """A layer is a tissue and how much of each point it covers, over everything painted before."""

    tissue: str
    cover: Float[Tensor, "y x"]


@checked
@dataclass(frozen=True, eq=False)
class Slice:
    """A slice holds layers from the bottom up, and three independent textures of unit variance."""

    layers: tuple[Layer, ...]
    texture: Float[Tensor, "3 y x"]


def anatomy(head: Head, fields: Fields, canvas: Canvas, z: float) -> Slice:
    """Draw the slice of `head` at height `z` millimetres above the middle of the third ventricle."""
    right, front, up = frame(head, canvas, z)
    radius = torch.hypot(right, front)
    hull, oblique, *limits = head.outline(z).around(right, front)
    outward = (radius - hull) * oblique  # millimetres beyond the hull of the brain
    fine = fields("strands", canvas, z, band(4.5, 0.5), 1.5, 6)
    layers = [*_scalp_and_skull(canvas, outward, limits, fine), *_brain(head, fields, canvas, z, (right, front, up), outward)]
    layers += _vessels(canvas, fine, outward, (right, front), limits)
    texture = torch.stack([fields(f"texture {i}", canvas, z, rough(1.15, 25), 1.1, 8) for i in range(3)])
    return Slice(tuple(layers), texture)


def _scalp_and_skull(canvas: Canvas, outward: Tensor, limits: list[Tensor], fine: Tensor) -> list[Layer]:
    """Paint scalp and skull, from the skin inwards."""
    gap, inner, diploe, outer, muscle, fat, skin = limits
    within = [Layer("skin", canvas.inside(skin - outward))]
    lobules = canvas.inside(fat - outward)
    within.append(Layer("fatty", lobules * (1 - 0.8 * (fine.abs() * 4 - 8.5).clamp(0, 1))))
    within.append(Layer("muscle", canvas.inside(muscle - outward)))
    within.append(Layer("fatty", canvas.inside(muscle - outward - 1.0) * (fine * 1.3 - 1.8).clamp(0, 0.8)))
    within.append(Layer("bone", canvas.inside(outer - outward)))
    within.append(Layer("marrow", canvas.inside(diploe - outward) * (0.85 + 0.15 * fine).clamp(0.2, 1)))
    within.append(Layer("bone", canvas.inside(inner - outward)))
    within.append(Layer("fluid", canvas.inside(gap - outward)))
    return within


def _vessels(canvas: Canvas, fine: Tensor, outward: Tensor, place: tuple[Tensor, Tensor], limits: list[Tensor]) -> list[Layer]:
    """Paint veins in the fluid between brain and skull, and the sagittal sinus at the back."""
    right, front = place
    crossing = canvas.inside((limits[0] - outward) * (outward + 1)) * ((fine - 1.7) * 3).clamp(0, 0.9)
    sinus = canvas.inside(4.0 - right.abs() - (limits[0] - outward)) * canvas.inside(limits[0] - outward) * (front < 0)
    return [Layer("blood", crossing), Layer("blood", sinus)]


def _brain(head: Head, fields: Fields, canvas: Canvas, z: float, at: Place, outward: Tensor) -> list[Layer]:
    right, front, up = at
    # Low-order bending: no brain is quite symmetric, and none is made of ellipses.
    bend = [fields(f"bend {axis}", canvas, z, smooth(70), 35, 25) * 2.2 for axis in "xy"]
    ripple = [fields(f"ripple {axis}", canvas, z, band(16, 0.6), 6, 10) * 0.7 for axis in "xy"]
    right, front = (right + bend[0] + ripple[0]), (front + bend[1] + ripple[1])
    brain = canvas.inside(-outward)
    pial, thickness = _surface_distance_and_thickness(head, fields, canvas, z, (right, front, up), outward)
    ribbon = canvas.inside(thickness - pial, 0.9) * brain
    deep = (right.abs() / head.scale, front / head.scale, up / head.scale)
    layers = [Layer("white", brain), *_lesions(head, canvas, (right, front, up), brain), Layer("grey", ribbon)]
    layers += _deep_structures(head, canvas, deep, brain)
    return [*layers, Layer("fluid", canvas.inside(-pial, 1.4) * canvas.inside(1.0 - outward))]


def _surface_distance_and_thickness(
    head: Head, fields: Fields, canvas: Canvas, z: float, at: Place, outward: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the distance to the nearest fluid of the surface (negative in it), and the cortex's thickness there; in millimetres.

    A sulcus is the zero set of a random field, cut off at a random depth. The field is read where the depth is compressed, so that its
    zero lines stand upright on the surface and bend as they go in.
    """
    right, front, up = at
    depth = -outward
    reach = fields("reach", canvas, z, band(30, 0.6), 10, 12)
    opening = fields("opening", canvas, z, band(20, 0.7), 5, 10)
    width = head.atrophy * (0.36 + 0.12 * opening.clamp(-2, 3))
    near = torch.exp(-depth.clamp_min(0) / 3.0)
    deepest = 30 * torch.sigmoid(0.9 * reach + 0.4) + 2
    fissure = _midline_distance(right, front, up)
    upright = _moved_outwards(right, front, 0.6 * depth.clamp(-5, 45))
    steeper = _moved_outwards(right, front, 0.8 * depth.clamp(-5, 45))
    across = (right * 0.7, front)
    surfaces = [depth - 0.1, fissure - 0.7 * width, _sylvian_distance(right.abs(), front, up) - width * 1.3 - 0.1]
    for name, wavelength, place, inwards, deep in (
        ("sulci", head.fold, upright, depth, deepest),
        ("small sulci", 0.62 * head.fold, steeper, depth, 0.36 * deepest),
        ("medial sulci", 1.1 * head.fold, across, fissure, 0.7 * deepest),
    ):
        field = fields(name, canvas, z, band(wavelength, 0.28), wavelength / 3, 0.55 * wavelength)
        away = _level_distance(_field_at(field, canvas, place), canvas)
        surfaces.append(torch.hypot(away, (inwards - deep).clamp_min(0)) - width * (1 + 1.2 * near))
    pial = torch.stack(surfaces).amin(dim=0)
    thickness = 3.0 + 0.3 * opening.clamp(-2, 2) - 0.15 * head.atrophy
    return pial, thickness


def _moved_outwards(right: Tensor, front: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    """Move points `by` millimetres away from the axis."""
    factor = 1 + by / torch.hypot(right, front).clamp_min(8.0)
    return right * factor, front * factor


def _field_at(field: Tensor, canvas: Canvas, place: tuple[Tensor, Tensor]) -> Tensor:
    """Interpolate the field at other points than the grid's."""
    right, front = place
    grid = torch.stack([right * (2 / canvas.fov[1]), -front * (2 / canvas.fov[0])], dim=-1)
    return grid_sample(field[None, None], grid[None], mode="bilinear", padding_mode="reflection", align_corners=False)[0, 0]


def _level_distance(field: Tensor, canvas: Canvas) -> Tensor:
    """Return the distance to the zero set to first order: the value over the slope, in millimetres."""
    slopes = torch.gradient(field, spacing=list(canvas.pixel))
    slope = torch.hypot(*slopes)
    return field.abs() / torch.hypot(slope, 0.25 * slope.mean())


def _midline_distance(right: Tensor, front: Tensor, up: Tensor) -> Tensor:
    """Return the distance to the fissure between the hemispheres, which the corpus callosum keeps from going through."""
    half = 40 * (1 - ((up - 3) / 25).clamp(-1, 1) ** 2).sqrt()
    kept_out = (half - (front + 3).abs()).clamp_min(0)
    return torch.hypot(right, kept_out)


def _sylvian_distance(side: Tensor, front: Tensor, up: Tensor) -> Tensor:
    """Return the distance to the fissure in front of the temporal lobe and over the insula, on either side."""
    shut = ((up - 12).clamp_min(0) + (-12 - up).clamp_min(0)) * 2.0
    insula = torch.hypot(side - 39 + 0.004 * (front - 2) ** 2, ((front - 2).abs() - 17).clamp_min(0))
    entry = torch.hypot(front - 4 - 0.35 * (side - 39), (38 - side).clamp_min(0))
    return torch.hypot(torch.minimum(insula, entry), shut)


def _deep_structures(head: Head, canvas: Canvas, at: Place, brain: Tensor) -> list[Layer]:
    """Paint basal ganglia, thalamus and ventricles; `at` is mirrored, so that both sides come at once."""
    v = head.ventricles
    spread = 2.5 * (v - 1)
    lens = _ellipsoid_distance(at, (26.0 + spread, 2.0, 2.0), (5.0, 16.0, 11.5), 0.22)
    claustrum = 0.35 - (lens + 3.0).abs()
    nuclei = {
        "thalamus": _ellipsoid_distance(at, (10.5 + spread, -12.0, 5.0), (7.5, 14.5, 9.5), -0.45),
        "putamen": lens,
        "grey": torch.where(at[0] > 28, claustrum, -9.0),
        "pallidum": _ellipsoid_distance(at, (19.5 + spread, -1.0, 0.0), (4.4, 9.0, 7.0), 0.45),
        "caudate": torch.maximum(
            _ellipsoid_distance(at, (13.5 + spread, 22.0, 8.0), (5.0, 9.5, 10.5), 0.25),
            _ellipsoid_distance(at, (17.5 + spread, 0.0, 22.0), (3.0, 20.0, 4.5), 0.1),
        ),
    }
    inside = {name: canvas.inside(distance, 1.0) * brain for name, distance in nuclei.items()}
    horns = _smooth_max(_tube_distance(at, VENTRICLE, v), _tube_distance(at, OCCIPITAL_HORN, v), 2.0)
    third = _ellipsoid_distance(at, (0.0, -9.0, -1.0), (1.1 + 1.1 * v, 14.0, 10.0), 0.0)
    plexus = _ellipsoid_distance(at, (21.0, -35.0, 10.0), (2.4, 4.5, 4.0), 0.4)
    layers = [Layer("fluid", canvas.inside(horns, 0.7) * brain)]
    layers += [Layer(name, inside[name]) for name in ("thalamus", "caudate", "putamen", "grey", "pallidum")]
    layers += [Layer("plexus", canvas.inside(torch.minimum(plexus, horns)) * 0.8), Layer("fluid", canvas.inside(third, 0.7) * brain)]
    return layers


def _lesions(head: Head, canvas: Canvas, at: Place, brain: Tensor) -> list[Layer]:
    near = [lesion for lesion in head.lesions if float((at[2] - lesion.centre[2]).abs().amin()) < lesion.radii[2]]
    return [Layer("lesion", 0.9 * canvas.inside(_ellipsoid_distance(at, it.centre, it.radii, 0.0), 1.6) * brain) for it in near]


def _ellipsoid_distance(at: Place, centre: tuple[float, float, float], radii: tuple[float, float, float], turn: float) -> Tensor:
    """Return the approximate signed distance to an ellipsoid, positive inside; `turn` about the vertical axis is in radians."""
    x, y, z = (coordinate - c for coordinate, c in zip(at, centre, strict=True))
    cosine, sine = math.cos(turn), math.sin(turn)
    x, y = cosine * x + sine * y, cosine * y - sine * x
    relative = torch.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    slope = torch.sqrt((x / radii[0] ** 2) ** 2 + (y / radii[1] ** 2) ** 2 + (z / radii[2] ** 2) ** 2) / relative.clamp_min(1e-3)
    return (1 - relative) / slope.clamp_min(1 / max(radii))


def _tube_distance(at: Place, points: tuple[tuple[float, float, float, float], ...], wide: float) -> Tensor:
    """Return the signed distance to a tube of varying radius through the points, positive inside."""
    covers = []
    for start, end in zip(points, points[1:], strict=False):
        x, y, z = (coordinate - a for coordinate, a in zip(at, start[:3], strict=True))
        dx, dy, dz, growth = (b - a for a, b in zip(start, end, strict=True))
        along = ((x * dx + y * dy + z * dz) / (dx * dx + dy * dy + dz * dz)).clamp(0, 1)
        gap = torch.sqrt((x - along * dx) ** 2 + (y - along * dy) ** 2 + (z - along * dz) ** 2)
        covers.append(wide * (start[3] + along * growth) - gap)
    return torch.stack(covers).amax(dim=0)


def _smooth_max(a: Tensor, b: Tensor, width: float) -> Tensor:
    return torch.maximum(a, b) + (width - (a - b).abs()).clamp_min(0) ** 2 / (4 * width)
