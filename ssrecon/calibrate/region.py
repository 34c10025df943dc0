"""Where a scan may be calibrated: the largest fully sampled rectangle about the centre of k-space, or a calibration acquired apart."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.calibrate.checks import check_finite
from ssrecon.calibrate.noise_level import SHORTEST_SIDE
from ssrecon.core.errors import BadInput, NoCalibration
from ssrecon.core.scan import Scan
from ssrecon.core.shapes import checked
from ssrecon.core.window import crop
from ssrecon.sampling.centre import Sides, centred_region


@checked
@dataclass(frozen=True)
class Region:
    """The calibration data of one scan, and where they come from."""

    kspace: Complex[Tensor, "1 frames coils *c"]
    sides: Sides
    """The sides of the box in the scan's own k-space; empty where the data were acquired apart from it."""
    noise: float | None = 1.0
    """The noise of these data relative to that of an acquired sample, less than 1 where frames were averaged; None where it cannot be told:
    data acquired apart (another bandwidth, other averages), and windows filled up with zeros."""

    @property
    def tells_noise(self) -> bool:
        """This says whether the scan's noise level can be estimated from these data (`ssrecon.calibrate.estimated_covariance`)."""
        return self.noise is not None and min(self.kspace.shape[3:]) >= SHORTEST_SIDE


def calibration_region(scan: Scan, width: int, smallest: int) -> Region:
    """Return the calibration data of a scan, no side of them longer than `width`.

    They are the larger of the region in the scan's own k-space and a separate calibration; where frames share a region between them, the
    mean over frames. With a csm of the user's own, the acquired samples of the central window will do, because only the scale is wanted.
    Raises NoCalibration, naming the scan, where a side of the region is shorter than `smallest`.
    """
    own, every = frames_region(scan.mask & ~scan.padding, width, smallest)
    if scan.calibration is not None:
        apart = centred_region(scan.calibration.mask[0, 0, 0], width)
        if large_enough(apart, smallest) and math.prod(apart) > math.prod(own):
            data = crop(scan.calibration.kspace, apart)
            check_finite(data, f"{scan.scan_id} (calibration)")
            return Region(data, (), noise=None)
    if scan.csm is not None and not large_enough(own, smallest):
        return _central_window(scan, width)
    require(scan.scan_id, own, tuple(scan.kspace.shape[3:]), smallest)
    data = crop(scan.kspace, own)
    return Region(data, own) if every else _mean_over_frames(data, crop(scan.mask, own), own)


@checked
def frames_region(mask: Bool[Tensor, "1 frames 1 *k"], width: int, smallest: int) -> tuple[Sides, bool]:
    """Return the sides of the region that every frame sampled, and True.

    Where a side of it is shorter than `smallest`, and the region that the frames sampled between them is large enough, return the sides of
    that one, and False.
    """
    everywhere = centred_region(mask[0, :, 0].all(dim=0), width)
    if large_enough(everywhere, smallest) or mask.shape[1] == 1:
        return everywhere, True
    between = centred_region(mask[0, :, 0].any(dim=0), width)
    return (between, False) if large_enough(between, smallest) else (everywhere, True)


def large_enough(sides: Sides, smallest: int) -> bool:
    """Tell whether no side is shorter than `smallest`."""
    return min(sides) >= smallest


def require(where: object, sides: Sides, full: Sides, smallest: int) -> None:
    """Raise NoCalibration, saying which calibration would do, where a side is shorter than `smallest`."""
    if large_enough(sides, smallest):
        return
    wanted = " x ".join([str(smallest)] * len(sides))
    found = " x ".join(map(str, sides)) if min(sides) else "nothing at the centre of k-space"
    raise NoCalibration(
        where,
        found=f"a fully sampled centre of {found} in a k-space of {' x '.join(map(str, full))}",
        expected=f"at least {wanted} around the centre, a separate calibration scan (Scan.calibration) that covers as much, "
        "or sensitivity maps of your own (Scan.csm)",
    )


def _mean_over_frames(data: Tensor, mask: Tensor, sides: Sides) -> Region:
    count = mask.sum(dim=1, keepdim=True)
    noise = float(count.double().reciprocal().mean().sqrt())
    return Region(torch.where(mask, data, 0).sum(dim=1, keepdim=True) / count, sides, noise)


def _central_window(scan: Scan, width: int) -> Region:
    sides = tuple(min(width, n) for n in scan.kspace.shape[3:])
    mask = crop(scan.mask & ~scan.padding, sides)
    if not bool(mask.any()):
        raise BadInput(
            scan.scan_id, f"nothing sampled in the central {width} x {width} of k-space", "samples there, from which to find the scale"
        )
    return Region(torch.where(mask, crop(scan.kspace, sides), 0), sides, noise=None)
