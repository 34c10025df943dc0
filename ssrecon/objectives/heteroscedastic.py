"""A heteroscedastic loss on held-out k-space: the network says how wrong it expects to be, and is held to it without truth."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.per_scan import per_scan
from ssrecon.core.scan import CalibratedScan
from ssrecon.objectives.base import Draws, Loss, Network, Objective
from ssrecon.objectives.measurement import noise_level, predicted
from ssrecon.partition import Partitioner, Uniform


@dataclass(frozen=True)
class Heteroscedastic(Objective):
    r"""The loss is the negative log likelihood of what was held out, per sample of :math:`\Lambda` and coil, under a complex Gaussian:

    .. math:: \frac{1}{N_c |\Lambda|} \sum_{k \in \Lambda} \Big[ \log(\pi s_k^2) + \frac{|y_k - (E f)_k|^2}{s_k^2} \Big], \qquad
              s_k^2 = \sigma^2 + u_k^2

    where :math:`u_k` is the error that the network expects of its own prediction (`Estimate.kspace_std`, which `WithUncertainty` adds to
    any network). The scale never falls below the noise floor :math:`\sigma`, which held-out samples have whatever the network does, so
    that u means the network's part alone. A network that says nothing of it gets one u for the scan, the most likely one.

    The likelihood lets a network neglect what is hard, because its gradient there is divided by :math:`s^2`. With `beta` > 0 each sample is
    weighted by :math:`{\rm sg}(s^2)^\beta`: 1 is the mean square for the image, and 0.5 the compromise of its authors. u is calibrated only
    for locations like those held out, in k-space: it gives no coverage in the image; and near DC, where the csm was calibrated from
    samples that may be held out, it is a little too small.

    Kendall & Gal. What uncertainties do we need in Bayesian deep learning for computer vision? NeurIPS 2017. doi:10.48550/arXiv.1703.04977.
    Seitzer et al. On the pitfalls of heteroscedastic uncertainty estimation with probabilistic neural networks. ICLR 2022.
    doi:10.48550/arXiv.2203.09168
    """

    partitioner: Partitioner = Uniform(loss_fraction=0.4)
    beta: float = 0.5
    needs_noise_level: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 1:
            raise BadRecipe("Heteroscedastic.beta", found=repr(self.beta), expected="a number from 0 to 1")

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        part = draws.part
        held_out = scan.on(part.lambda_)
        estimate = network(scan.on(part.theta))
        squares = torch.view_as_real(predicted(held_out, estimate) - held_out.kspace).square().sum(dim=(2, -1))  # over coils
        squares, lambda_, coils = squares.unsqueeze(2), held_out.mask, scan.kspace.shape[2]
        floor = per_scan(noise_level(scan) ** 2, squares)
        if estimate.kspace_std is None:
            most_likely = squares.flatten(1).sum(dim=1) / (coils * lambda_.flatten(1).sum(dim=1))
            variance = torch.maximum(per_scan(most_likely, squares), floor)
        else:
            variance = floor + estimate.kspace_std**2
        likelihood = coils * torch.log(math.pi * variance) + squares / variance
        return Loss(_mean_inside(likelihood * variance.detach() ** self.beta, lambda_) / coils)


def _mean_inside(values: Float[Tensor, "batch frames 1 *k"], where: Tensor) -> Float[Tensor, " batch"]:
    return torch.where(where, values, 0).flatten(1).sum(dim=1) / where.flatten(1).sum(dim=1)
