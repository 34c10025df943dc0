"""The largest eigenvalue of a self-adjoint operator: what a gradient step may not exceed."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def power_iteration(operator: Callable[[Tensor], Tensor], initial: Tensor, iterations: int = 30) -> Float[Tensor, " batch"]:
    r"""Return the largest eigenvalue of a self-adjoint, non-negative A for each system of the batch, :math:`v \leftarrow A v / \|A v\|`.

    `initial` is `(batch, ...)`, not zero in the direction sought; the result is the Rayleigh quotient :math:`v^H A v` of the last
    vector and approaches the eigenvalue **from below**: a step length wants a margin. Zero where the operator maps `initial` to zero.
    Not checked: that A is self-adjoint.

    Golub & Van Loan. Matrix Computations, 4th ed., section 8.2 (2013).
    """
    axes = tuple(range(1, initial.ndim))
    tiny = torch.finfo(initial.dtype).tiny
    vector, eigenvalue = initial, initial.real.sum(dim=axes) * 0
    for _ in range(iterations):
        vector = vector / torch.linalg.vector_norm(vector, dim=axes, keepdim=True).clamp_min(tiny)
        image = operator(vector)
        eigenvalue = (vector.conj() * image).real.sum(dim=axes)
        vector = image
    return eigenvalue
