"""SSDU's distance: half an l2 norm and half an l1 norm, both relative to the measurement."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.objectives.distances.base import Distance, Kspace, Weight
from ssrecon.objectives.distances.norms import l1_norm, l2_norm


@dataclass(frozen=True)
class NormalizedL1L2(Distance):
    r"""SSDU's distance is :math:`\tfrac12 \|u - v\|_2 / \|u\|_2 + \tfrac12 \|u - v\|_1 / \|u\|_1` with the measured data u.

    As published, the l1 norm sums real and imaginary parts, :math:`\sum |{\rm Re}| + |{\rm Im}|`, not complex moduli. A common scale of u
    and v changes nothing.

    Yaman et al. Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Weight = None) -> Float[Tensor, " batch"]:
        difference = predicted - measured
        return 0.5 * l2_norm(difference, weight) / l2_norm(measured, weight) + 0.5 * l1_norm(difference, weight) / l1_norm(measured, weight)
