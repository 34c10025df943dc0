"""SPICER: image and sensitivities learned together from two parts of one scan."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.errors import at_least
from ssrecon.core.scan import CalibratedScan, Estimate, Network
from ssrecon.core.shapes import checked
from ssrecon.objectives.base import Draws, Loss, Objective
from ssrecon.objectives.distances import Distance, MeanSquare
from ssrecon.objectives.measurement import predicted
from ssrecon.objectives.parallel_branches import branches
from ssrecon.partition import Partitioner, Uniform


@dataclass(frozen=True)
class SPICER(Objective):
    r"""Each of two parts of a scan predicts the other, with the sensitivities that the network itself found in it:

    .. math:: \tfrac12 \Big( d\big(y_n, E_{s_m} x_m\big) + d\big(y_m, E_{s_n} x_n\big) \Big)
              + \lambda \sum_{b} \big\| \nabla s_b \big\|^2

    for a network that returns its own csm (`LearnedCSM`), whose gauge it has fixed; the squared differences between neighbouring pixels
    keep the maps smooth, averaged over coils and pixels. With a network that uses the scan's csm the last term is a constant. Both
    parts hold the calibration region, from which the maps come (see `ParallelBranches`).

    The paper has *two acquisitions* of an object, on lattices half a period apart: much more data than one scan's two parts, which are
    what an archive has. It predicts all of the other acquisition; here, what a part already holds is no target.

    Hu et al. SPICER: self-supervised learning for MRI with automatic coil sensitivity estimation and reconstruction. Magn Reson Med
    92:1048-1063 (2024). doi:10.1002/mrm.30121
    """

    partitioner: Partitioner = Uniform(loss_fraction=0.5)
    distance: Distance = MeanSquare()
    smoothness: float = 1e-3
    r"""This is :math:`\lambda`, as published."""

    def __post_init__(self) -> None:
        at_least(self, smoothness=0)

    def draws(self, scan: CalibratedScan, draw: Draw) -> Draws:
        return Draws(part=self.partitioner.split(scan, draw))

    def loss(self, network: Network, scan: CalibratedScan, reference: CalibratedScan | None, draws: Draws) -> Loss:
        given = branches(scan, draws.part)
        cross, rough = torch.zeros_like(scan.scale), torch.zeros_like(scan.scale)
        for own in given:
            estimate: Estimate = network(scan.on(own))
            other = scan.on(~own)
            cross = cross + 0.5 * self.distance(predicted(other, estimate), other.kspace)
            rough = rough + self.smoothness * roughness(scan.with_csm_of(estimate).csm)
        return Loss(cross + rough, {"cross": cross, "smoothness": rough})


@checked
def roughness(csm: Complex[Tensor, "batch maps coils *x"]) -> Float[Tensor, " batch"]:
    """Return the mean squared step to the next pixel along each axis, summed over the axes."""
    steps = [csm.diff(dim=axis) for axis in range(3, csm.ndim)]
    return torch.stack([torch.view_as_real(step).flatten(1).square().mean(dim=1) * 2 for step in steps]).sum(dim=0)
