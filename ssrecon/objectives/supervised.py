"""Supervised training on fully sampled references: what self-supervision is compared with."""

from dataclasses import dataclass
from typing import ClassVar

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, NormalizedL1L2
from ssrecon.objectives.measurement import predicted


@dataclass(frozen=True)
class Supervised(Objective):
    r"""The network reconstructs from all of :math:`\Omega` and is compared with the fully sampled k-space: :math:`L(y_{\rm full}, E_{\rm
    full} f(y_\Omega))`.

    The same domain and distance as the self-supervised objectives, so that arms differ in their data alone. At test time the network is
    given all of :math:`\Omega`. Raises BadInput, naming the scan, where it has no reference.

    Yaman et al. Magn Reson Med 84:3172-3191 (2020), its supervised comparison. doi:10.1002/mrm.28378
    """

    distance: Distance = NormalizedL1L2()
    needs_reference: ClassVar[bool] = True

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws()

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        if reference is None:
            raise BadInput(scan.ids[0], found="no fully sampled reference", expected="one, which supervised training is judged on")
        estimate = network(scan)
        return Loss(self.distance(predicted(reference, estimate), reference.kspace))
