"""SSDU's own selection: points near the centre are likelier to be held out."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from ssrecon.core.draw import Draw
from ssrecon.core.errors import positive
from ssrecon.core.scan import CalibratedScan
from ssrecon.partition.base import Partition, Partitioner
from ssrecon.partition.selection import check_fraction, check_protected, split_exactly


@dataclass(frozen=True)
class Gaussian(Partitioner):
    r"""Lambda is points of :math:`\Omega`, drawn by a Gaussian density about DC with :math:`\sigma = (N - 1)` / `std_scale` on every axis.

    The readout is an axis too.

    As published, a point is drawn by rounding :math:`N(N // 2, \sigma)` to the grid, again and again until enough different points of
    :math:`\Omega` outside the protected centre were hit. So the weight of a grid point is the Gaussian integrated over its pixel,

    .. math:: w_k = \prod_{axes} \Phi\big((k - c + \tfrac12)/\sigma\big) - \Phi\big((k - c - \tfrac12)/\sigma\big)

    and `choose` draws from the very same law without a loop. Two things differ from the published code: :math:`|\Lambda|` is
    floor(loss_fraction x what may be split) and not one more than ceil(loss_fraction x :math:`|\Omega|`), and the centre c is DC,
    ``N // 2``, and not the brightest sample, which a phase wrap or a spike moves. `inclusion` is an approximation
    (see `inclusion_probability`).

    Yaman et al. Self-supervised learning of physics-guided reconstruction neural networks without fully sampled reference data.
    Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    loss_fraction: float = 0.4
    r""":math:`|\Lambda|` over the number of samples that may be split, per scan and frame."""
    std_scale: float = 4.0
    """How many standard deviations the matrix is wide; between 2 and 4 as recommended by the authors."""
    protected: tuple[int, ...] = (4, 4)
    """Sides of the box about DC that always stays in Theta, in the order of ``*k``; for more axes the first side is repeated."""

    def __post_init__(self) -> None:
        check_fraction(self, "loss_fraction", self.loss_fraction)
        check_protected(self, self.protected)
        positive(self, "std_scale")

    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        return split_exactly(scan, draw, self.loss_fraction, self.protected, log_pixel_mass(tuple(scan.mask.shape[3:]), self.std_scale))


@lru_cache(maxsize=32)
def log_pixel_mass(shape: tuple[int, ...], std_scale: float) -> Float[np.ndarray, " *k"]:
    """Return the logarithm of w of `Gaussian`, which stays finite where w itself would underflow."""
    from scipy.special import log_ndtr

    total = np.zeros(shape)
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        sigma, distance = (n - 1) / std_scale, np.abs(np.arange(n) - n // 2)
        near, far = log_ndtr((0.5 - distance) / sigma), log_ndtr((-0.5 - distance) / sigma)
        total += (near + np.log1p(-np.exp(far - near))).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    total.flags.writeable = False
    return total
