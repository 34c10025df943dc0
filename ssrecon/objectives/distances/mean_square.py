"""The squared error a location, which proofs of unbiasedness are about."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ssrecon.core.shapes import checked
from ssrecon.objectives.distances.base import Distance, Kspace, Weight
from ssrecon.objectives.distances.norms import sum_of_squares


@dataclass(frozen=True)
class MeanSquare(Distance):
    r"""The distance :math:`\tfrac1N \|u - v\|_2^2` sums over coils; N counts the k-space locations of all frames, acquired or not.

    Its minimiser is the conditional mean, and its expectation over partitions is known exactly, because nothing that is drawn divides it:
    proofs of unbiasedness are about this distance. It is in the scan's own units squared, in which a volume's brightest tissue is about 1.

    Millard & Chiew. A theoretical framework for self-supervised MR image reconstruction using sub-sampling via variable density
    Noisier2Noise. IEEE Trans Comput Imaging 9:707-720 (2023). doi:10.1109/TCI.2023.3299212
    """

    @checked
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Weight = None) -> Float[Tensor, " batch"]:
        locations = measured.shape[1] * math.prod(measured.shape[3:])
        return sum_of_squares(predicted - measured, weight) / locations
