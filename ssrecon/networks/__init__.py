"""Networks, one a file: frozen descriptions that build a `module(scan) -> Estimate`."""

from ssrecon.networks.base import DenoiserSpec, NetworkSpec
from ssrecon.networks.denoisers import CNN, ResNet
from ssrecon.networks.learned_csm import LearnedCSM
from ssrecon.networks.unrolled import Unrolled
from ssrecon.networks.with_uncertainty import WithUncertainty

__all__ = ["CNN", "DenoiserSpec", "LearnedCSM", "NetworkSpec", "ResNet", "Unrolled", "WithUncertainty"]
