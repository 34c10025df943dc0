"""What a distance is: it compares predicted with measured k-space, and gives one value a scan."""

from abc import ABC, abstractmethod

from jaxtyping import Complex, Float
from torch import Tensor

Kspace = Complex[Tensor, "batch frames coils *k"]
Weight = Float[Tensor, "batch frames 1 *k"] | None


class Distance(ABC):
    """A distance is computed scan by scan, so that a loss does not depend on batch-mates.

    Samples outside the set that is compared are zero in both the prediction and the measurement. Frozen dataclasses: the object is its own
    configuration.
    """

    @abstractmethod
    def __call__(self, predicted: Kspace, measured: Kspace, weight: Weight = None) -> Float[Tensor, " batch"]:
        r"""Return the distance :math:`d(u, v) \ge 0` between the measurement u and the prediction v, one value a scan.

        It is 0 where they are equal. A distance relative to the measurement is NaN where nothing was measured. With a `weight` W every
        sample stands for W samples like it: sums become :math:`\sum W |e|` and :math:`\sum W |e|^2`.
        """
