"""What a network is: a frozen description that builds a module, `module(scan) -> Estimate`."""

from abc import ABC, abstractmethod

from torch import nn


class NetworkSpec(ABC):
    """A frozen description of a network: two arms with equal descriptions and seeds start from equal weights."""

    @abstractmethod
    def build(self, seed: int) -> nn.Module:
        """A module that maps a `CalibratedScan` to an `Estimate`, its initial weights drawn from `seed` alone."""


class DenoiserSpec(ABC):
    """A frozen description of a real-valued image-to-image network: the learned regulariser inside an unrolled one."""

    @abstractmethod
    def build(self, maps: int) -> nn.Module:
        """A module from `(batch, 2 maps, *x)` to the same shape: real and imaginary parts are channels. Draws from torch's own
        generator.
        """
