"""DDSS: dual-domain self-supervision, k-space from either part and images that look alike."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import at_least
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, NormalizedL1L2
from ssrecon.objectives.measurement import l1_norm, predicted, relative, support
from ssrecon.objectives.parallel_branches import branches
from ssrecon.partition import Partitioner, Uniform


@dataclass(frozen=True)
class DDSS(Objective):
    r"""DDSS splits in both domains. Let x be the image of all of :math:`\Omega`, and :math:`x_1, x_2` those of its two parts:

    .. math:: \sum_{b = 1, 2} d\big(y, E x_b\big) + d\big(y, E x\big)
              + \gamma \sum_{b} \frac{\|x_b - x\|_1 + \eta \|\nabla x_b - \nabla x\|_1}{\|x\|_1 + \eta \|\nabla x\|_1}

    The network predicts k-space from either part and from the whole, and the images have to look alike inside the object, with forward
    differences :math:`\nabla`.
    Both parts hold the centre of k-space (see `ParallelBranches`). Norms are over real and imaginary parts and the image term is relative,
    so that `appearance` means the same at any brightness. The paper is about non-Cartesian scans; its weights could not be verified, those
    here are this project's.

    Zhou et al. Dual-domain self-supervised learning for accelerated non-Cartesian MRI reconstruction. Med Image Anal 81:102538 (2022).
    doi:10.1016/j.media.2022.102538
    """

    partitioner: Partitioner = Uniform(loss_fraction=0.5)
    distance: Distance = NormalizedL1L2()
    appearance: float = 1.0
    r"""This is :math:`\gamma`."""
    gradient: float = 1.0
    r"""This is :math:`\eta`."""

    def __post_init__(self) -> None:
        at_least(self, appearance=0, gradient=0)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        whole = network(scan)
        kspace = self.distance(predicted(scan, whole), scan.kspace)
        # Only where a coil sees anything, and by a norm without a gradient: no data hold an image outside the object, and one that grows
        # there would make every difference small beside it.
        inside = support(scan.csm)
        norm = self._norm_with_gradient(whole.image.detach() * inside)
        appearance = torch.zeros_like(kspace)
        for given in branches(scan, draws.part):
            part = network(scan.on(given))
            kspace = kspace + self.distance(predicted(scan, part), scan.kspace)
            appearance = appearance + self.appearance * relative(self._norm_with_gradient((part.image - whole.image) * inside), norm)
        return Loss(kspace + appearance, {"kspace": kspace, "appearance": appearance})

    def _norm_with_gradient(self, image: Complex[Tensor, "batch frames maps *x"]) -> Float[Tensor, " batch"]:
        r"""Return :math:`\|x\|_1 + \eta \|\nabla x\|_1`, one value a scan."""
        steps = sum(l1_norm(image.diff(dim=axis)) for axis in range(3, image.ndim))
        return l1_norm(image) + self.gradient * steps
