"""JSSL: a few references, many undersampled scans."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ssrecon.draw import Draw
from ssrecon.errors import BadRecipe
from ssrecon.objectives.base import Loss, Network, Objective
from ssrecon.objectives.distances import Distance, NormalizedL1L2
from ssrecon.objectives.measurement import predicted
from ssrecon.partition import Gaussian, Partitioner
from ssrecon.scan import CalibratedScan


@dataclass(frozen=True)
class JSSL(Objective):
    r"""Joint supervised and self-supervised learning: scans with a fully sampled reference are trained on it, all others as by SSDU.

    .. math:: L\big(y_{\rm full}, E_{\rm full} f(y_\Omega)\big) \quad\text{or}\quad L\big(y_\Lambda, E_\Lambda f(y_\Theta)\big)

    Both are in k-space, by one distance. `fraction` is the part of the subjects whose reference may be used, chosen by the subject's name
    alone (the same in every pass and at every seed): on an archive that has references for all it is the number of references that is
    studied, and 1 uses those there are. The paper pairs an archive that can be fully sampled (brains, knees) with one that cannot (hearts,
    prostates); one folder with both is that.

    Yiasemis et al. JSSL: joint supervised and self-supervised learning for MRI reconstruction. arXiv:2311.15856 (2023)
    """

    partitioner: Partitioner = Gaussian(loss_fraction=0.4)
    distance: Distance = NormalizedL1L2()
    fraction: float = 1.0
    takes_reference: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise BadRecipe("JSSL.fraction", found=repr(self.fraction), expected="a number from 0 to 1")

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draw: Draw) -> Loss:
        part = self.partitioner.split(scan, draw)
        supervised = torch.tensor([reference is not None and self.uses(header.subject) for header in scan.headers]).to(scan.mask.device)
        # One pass of the network for both kinds: it is given everything where it is judged on the reference.
        given = part.theta | (supervised.reshape(-1, *[1] * (scan.mask.ndim - 1)) & scan.mask)
        estimate = network(scan.on(given))
        value = torch.zeros_like(scan.scale)
        held_out = scan.on(part.lambda_)
        if not bool(supervised.all()):
            value = self.distance(predicted(held_out, estimate), held_out.kspace)
        if reference is not None and bool(supervised.any()):
            value = torch.where(supervised, self.distance(predicted(reference, estimate), reference.kspace), value)
        return Loss(value)

    def uses(self, subject: str) -> bool:
        """Whether a subject's reference may be used."""
        return float(Draw(0).generator("reference", subject).random()) < self.fraction
