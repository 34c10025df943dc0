"""Multi-mask SSDU: every scan is split in several ways."""

from dataclasses import dataclass

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, NormalizedL1L2
from ssrecon.objectives.ssdu import held_out_loss
from ssrecon.partition import Gaussian, Partitioner


@dataclass(frozen=True)
class MultiMaskSSDU(Objective):
    r"""This is SSDU with K splits of the same :math:`\Omega`: :math:`\tfrac1K \sum_k L(y_{\Lambda_k}, E_{\Lambda_k} f(y_{\Theta_k},
    E_{\Theta_k}))`.

    One step uses one split; successive passes over the data go through the K splits in turn, so that K passes are one epoch of the paper
    and methods compare at equal numbers of updates. `masks` fixed splits as published (one of them is SSDU, bit for bit), or ``None``: a
    new split at every pass. With 25 uniform splits, one scan and a stop by Gamma this is the objective of ZS-SSL.

    Yaman et al. Multi-mask self-supervised learning for physics-guided neural networks in highly accelerated magnetic resonance imaging.
    NMR Biomed 35:e4798 (2022). doi:10.1002/nbm.4798. Yaman et al. Zero-shot self-supervised learning for MRI reconstruction. ICLR 2022.
    """

    partitioner: Partitioner = Gaussian(loss_fraction=0.4)
    distance: Distance = NormalizedL1L2()
    masks: int | None = 4

    def __post_init__(self) -> None:
        if self.masks is not None and self.masks < 1:
            raise BadRecipe("MultiMaskSSDU.masks", found=str(self.masks), expected="a number of masks of 1 or more, or None to redraw")

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        which = draw if self.masks is None else draw.at(draw.epoch % self.masks)
        return Draws(part=self.partitioner.split(scan, which))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        return held_out_loss(network, scan, draws.part, self.distance)
