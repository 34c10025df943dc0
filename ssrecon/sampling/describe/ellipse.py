"""The elliptical shutter, by which many 3-D scans leave the corners of two phase-encoded axes out."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssrecon.core.radius import radius
from ssrecon.core.shapes import checked
from ssrecon.sampling.describe.support import acquired_bounds, encoded_support

CORNERS = 0.1
"""An elliptical shutter leaves the corners of its box less than this part as dense as the rim just inside the ellipse."""
RIM = 1.5
"""Samples from the rim of an ellipse within which scanners differ on what belongs to it."""


@checked
def is_elliptical(points: Bool[Tensor, "z y"]) -> bool:
    """Tell whether the corners of the box that was sampled were left out, as an elliptical shutter does.

    The density outside the inscribed ellipse is compared with that of its outer rim (normalised radius .8 to 1), which has about as many
    locations; both have to be expected to hold 20 points. A pattern whose density falls continuously to nothing towards its rim is none.
    """
    support, distance = encoded_support(points), _radius_in_box(points)
    corner, rim = support & (distance > 1.05), support & (distance > 0.8) & (distance <= 0.98)
    if not corner.any() or not rim.any():
        return False
    dense = float(points[rim].float().mean())
    return dense * float(corner.sum()) >= 20 and float(points[corner].float().mean()) < CORNERS * dense


@checked
def ellipse(points: Bool[Tensor, "z y"]) -> Bool[Tensor, "z y"]:
    """Return a mask of what lies inside the ellipse of the box that was sampled, and of whatever was acquired outside."""
    return (encoded_support(points) & (_radius_in_box(points) <= 1.0)) | points


@checked
def fills_ellipse(points: Bool[Tensor, "*phase"]) -> bool:
    """Tell whether all of a box was acquired, or all of an ellipse about DC, to within `RIM` samples of its rim.

    The half-axes of the ellipse reach as far as the samples do on the longer side of each axis, so that one of which partial Fourier left
    a side out is filled too. No row or column has a gap.
    """
    box, bounds = encoded_support(points), acquired_bounds(points)
    reach = [max(1, n // 2 - low, high - n // 2) for n, (low, high) in zip(points.shape, bounds, strict=True)]
    beyond = torch.from_numpy(radius(points.shape, reach) > 1 - RIM / min(reach)).to(points.device)
    return _is_unbroken(points) and bool((points | beyond | ~box).all())


def _is_unbroken(points: Bool[Tensor, "*phase"]) -> bool:
    for axis in range(points.ndim):
        along = points.movedim(axis, 0).int()
        runs = along[0] + (along.diff(dim=0) > 0).sum(dim=0)
        if bool((runs > 1).any()):
            return False
    return True


def _radius_in_box(points: Bool[Tensor, "z y"]) -> Float[Tensor, "z y"]:
    """Return the distance from the middle of the sampled box, 1 at the end of each of its axes."""
    bounds = acquired_bounds(points)
    reach = [max(1.0, (high - low + 1) / 2) for low, high in bounds]
    # In single precision, in which a location on the ellipse itself has a distance of exactly 1.
    return torch.from_numpy(radius(points.shape, reach, centre=[(low + high) / 2 for low, high in bounds])).float().to(points.device)
