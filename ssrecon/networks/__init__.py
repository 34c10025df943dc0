"""Networks, one a file: frozen descriptions that build a ``module(scan) -> Estimate``.

In comes a `CalibratedScan`, out comes an `Estimate`. The regulariser of an unrolled network is a `DenoiserSpec` (``denoisers/``). Read
``base.py`` first, then ``unrolled.py``.
"""

from ssrecon.networks.base import DenoiserSpec, NetworkSpec
from ssrecon.networks.denoisers import CNN, ResNet
from ssrecon.networks.learned_csm import LearnedCSM
from ssrecon.networks.unrolled import Unrolled
from ssrecon.networks.with_uncertainty import WithUncertainty

__all__ = ["CNN", "DenoiserSpec", "LearnedCSM", "NetworkSpec", "ResNet", "Unrolled", "WithUncertainty"]
