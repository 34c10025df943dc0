"""Coil sensitivities: from one image to what each coil sees."""

from dataclasses import dataclass

from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.operators.linear import LinearOperator


@dataclass(frozen=True, eq=False)
class Sensitivity(LinearOperator):
    r"""The operator multiplies by the coil sensitivities and sums over the map sets: :math:`(S x)_c = \sum_m s_{mc}\, x_m`.

    Two map sets are ESPIRiT's soft SENSE for objects larger than the field of view (Uecker et al. 2014, doi:10.1002/mrm.24751).
    """

    csm: Complex[Tensor, "batch maps coils *x"]

    @checked
    def __call__(self, x: Complex[Tensor, "batch frames maps *x"]) -> Complex[Tensor, "batch frames coils *x"]:
        if self.csm.shape[1] == 1:
            return x * self.csm
        return (x.unsqueeze(3) * self.csm.unsqueeze(1)).sum(dim=2)

    @checked
    def adjoint(self, y: Complex[Tensor, "batch frames coils *x"]) -> Complex[Tensor, "batch frames maps *x"]:
        return (y.unsqueeze(2) * self.csm.conj().unsqueeze(1)).sum(dim=3)

    @checked
    def gram(self, x: Complex[Tensor, "batch frames maps *x"]) -> Complex[Tensor, "batch frames maps *x"]:
        return self.adjoint(self(x))
