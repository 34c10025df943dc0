"""Distances between predicted and measured k-space, one value a scan. Samples outside the set that is compared are zero in both."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked

Kspace = Complex[Tensor, "batch frames coils *k"]


class Distance(ABC):
    """A distance, computed scan by scan, so that a loss does not depend on batch-mates."""

    @abstractmethod
    def __call__(
        self, predicted: Kspace, measured: Kspace, weight: Float[Tensor, "batch frames 1 *k"] | None = None
    ) -> Float[Tensor, " batch"]:
        r""":math:`d(u, v) \ge 0` of the prediction v from the measurement u, one a scan; 0 where they are equal, and NaN where nothing was
        measured of what is judged relative to it.

        With a `weight` W every sample stands for W samples like it: sums become :math:`\sum W |e|` and :math:`\sum W |e|^2`.
        """


def _parts(kspace: Tensor) -> Tensor:
    """Real and imaginary parts, one row a scan."""
    return torch.view_as_real(kspace).flatten(1)


def _l1(kspace: Kspace, weight: Tensor | None) -> Tensor:
    return torch.linalg.vector_norm(_parts(kspace if weight is None else kspace * weight), ord=1, dim=1)


def _l2(kspace: Kspace, weight: Tensor | None) -> Tensor:
    return torch.linalg.vector_norm(_parts(kspace if weight is None else kspace * weight.sqrt()), dim=1)


def _square(kspace: Kspace, weight: Tensor | None) -> Tensor:
    return _parts(kspace if weight is None else kspace * weight.sqrt()).square().sum(dim=1)


@dataclass(frozen=True)
class NormalizedL1L2(Distance):
    r"""SSDU's distance, :math:`\tfrac12 \|u - v\|_2 / \|u\|_2 + \tfrac12 \|u - v\|_1 / \|u\|_1` with the measured data u.

    As published, the l1 norm sums real and imaginary parts, :math:`\sum |{\rm Re}| + |{\rm Im}|`, not complex moduli. The same for any
    common scale of u and v.

    Yaman et al. Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Tensor | None = None) -> Tensor:
        difference = predicted - measured
        return 0.5 * _l2(difference, weight) / _l2(measured, weight) + 0.5 * _l1(difference, weight) / _l1(measured, weight)


@dataclass(frozen=True)
class NormalizedL1(Distance):
    r""":math:`\|u - v\|_1 / \|u\|_1` over real and imaginary parts: the l1 half of `NormalizedL1L2`, doubled (doi:10.1002/mrm.28378)."""

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Tensor | None = None) -> Tensor:
        return _l1(predicted - measured, weight) / _l1(measured, weight)


@dataclass(frozen=True)
class NormalizedSquare(Distance):
    r""":math:`\|u - v\|_2^2 / \|u\|_2^2`: that of `MeanSquare`, relative to what was measured, so that dark slices count as bright ones."""

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Tensor | None = None) -> Tensor:
        return _square(predicted - measured, weight) / _square(measured, weight)


@dataclass(frozen=True)
class MeanSquare(Distance):
    r""":math:`\tfrac1N \|u - v\|_2^2` with the N k-space locations of all frames, acquired or not; summed over coils.

    The distance whose minimiser is the conditional mean, and whose expectation over partitions is known exactly because nothing that is
    drawn divides it: what proofs of unbiasedness are about. In the scan's own units squared, in which a volume's brightest tissue is
    about 1.

    Millard & Chiew. A theoretical framework for self-supervised MR image reconstruction using sub-sampling via variable density
    Noisier2Noise. IEEE Trans Comput Imaging 9:707-720 (2023). doi:10.1109/TCI.2023.3299212
    """

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Tensor | None = None) -> Tensor:
        locations = measured.shape[1] * math.prod(measured.shape[3:])
        return _square(predicted - measured, weight) / locations
