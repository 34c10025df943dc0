"""Where a scan may be calibrated: the largest fully sampled rectangle about the centre of k-space."""

from jaxtyping import Bool
from torch import Tensor

from ssrecon.core.errors import NoCalibration
from ssrecon.core.shapes import checked
from ssrecon.core.window import crop as crop
from ssrecon.sampling.centre import Sides, centred_region


@checked
def frames_region(mask: Bool[Tensor, "1 frames 1 *k"], width: int, smallest: int) -> tuple[Sides, bool]:
    """The region that every frame sampled; where that is smaller than `smallest`, the region that the frames sampled between them.

    Returns the sides, and whether every frame sampled them.
    """
    everywhere = centred_region(mask[0, :, 0].all(dim=0), width)
    if large_enough(everywhere, smallest) or mask.shape[1] == 1:
        return everywhere, True
    between = centred_region(mask[0, :, 0].any(dim=0), width)
    return (between, False) if large_enough(between, smallest) else (everywhere, True)


def large_enough(sides: Sides, smallest: int) -> bool:
    return min(sides) >= smallest


def require(where: object, sides: Sides, full: Sides, smallest: int) -> None:
    """Raises NoCalibration, saying which calibration would do, where a side is shorter than `smallest`."""
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
