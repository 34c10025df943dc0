"""Partitions of Omega into Theta, which the network receives, and Lambda, on which it is judged."""

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
    """A partition is two disjoint sets whose union is Omega without padding. They are the same for every coil."""

    theta: Bool[Tensor, "batch frames 1 *k"]
    """The samples that the network receives."""
    lambda_: Bool[Tensor, "batch frames 1 *k"]
    """The samples that the network's prediction is compared with; it never receives them."""
    inclusion: Float[Tensor, "batch frames 1 *k"]
    """P(location in Lambda) for a location of Omega: what a density-compensated loss divides by. Zero in the protected centre."""

    def to(self, device: torch.device | str) -> "Partition":
        """Return the same sets on another device."""
        return Partition(self.theta.to(device), self.lambda_.to(device), self.inclusion.to(device))


class Partitioner(ABC):
    """A partitioner is a law by which Omega is split. It is a frozen dataclass: the object is its own configuration."""

    @abstractmethod
    def split(self, scan: CalibratedScan, draw: Draw) -> Partition:
        """Split each scan of the batch. The split is drawn on the CPU and returned on the scan's device."""
