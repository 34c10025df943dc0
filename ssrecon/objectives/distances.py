"""Distances between predicted and measured k-space, one value a scan. Samples outside the set that is compared are zero in both."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor


class Distance(ABC):
    """A distance, computed scan by scan, so that a loss does not depend on batch-mates."""

    @abstractmethod
    def __call__(
        self, predicted: Complex[Tensor, "batch frames coils *k"], measured: Complex[Tensor, "batch frames coils *k"]
    ) -> Float[Tensor, " batch"]:
        """:math:`d(u, v) \\ge 0` of the prediction v from the measurement u, one a scan; 0 where they are equal, the same for any common
        scale of both, and NaN where nothing was measured."""


def _parts(kspace: Tensor) -> Tensor:
    return torch.view_as_real(kspace).flatten(1)


@dataclass(frozen=True)
class NormalizedL1L2(Distance):
    r"""SSDU's distance, :math:`\tfrac12 \|u - v\|_2 / \|u\|_2 + \tfrac12 \|u - v\|_1 / \|u\|_1` with the measured data u.

    As published, the l1 norm sums real and imaginary parts, :math:`\sum |{\rm Re}| + |{\rm Im}|`, not complex moduli.

    Yaman et al. Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    def __call__(self, predicted: Tensor, measured: Tensor) -> Tensor:
        difference, data = _parts(predicted - measured), _parts(measured)
        l2 = torch.linalg.vector_norm(difference, dim=1) / torch.linalg.vector_norm(data, dim=1)
        l1 = torch.linalg.vector_norm(difference, ord=1, dim=1) / torch.linalg.vector_norm(data, ord=1, dim=1)
        return 0.5 * l2 + 0.5 * l1


@dataclass(frozen=True)
class NormalizedL1(Distance):
    r""":math:`\|u - v\|_1 / \|u\|_1` over real and imaginary parts: the l1 half of `NormalizedL1L2`, doubled (doi:10.1002/mrm.28378)."""

    def __call__(self, predicted: Tensor, measured: Tensor) -> Tensor:
        difference, data = _parts(predicted - measured), _parts(measured)
        return torch.linalg.vector_norm(difference, ord=1, dim=1) / torch.linalg.vector_norm(data, ord=1, dim=1)


@dataclass(frozen=True)
class NormalizedSquare(Distance):
    r""":math:`\|u - v\|_2^2 / \|u\|_2^2`: the distance whose minimiser is the conditional mean, which unbiasedness proofs need.

    Millard & Chiew. A theoretical framework for self-supervised MR image reconstruction using sub-sampling via variable density
    Noisier2Noise. IEEE Trans Comput Imaging 9:707-720 (2023).
    """

    def __call__(self, predicted: Tensor, measured: Tensor) -> Tensor:
        difference, data = _parts(predicted - measured), _parts(measured)
        return difference.square().sum(dim=1) / data.square().sum(dim=1)
