"""What a partition is: Omega split into Theta, which the network receives, and Lambda, on which it is judged."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan
from ssrecon.core.shapes import checked


@checked
@dataclass(frozen=True)
class Partition:
    """Disjoint sets whose union is Omega without padding; the same for every coil."""

    theta: Bool[Tensor, "batch frames 1 *k"]
    """Given to the network."""
    lambda_: Bool[Tensor, "batch frames 1 *k"]
    """Compared with the network's prediction; the network never receives it."""
    inclusion: Float[Tensor, "batch frames 1 *k"]
    """P(location in Lambda) for a location of Omega: what a density-compensated loss divides by. Zero in the protected centre."""

    def to(self, device: torch.device | str) -> "Partition":
        """The same sets on another device."""
        return Partition(self.theta.to(device), self.lambda_.to(device), self.inclusion.to(device))


class Partitioner(ABC):
    """A law by which Omega is split. Frozen dataclasses: the object is its own configuration."""

    @abstractmethod
    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        """One split per scan of the batch, drawn on the CPU, returned on the scan's device."""
