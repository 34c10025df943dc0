"""Compressed sensing with parallel imaging: sparse in wavelets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssrecon.algorithms.power_iteration import power_iteration
from ssrecon.algorithms.proximal_gradient import proximal_gradient, soft_threshold
from ssrecon.baselines.base import Baseline
from ssrecon.core.draw import Draw
from ssrecon.core.errors import at_least
from ssrecon.core.per_scan import per_scan
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.operators import LinearOperator, encoding
from ssrecon.operators.wavelet import Wavelet, deepest_level

STEP_MARGIN = 1.05
"""Power iteration approaches the largest eigenvalue from below; the step is shorter by this much."""


@dataclass(frozen=True)
class L1Wavelet(Baseline):
    r"""Compressed sensing takes exactly `iterations` steps towards :math:`\min_x \frac12\|E x - y\|^2 + \lambda\|W x\|_1`.

    They are those of accelerated proximal gradients.

    E is the encoding, y what was acquired, W the orthonormal Daubechies-4 transform (`operators.wavelet`), so that its proximal map is
    :math:`W^H \mathrm{soft}(W x)`, exact because the iteration runs on the padded image. Lambda is in units of the image, whose bright
    tissue is about 1. `cycle_spinning` shifts the grid of the wavelets at random in each iteration, which takes their blockiness away;
    the result is then no longer the minimiser of one fixed problem.

    Lustig, Donoho & Pauly. Sparse MRI. Magn Reson Med 58:1182-1195 (2007). doi:10.1002/mrm.21391
    Figueiredo & Nowak. An EM algorithm for wavelet-based image restoration. IEEE Trans Image Process 12:906-916 (2003).
    doi:10.1109/TIP.2003.814255
    """

    regularisation: float = 0.003
    iterations: int = 100
    cycle_spinning: bool = True

    def __post_init__(self) -> None:
        at_least(self, regularisation=0, iterations=1)

    def reconstruct(self, scan: CalibratedScan) -> Estimate:
        E = encoding(scan)
        shape = tuple(scan.kspace.shape[3:])
        W = Wavelet(shape, deepest_level(shape))
        zero_filled = E.adjoint(scan.kspace)
        step = 1 / (STEP_MARGIN * _lipschitz_constant(E, zero_filled))
        shifts = self._shifts(W.padded)

        def gradient(x: Tensor) -> Tensor:
            return W.pad(E.gram(W.crop(x)) - zero_filled)

        def prox(x: Tensor, iteration: int) -> Tensor:
            axes, shift = tuple(range(-len(shape), 0)), shifts[iteration]
            shifted = torch.roll(x, shift, dims=axes)
            sparse = W.synthesis(soft_threshold(W.analysis(shifted), self.regularisation * step))
            return torch.roll(sparse, tuple(-s for s in shift), dims=axes)

        return Estimate(W.crop(proximal_gradient(gradient, prox, W.pad(zero_filled), step, self.iterations)))

    def _shifts(self, padded: tuple[int, ...]) -> list[tuple[int, ...]]:
        # One sequence for all scans: the result is the same in any batch.
        generator = Draw(0).generator("cycle spinning")
        drawn = [tuple(int(generator.integers(size)) for size in padded) for _ in range(self.iterations)]
        return drawn if self.cycle_spinning else [(0,) * len(padded)] * self.iterations


def _lipschitz_constant(E: LinearOperator, initial: Tensor) -> Tensor:
    """Return the Lipschitz constant of each scan's data term in a shape that divides its image; 1 for a scan of zeros."""
    largest = power_iteration(E.gram, initial)
    return per_scan(torch.where(largest > 0, largest, 1), initial)
