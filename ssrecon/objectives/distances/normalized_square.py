"""The squared error relative to the measurement."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.objectives.distances.base import Distance, Kspace, Weight
from ssrecon.objectives.distances.norms import sum_of_squares


@dataclass(frozen=True)
class NormalizedSquare(Distance):
    r"""The distance :math:`\|u - v\|_2^2 / \|u\|_2^2` is relative to what was measured, so that dark slices count as bright ones."""

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Weight = None) -> Float[Tensor, " batch"]:
        return sum_of_squares(predicted - measured, weight) / sum_of_squares(measured, weight)
