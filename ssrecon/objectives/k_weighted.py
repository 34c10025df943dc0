"""K-weighting: SSDU with the sampling densities compensated, so that its expectation is the supervised loss."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.core.shapes import checked
from ssrecon.objectives.base import Draws, Loss
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.sampling_aware import SamplingAware, check_cap
from ssrecon.objectives.ssdu import held_out_loss
from ssrecon.partition import Bernoulli, Partition


@dataclass(frozen=True)
class KWeighted(SamplingAware):
    r"""This is SSDU whose held-out samples count for all that were not given to the network:

    .. math:: \Big\| (1 - K)^{-1/2}\, M_\Lambda \big(y - E f(y_\Theta)\big) \Big\|^2, \qquad
              1 - K_j = \frac{p_j (1 - \tilde p_j)}{1 - \tilde p_j p_j}

    with the density :math:`p_j` of the acquisition, estimated from the masks of the archive itself (`Sampling`), and the probability
    :math:`\tilde p_j` that a location of :math:`\Omega` stays in :math:`\Theta`, which is known. Given :math:`\Theta`, a location outside
    it is in :math:`\Lambda` with probability 1 - K, so that with independent draws and `MeanSquare` the expectation of the loss is the
    supervised one on all that :math:`\Theta` lacks. A density of 1 has the weight 1; a location that is never acquired has none and is not
    learned (`remarks`). Where the protected centre is never held out it is no target either.

    The theory needs a partition of the same kind as the acquisition, columns of columns and points of points, drawn anew at every pass: if
    columns were acquired and single points are split, :math:`\Theta` reveals the columns, and the weights are those of another law. The
    default looks at each scan's mask. And it needs locations that were acquired independently of each other. A lattice is the opposite (one
    column betrays all others) and a fixed number of columns is not quite that either: there the expectation is another loss, which may
    prefer another network. The paper draws columns by a density of order 8 with 10 in the centre, and keeps a quarter of them by the same
    law (``Bernoulli(0.75, order=8, lines=True, protected=(10,))``). `cap` bounds :math:`(1 - K)^{-1/2}`: the weights of locations that are
    hardly ever acquired would drown the rest in variance (the paper has no cap; ``cap=inf`` is it).

    The scan's csm was calibrated from samples of the centre, some of which may be held out: as for `SSDU`, errors that come of the csm are
    judged too mildly there. The authors' repository for Noisier2Noise divides by 1 - K inside the square, a weight of
    :math:`(1 - K)^{-2}` for the squared error; the unbiased one is here.

    Millard & Chiew. A theoretical framework for self-supervised MR image reconstruction using sub-sampling via variable density
    Noisier2Noise. IEEE Trans Comput Imaging 9:707-720 (2023). doi:10.1109/TCI.2023.3299212
    """

    partitioner: Bernoulli = Bernoulli(loss_fraction=0.4, lines=None)
    distance: Distance = MeanSquare()
    cap: float = 10.0

    def __post_init__(self) -> None:
        check_cap(self, self.cap)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        part = draws.part
        weight = k_weight(self.density(scan), part, self.cap)
        return held_out_loss(network, scan, part, self.distance, weight)


@checked
def k_weight(probability: Float[Tensor, "1 1 1 *k"], part: Partition, cap: float) -> Float[Tensor, "batch frames 1 *k"]:
    r"""Return :math:`1 / (1 - K)` on :math:`\Lambda`, at most cap squared, and zero elsewhere."""
    # The density in double precision: 1 - (1 - i) p loses its digits where p is near 1 and i is small.
    p, i = probability.double(), part.inclusion.double()
    weight = (1 - (1 - i) * p) / (p * i).clamp_min(torch.finfo(torch.float64).tiny)
    return torch.where(part.lambda_, weight.clamp(max=cap**2), 0).to(probability.dtype)
