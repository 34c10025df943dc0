"""Parallel branches: two parts of one scan, one network, and their agreement."""

from dataclasses import dataclass, replace

import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import at_least
from ssrecon.core.scan import CalibratedScan, Network
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.measurement import predicted
from ssrecon.partition import Partition, Partitioner, Uniform


@dataclass(frozen=True)
class ParallelBranches(Objective):
    r"""Two parts of :math:`\Omega` share the centre of k-space. The same network reconstructs each, each is judged on all of
    :math:`\Omega`, and their difference is penalised where nothing was acquired:

    .. math:: \sum_{b = 1, 2} d\big(y, E x_b\big) + \beta\, d\big(\bar E x_1, \bar E x_2\big), \qquad x_b = f(y_{\Omega_b})

    with :math:`\bar E` the encoding of what is not in :math:`\Omega`. Swapping the two changes nothing. Both get the calibration region, or
    the partitioner's protected centre where calibration was a separate measurement. ``held_out_only=True`` judges a branch only on what
    it was not given, which leaves no reward for reproducing noise.

    One set of weights, as in SSIBench's SSDU-Consistency. Two sets (ISTA-Net+, on fixed masks), as published first, are not to be had here;
    PARCEL adds a contrastive term against the other scans of a batch, which is left out because a loss here never depends on batch-mates.

    Hu et al. Self-supervised learning for MRI reconstruction with a parallel network training framework. MICCAI 2021.
    doi:10.1007/978-3-030-87231-1_37. Wang et al. PARCEL: physics-based unsupervised contrastive representation learning for multi-coil MR
    imaging. IEEE/ACM Trans Comput Biol Bioinform 20:2659-2670 (2023). doi:10.1109/TCBB.2022.3213669
    """

    partitioner: Partitioner = Uniform(loss_fraction=0.5)
    distance: Distance = MeanSquare()
    agreement: float = 0.01
    r"""This is :math:`\beta`."""
    held_out_only: bool = False

    def __post_init__(self) -> None:
        at_least(self, agreement=0)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        part = draws.part
        first, second = branches(scan, part)
        one, other = network(scan.on(first)), network(scan.on(second))
        consistency = torch.zeros_like(scan.scale)
        for given, estimate in ((first, one), (second, other)):
            judged = scan.on(~given) if self.held_out_only else scan
            consistency = consistency + self.distance(predicted(judged, estimate), judged.kspace)
        # A mean square whatever the distance is: nothing was measured there that a normalised one could divide by.
        missing = replace(scan, mask=~(scan.mask | scan.padding))
        agreement = self.agreement * MeanSquare()(predicted(missing, one), predicted(missing, other))
        return Loss(consistency + agreement, {"consistency": consistency, "agreement": agreement})


def branches(scan: CalibratedScan, part: Partition) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Theta and Lambda, both with the calibration region and what is never held out."""
    omega = part.theta | part.lambda_
    shared = omega & (scan.calibration | (part.inclusion == 0))
    return part.theta | shared, part.lambda_ | shared
