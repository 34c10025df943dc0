"""CG-SENSE: parallel imaging by conjugate gradients."""

from dataclasses import dataclass

from ssrecon.algorithms import conjugate_gradient
from ssrecon.baselines.base import Baseline
from ssrecon.core.errors import at_least
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.operators import encoding


@dataclass(frozen=True)
class CGSense(Baseline):
    r"""CG-SENSE takes exactly `iterations` steps towards :math:`\min_x \frac12\|E x - y\|^2 + \frac\lambda2\|x\|^2`.

    They are those of conjugate gradients on :math:`(E^H E + \lambda I)\,x = E^H y`.

    With lambda = 0 the number of iterations is the regularisation, as in clinical use; tune both. :math:`E^H E` has eigenvalues of at
    most 1 with unit-norm csm, which is what lambda is to be compared with.

    Pruessmann et al. Advances in sensitivity encoding with arbitrary k-space trajectories. Magn Reson Med 46:638-651 (2001).
    doi:10.1002/mrm.1241
    """

    regularisation: float = 0.0
    iterations: int = 10

    def __post_init__(self) -> None:
        at_least(self, regularisation=0, iterations=1)

    def reconstruct(self, scan: CalibratedScan) -> Estimate:
        E = encoding(scan)
        return Estimate(conjugate_gradient(E.gram, E.adjoint(scan.kspace), shift=self.regularisation, iterations=self.iterations))
