"""What tests of terms compute them from: small scans, and a network that remembers what it was given and returned."""

import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.networks import LearnedCSM, ResNet
from ssrecon.objectives.parallel_branches import branches
from ssrecon.operators import sense
from tests.scans import EXAMPLE, SMALL_NETWORK, column_mask, loss_of, make_scan

SHAPE = (32, 32)
N = SHAPE[0] * SHAPE[1]
LEARNED = LearnedCSM(SMALL_NETWORK, ResNet(blocks=1, channels=4), gain=8.0)


def archive(**more) -> list[CalibratedScan]:
    masks = [column_mask(SHAPE, offset=offset) for offset in range(4)]
    return [make_scan(seed=i, scan_id=f"v{i}/slice-000", mask=mask, **more) for i, mask in enumerate(masks)]


class Recorder:
    """A network, and what it was given and returned."""

    def __init__(self, network):
        self.network, self.given, self.returned = network, [], []

    def __call__(self, scan: CalibratedScan) -> Estimate:
        estimate = self.network(scan)
        self.given.append(scan)
        self.returned.append(estimate)
        return estimate


def recorder(spec=SMALL_NETWORK) -> Recorder:
    return Recorder(spec.build(0, EXAMPLE).requires_grad_(False))


def kspace_of(scan: CalibratedScan, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return sense(mask, scan.csm)(image)


def energy(values: torch.Tensor) -> float:
    return float(values.abs().square().sum())


def residual_energy(scan: CalibratedScan, image: torch.Tensor) -> float:
    """Of what was acquired, as an image predicts it."""
    return energy(kspace_of(scan, image, scan.mask) - scan.kspace)


def parted(objective):
    """Return a scan, what a network was given of its two parts and returned, the terms of the loss, and the parts."""
    scan = make_scan()
    network = recorder()
    terms = loss_of(objective, network, scan, None, Draw(0)).terms
    return scan, network, terms, branches(scan, objective.partitioner.split(scan, Draw(0)))
