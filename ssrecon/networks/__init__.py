"""Networks, one a file: frozen descriptions that build a `module(scan) -> Estimate`."""

from ssrecon.networks.base import DenoiserSpec, NetworkSpec
from ssrecon.networks.denoisers import CNN, ResNet
from ssrecon.networks.unrolled import Unrolled

__all__ = ["CNN", "DenoiserSpec", "NetworkSpec", "ResNet", "Unrolled"]
