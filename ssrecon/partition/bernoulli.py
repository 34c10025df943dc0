"""Independent coin flips, as the density-compensated objectives need."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import CalibratedScan, Header
from ssrecon.partition.base import Partition, Partitioner
from ssrecon.partition.selection import (
    BoolArray,
    FloatArray,
    acquired,
    assemble,
    check_fraction,
    check_protected,
    radius_below_one,
    require_lines,
)
from ssrecon.sampling.centre import centre_box
from ssrecon.sampling.lines import any_along, line_by_line

ATTEMPTS = 100


@dataclass(frozen=True)
class Bernoulli(Partitioner):
    r"""Every element falls into :math:`\Lambda` on its own, with a probability that is known exactly and does not depend on :math:`\Omega`.

    With `order` = 0 that probability is `loss_fraction` everywhere. With a higher order the *kept* density falls from the centre outwards,

    .. math:: P(k \in \Theta) = \min\big(1, (1 - r_k)^p + c\big)

    with c such that its mean over the matrix outside the protected centre is 1 - loss_fraction (c may be negative; then P stops at 0): the
    second mask of Noisier2Noise, of the same kind as a variable-density :math:`\Omega`. The size of :math:`\Lambda` varies; where it comes
    out empty the coins of that scan are thrown again, up to `ATTEMPTS` times, which makes every probability larger by one part in
    1 / P(empty), a number beyond reach of any real scan. Raises BadInput where it stays empty, and for lines where
    none were acquired.

    Millard & Chiew. A theoretical framework for self-supervised MR image reconstruction using sub-sampling via variable density
    Noisier2Noise. IEEE Trans Comput Imaging 9:707-720 (2023). doi:10.1109/TCI.2023.3299212
    """

    loss_fraction: float = 0.4
    """The mean probability of falling into Lambda."""
    order: float = 0.0
    """The power p of the kept density, 0 or more."""
    lines: bool | None = False
    """Whole phase-encoding lines rather than points; None: lines where whole lines along a readout were acquired."""
    protected: tuple[int, ...] = (4, 4)
    """Sides of the box about DC that always stays in Theta, as ``*k``; the first side holds for further axes, and for lines."""

    def __post_init__(self) -> None:
        check_fraction(self, "loss_fraction", self.loss_fraction)
        check_protected(self, self.protected)
        if not 0 <= self.order < float("inf"):
            raise BadRecipe("Bernoulli.order", found=repr(self.order), expected="0 or more")

    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        omega = acquired(scan)
        if self.lines:
            require_lines(scan, omega, "a split of whole lines")
        choices = [self._choose_lambda(header, own, draw) for header, own in zip(scan.headers, omega, strict=True)]
        chosen, inclusion = (np.stack(parts) for parts in zip(*choices, strict=True))
        return assemble(scan, omega, chosen, inclusion, lines=False)

    def _choose_lambda(self, header: Header, omega: Bool[np.ndarray, "frames *k"], draw: Draw) -> tuple[BoolArray, FloatArray]:
        """Return what is chosen of one scan, and how likely each element was to be chosen, on the whole grid."""
        lines = header.encoding.has_readout and line_by_line(omega) if self.lines is None else self.lines
        elements = any_along(omega, -1) if lines else omega
        protected = self.protected[:1] if lines else self.protected
        inclusion = _probability_in_lambda(elements.shape[1:], self.loss_fraction, self.order, protected)
        generator = draw.generator("partition", header.scan_key)
        for _ in range(ATTEMPTS):
            chosen = generator.random(elements.shape) < inclusion
            if (chosen & elements).any():
                break
        if lines:
            chosen, inclusion = chosen[..., None], inclusion[..., None]
        return np.broadcast_to(chosen, omega.shape), np.broadcast_to(inclusion, omega.shape)


@lru_cache(maxsize=32)
def _probability_in_lambda(
    shape: tuple[int, ...], loss_fraction: float, order: float, protected: Sequence[int]
) -> Float[np.ndarray, " *k"]:
    free = ~centre_box(shape, protected)
    if order == 0:
        return np.where(free, loss_fraction, 0.0)
    falling = (1 - radius_below_one(shape)) ** order
    low, high = -1.0, 1.0
    for _ in range(60):  # the mean rises with c: halve the interval until it is as narrow as a double can tell
        middle = (low + high) / 2
        mean = np.clip(falling + middle, 0, 1)[free].mean()
        low, high = (middle, high) if mean < 1 - loss_fraction else (low, middle)
    return np.where(free, 1 - np.clip(falling + high, 0, 1), 0.0)
