"""Linear operators: Fourier transform, coil sensitivities, sampling, and the encoding operator made of them.

In come masks and sensitivities, out come `LinearOperator` objects with ``A(x)``, ``A.adjoint(y)`` and ``A.gram(x)``. Read ``linear.py``
first, then ``encoding.py``.
"""

from ssrecon.operators.encoding import coil_combined, encoding, sense
from ssrecon.operators.fourier import Fourier
from ssrecon.operators.linear import LinearOperator
from ssrecon.operators.mask import Mask
from ssrecon.operators.sensitivity import Sensitivity

__all__ = ["Fourier", "LinearOperator", "Mask", "Sensitivity", "coil_combined", "encoding", "sense"]
