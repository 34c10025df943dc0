"""The l1 norm of the error relative to the measurement."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.objectives.distances.base import Distance, Kspace, Weight
from ssrecon.objectives.distances.norms import l1_norm


@dataclass(frozen=True)
class NormalizedL1(Distance):
    r"""The distance :math:`\|u - v\|_1 / \|u\|_1` over real and imaginary parts is twice the l1 half of `NormalizedL1L2`.

    Yaman et al. Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Weight = None) -> Float[Tensor, " batch"]:
        return l1_norm(predicted - measured, weight) / l1_norm(measured, weight)
