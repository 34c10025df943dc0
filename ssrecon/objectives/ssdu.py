"""SSDU: self-supervised learning via data undersampling."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.core.shapes import checked
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, NormalizedL1L2
from ssrecon.objectives.measurement import predicted
from ssrecon.partition import Gaussian, Partition, Partitioner


@dataclass(frozen=True)
class SSDU(Objective):
    r"""SSDU splits :math:`\Omega = \Theta \cup \Lambda`, reconstructs from :math:`\Theta`, and compares with what was measured on
    :math:`\Lambda`:

    .. math:: L\big(y_\Lambda,\ E_\Lambda f(y_\Theta, E_\Theta)\big)

    As published, a scan's split is drawn once and kept for the whole training, and :math:`\Lambda` may lie in the calibration region
    except for its protected centre. At test time the network is given all of :math:`\Omega`.

    Yaman et al. Self-supervised learning of physics-guided reconstruction neural networks without fully sampled reference data.
    Magn Reson Med 84:3172-3191 (2020). doi:10.1002/mrm.28378
    """

    partitioner: Partitioner = Gaussian(loss_fraction=0.4)
    distance: Distance = NormalizedL1L2()

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw.at(0)))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        return held_out_loss(network, scan, draws.part, self.distance)


@checked
def held_out_loss(
    network: Network, scan: CalibratedScan, part: Partition, distance: Distance, weight: Float[Tensor, "batch frames 1 *k"] | None = None
) -> Loss:
    """Return the loss that SSDU and its successors share: the network sees Theta, and its prediction is compared with the measurement on
    Lambda.
    """
    estimate = network(scan.on(part.theta))
    held_out = scan.on(part.lambda_)
    return Loss(distance(predicted(held_out, estimate), held_out.kspace, weight))
