"""Sampling: which k-space locations were acquired."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.operators.linear import LinearOperator


@checked
@dataclass(frozen=True, eq=False)
class Mask(LinearOperator):
    """The operator keeps the samples of a boolean mask and drops the others with `where`, so that a NaN outside does no harm."""

    mask: Bool[Tensor, "batch frames 1 *k"]

    @checked
    def __call__(self, x: Complex[Tensor, "batch frames coils *k"]) -> Complex[Tensor, "batch frames coils *k"]:
        return torch.where(self.mask, x, 0)

    @checked
    def adjoint(self, y: Complex[Tensor, "batch frames coils *k"]) -> Complex[Tensor, "batch frames coils *k"]:
        return torch.where(self.mask, y, 0)

    @checked
    def gram(self, x: Complex[Tensor, "batch frames coils *k"]) -> Complex[Tensor, "batch frames coils *k"]:
        return torch.where(self.mask, x, 0)
