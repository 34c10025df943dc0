"""Robust SSDU: held-out k-space for what is missing, added noise for what is noisy."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import positive
from ssrecon.core.scan import CalibratedScan, Estimate, Network
from ssrecon.objectives.base import Draws, Loss
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.k_weighted import k_weight
from ssrecon.objectives.measurement import noise_level, noisier, operator_of, predicted, white_noise
from ssrecon.objectives.sampling_aware import SamplingAware, check_cap
from ssrecon.partition import Bernoulli


@dataclass(frozen=True)
class RobustSSDU(SamplingAware):
    r"""This is K-weighted SSDU from an input with noise added, judged on all of :math:`\Omega`, with a correction at test time. With
    :math:`\tilde y = M_\Theta (y + \tilde n)`, and :math:`\tilde n` of standard deviation :math:`\alpha\sigma`, the loss is

    .. math:: \Big\| (1 - K)^{-1/2} M_\Lambda (y - E f(\tilde y)) \Big\|^2
              + \Big\| \frac{1 + \alpha^2}{\alpha^2} M_\Theta (y - E f(\tilde y)) \Big\|^2

    Given the input, the added noise is :math:`\alpha^2` times the measurement's own in expectation, so that the noiseless sample is
    :math:`((1 + \alpha^2) E f - \tilde y) / \alpha^2` on what was given; `reconstruct` does that:

    .. math:: \hat x = f + \tfrac1{\alpha^2} E^H (E f - y)

    As the authors do, the correction is evaluated at the input y itself, less noisy than what the network was trained on;
    ``noisy_at_test=True`` adds the noise there too, as the theory has it. :math:`\sigma` is the whitened scan's: one level for all coils,
    no correlation left. A level that is told too small makes the correction wrong without a sign of it; a small :math:`\alpha` amplifies
    the network's own error by :math:`(1 + \alpha^2) / \alpha^2`. As :math:`\sigma \to 0` the second term is plain data consistency and the
    first K-weighted SSDU. ``weighted=False`` drops both weights (the paper's "unweighted"). What
    `KWeighted` says of its conditions and of the paper's partitions holds here.

    Millard & Chiew. Clean self-supervised MRI reconstruction from noisy, sub-sampled training data with Robust SSDU. Bioengineering 11:1305
    (2024). doi:10.3390/bioengineering11121305
    """

    partitioner: Bernoulli = Bernoulli(loss_fraction=0.4, lines=None)
    distance: Distance = MeanSquare()
    alpha: float = 1.0
    weighted: bool = True
    noisy_at_test: bool = False
    cap: float = 10.0
    needs_noise_level: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive(self, "alpha")
        check_cap(self, self.cap)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw), noise=white_noise(scan, draw, "noisier"))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        part = draws.part
        estimate = network(self._noisier(scan.on(part.theta), draws.noise))
        if self.weighted:
            held_out = k_weight(self.density(scan), part, self.cap)
            weight = torch.where(part.theta, (1 + self.alpha**-2) ** 2, held_out)
        else:
            weight = None
        judged = scan.on(part.theta | part.lambda_)
        return Loss(self.distance(predicted(judged, estimate), judged.kspace, weight))

    def test_draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(noise=white_noise(scan, draw, "noisier")) if self.noisy_at_test else Draws()

    def reconstruct(self, network: Network, scan: CalibratedScan, draws: Draws) -> Estimate:
        given = self._noisier(scan, draws.noise) if self.noisy_at_test else scan
        estimate = network(given)
        operator = operator_of(given, estimate)
        residual = operator(estimate.image) - given.kspace
        return replace(estimate, image=estimate.image + operator.adjoint(residual) / self.alpha**2)

    def _noisier(self, scan: CalibratedScan, noise: Complex[Tensor, "batch frames coils *k"]) -> CalibratedScan:
        return noisier(scan, noise, self.alpha * noise_level(scan))
