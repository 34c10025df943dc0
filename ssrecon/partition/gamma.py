r""":math:`\Gamma`: acquired samples that neither network nor calibration sees, to validate on without truth."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.core.shapes import checked
from ssrecon.metrics.residual import heldout_residual
from ssrecon.operators import encoding
from ssrecon.partition.selection import (
    acquired,
    check_fraction,
    check_protected,
    choose,
    require_lines,
    to_mask,
)
from ssrecon.sampling.centre import centre_box
from ssrecon.sampling.lines import any_along, line_by_line


@dataclass(frozen=True)
class Gamma:
    r"""Gamma is the part of :math:`\Omega` that is held out for validation. It is drawn once a scan and is the same at every epoch.

    :math:`|\Gamma|` = floor(fraction x what may be held out), at least 1, per frame: uniform random lines where whole lines were acquired
    and points elsewhere, outside the calibration region (from which csm and scale came), the protected centre and padding. A line that
    touches the calibration region is inside it. The paper's own choice, points with only the centre kept, is
    ``Gamma(fraction=0.2, lines=False, spare_calibration=False)``.

    Yaman, Hosseini & Akçakaya. Zero-shot self-supervised learning for MRI reconstruction. ICLR 2022. doi:10.48550/arXiv.2102.07737
    """

    fraction: float = 0.2
    """The held-out share of the elements (lines or points) that may be held out."""
    lines: bool | None = None
    """Whole lines, points, or (None) lines where whole lines along a readout were acquired."""
    spare_calibration: bool = True
    """Whether the calibration region stays out of Gamma. If not, calibration has seen what validation is to judge."""
    protected: tuple[int, ...] = (4, 4)
    """Sides of the box about DC that is never held out; the first side holds for further axes, and for lines."""

    def __post_init__(self) -> None:
        check_fraction(self, "fraction", self.fraction)
        check_protected(self, self.protected)

    def hold_out(self, scan: CalibratedScan, draw: Draw) -> Bool[Tensor, "batch frames 1 *k"]:
        r"""Draw :math:`\Gamma` as a mask beside the scan; ``scan.on(~gamma)`` is what may be trained on.

        `draw.epoch` is ignored. Raises BadInput, naming the scan, where nothing can be held out or nothing would be left, and for
        ``lines=True`` where no whole lines were acquired.
        """
        omega = acquired(scan)
        calibration = scan.calibration[:, :, 0].cpu().numpy() & self.spare_calibration
        gamma = np.stack([self._gamma_of(scan[i], omega[i], calibration[i], draw) for i in range(len(scan.headers))])
        return to_mask(scan, gamma)

    def _gamma_of(
        self, scan: CalibratedScan, omega: Bool[np.ndarray, "frames *k"], calibration: Bool[np.ndarray, "1 *k"], draw: Draw
    ) -> Bool[np.ndarray, "frames *k"]:
        (header,) = scan.headers
        if self.lines:
            require_lines(scan, omega[None], "held-out lines")
        by_lines = header.encoding.has_readout and line_by_line(omega) if self.lines is None else self.lines
        if by_lines:
            elements = any_along(omega, -1) & ~any_along(calibration, -1)
            free = elements & ~centre_box(omega.shape[1:-1], self.protected[:1])
        else:
            free = omega & ~calibration & ~centre_box(omega.shape[1:], self.protected)
        generator = draw.at(0).generator("gamma", header.scan_key)
        counts = [max(1, math.floor(self.fraction * int(frame.sum()))) if frame.any() else 0 for frame in free]
        chosen = np.stack([choose(frame, count, generator) for frame, count in zip(free, counts, strict=True)])
        gamma = omega & (chosen[..., None] if by_lines else chosen)
        if not gamma.any() or (gamma == omega).all():
            kind = "lines" if by_lines else "points"
            found = f"{int(free.sum())} {kind} outside the calibration region and the centre, of {int(omega.sum())} acquired samples"
            raise BadInput(header.scan_id, found=found, expected="enough to hold some out for validation: points, or a smaller region kept")
        return gamma


@checked
def gamma_score(
    reconstruct: Callable[[CalibratedScan], Estimate], scan: CalibratedScan, gamma: Bool[Tensor, "batch frames 1 *k"]
) -> tuple[Float[Tensor, " batch"], Estimate]:
    r"""Reconstruct from :math:`\Omega\setminus\Gamma` and compare with the measurement on :math:`\Gamma`. Return scores and the estimate.

    The score of a scan is the mean over :math:`\Gamma` and coils of :math:`|y - E x|^2 / \sigma^2`, whose floor is 1. Where the noise is
    unknown it is relative to :math:`|y|^2` (`metrics.heldout_residual`).
    """
    estimate = reconstruct(scan.on(~gamma))
    held_out = scan.on(gamma).with_csm_of(estimate)
    predicted = encoding(held_out)(estimate.image)
    return heldout_residual(predicted, held_out.kspace, held_out.mask, held_out.noise_std), estimate
