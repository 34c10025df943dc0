"""Proximal gradient descent, plain and accelerated."""

from collections.abc import Callable

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ssrecon.core.shapes import checked


def proximal_gradient(
    gradient: Callable[[Tensor], Tensor],
    prox: Callable[[Tensor, int], Tensor],
    initial: Tensor,
    step: Tensor | float,
    iterations: int = 100,
    accelerated: bool = True,
) -> Tensor:
    r"""Minimise f(x) + g(x), f smooth with gradient `gradient`, g with the proximal map of one step, with exactly `iterations` steps.

    .. math::
        x_{k+1} = \mathrm{prox}_{\alpha g}(z_k - \alpha \nabla f(z_k)), \qquad
        z_{k+1} = x_{k+1} + \frac{t_k - 1}{t_{k+1}} (x_{k+1} - x_k), \qquad t_{k+1} = \frac{1 + \sqrt{1 + 4 t_k^2}}{2}.

    `prox(v, k)` is the map at iteration k with the step already in it (the index lets a prox change from one iteration to the next, as
    in cycle spinning). `step` is at most 1/L, L the Lipschitz constant of the gradient; a tensor that broadcasts has one a scan.
    Not accelerated, z is x. Not checked: convergence, and that the step is short enough.

    Beck & Teboulle. A fast iterative shrinkage-thresholding algorithm for linear inverse problems. SIAM J Imaging Sci 2:183-202 (2009).
    doi:10.1137/080716542
    """
    x = point = initial
    momentum = 1.0
    for iteration in range(iterations):
        previous, x = x, prox(point - step * gradient(point), iteration)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        point = x + ((momentum - 1) / following) * (x - previous) if accelerated else x
        momentum = following
    return x


@checked
def soft_threshold(x: Complex[Tensor, "*any"], threshold: Float[Tensor, "..."] | float) -> Complex[Tensor, "*any"]:
    r"""Apply the proximal map of :math:`\lambda\|x\|_1` to complex x: magnitudes shrink by the threshold, and phases stay."""
    magnitude = x.abs()
    return x * ((magnitude - threshold).clamp_min(0) / magnitude.clamp_min(torch.finfo(magnitude.dtype).tiny))
