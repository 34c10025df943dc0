"""ENSURE: SURE weighted by how often each location is acquired, for an archive whose masks differ."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss
from ssrecon.objectives.sampling_aware import SamplingAware, check_cap
from ssrecon.objectives.sure import check_step, divergence_probe, risk


@dataclass(frozen=True)
class ENSURE(SamplingAware):
    r"""ENSURE is SURE on what was acquired, with every location weighted by :math:`1 / p_j`, the inverse of the archive's own density
    (`Sampling`):

    .. math:: \frac1m \sum_{j \in \Omega} \frac1{p_j} \Big( |h_j - y_j|^2 - \sigma^2
              + \frac{2\sigma^2}{\tau} {\rm Re}\, \bar b_j \big(h_j(y + \tau b) - h_j(y)\big) \Big)

    Over masks and noise its sum is in expectation the error of all of k-space, **if the error does not depend on the mask**. A network with
    data consistency errs less where it was given samples, so that ENSURE underestimates what is missing: for zero-filling without noise
    it is 0 whatever the truth. Use it for what it is, a weighted SURE; methods that hold samples out have no such blind spot.

    In the paper the residual is taken in image space, after the pseudo-inverse :math:`A^+`, and weighted by the square root of the
    expected projection; here each coil's k-space is weighted instead, which is the same for one coil, and needs no solve for several.
    `cap` bounds :math:`p^{-1/2}`.

    Aggarwal, Pramanik, John & Jacob. ENSURE: a general approach for unsupervised training of deep image reconstruction algorithms. IEEE
    Trans Med Imaging 42:1133-1144 (2023). doi:10.1109/TMI.2022.3224359
    """

    step: float = 0.1
    """This is the step of the divergence, in units of the noise level."""
    cap: float = 10.0
    holds_out: ClassVar[bool] = False
    needs_noise_level: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_step(self, self.step)
        check_cap(self, self.cap)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(probe=divergence_probe(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        probability = self.density(scan)
        # On Omega p is positive; elsewhere nothing is weighted.
        weight = torch.where(scan.mask, 1 / probability.clamp_min(self.cap**-2), 0)
        return Loss(*risk(network, scan, network(scan), draws.probe, self.step, weight))
