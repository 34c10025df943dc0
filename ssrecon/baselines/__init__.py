"""Classical reconstructions, which have nothing to train, and the tuning that makes them worth comparing with.

In comes a `CalibratedScan`, out comes an `Estimate`. Read ``base.py`` and ``cg_sense.py`` first; ``tuning.py`` chooses their parameters.
"""

from ssrecon.baselines.base import Baseline
from ssrecon.baselines.cg_sense import CGSense
from ssrecon.baselines.compressed_sensing import L1Wavelet
from ssrecon.baselines.tuning import Axis, HeldOutResidual, Tuned, reference_nmse, tune
from ssrecon.baselines.zero_filled import ZeroFilled

__all__ = ["Axis", "Baseline", "CGSense", "HeldOutResidual", "L1Wavelet", "Tuned", "ZeroFilled", "reference_nmse", "tune"]
