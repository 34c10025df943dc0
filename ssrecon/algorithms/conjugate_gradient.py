"""Conjugate gradients with a fixed number of iterations: the depth of the solver is part of the model."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Complex
from torch import Tensor

from ssrecon.core.shapes import checked

Operator = Callable[[Tensor], Tensor]


@checked
def conjugate_gradient(
    operator: Operator,
    rhs: Complex[Tensor, "*systems_x"],
    shift: Tensor | float = 0.0,
    iterations: int = 10,
    initial: Complex[Tensor, "*systems_x"] | None = None,
    system_dims: int = 2,
) -> Complex[Tensor, "*systems_x"]:
    r"""Solve :math:`(A + \mu I)\,x = b` for a self-adjoint, non-negative A with exactly `iterations` steps from `initial` (zero by
    default).

    The first `system_dims` axes of `rhs` (batch and frames) number independent systems, each with its own step lengths, so that no scan
    depends on its batch-mates. A system whose residual has fallen to eps relative to b is frozen, so that exact convergence is no 0/0.
    One call of `operator` a step (and one more where `initial` is given). The gradient with respect to `rhs`, `shift` and whatever
    `operator` closes over is that of the truncated iteration itself: autograd runs through it and stores image-sized iterates only,
    because the gram of an encoding operator is its own backward pass.

    Hestenes & Stiefel. Methods of conjugate gradients for solving linear systems. J Res Natl Bur Stand 49:409-436 (1952).
    doi:10.6028/jres.049.044
    """
    axes = tuple(range(system_dims, rhs.ndim))

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (torch.view_as_real(a) * torch.view_as_real(b)).sum(dim=(*axes, rhs.ndim), keepdim=True).squeeze(-1)

    if initial is None:
        x, residual = None, rhs
    else:
        x, residual = initial, rhs - operator(initial) - shift * initial
    direction, energy = residual, dot(residual, residual)
    floor = (torch.finfo(energy.dtype).eps ** 2) * dot(rhs, rhs).detach()
    for step in range(iterations):
        image = operator(direction) + shift * direction
        curvature = dot(direction, image)
        # Both quotients are guarded before the division: where() alone would still let a NaN into the gradient.
        alive = (energy > floor) & (curvature > 0)
        alpha = torch.where(alive, energy, 0) / torch.where(alive, curvature, 1)
        x = alpha * direction if x is None else torch.addcmul(x, alpha.to(x.dtype), direction)
        if step + 1 == iterations:
            break
        residual = residual - alpha * image
        energy, previous = dot(residual, residual), energy
        beta = torch.where(alive, energy, 0) / torch.where(alive, previous, 1)
        direction = residual + beta * direction
    return torch.zeros_like(rhs) if x is None else x


class _ImplicitSolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rhs: Tensor, shift: Tensor, operator: Operator, iterations: int, initial: Tensor | None) -> Tensor:
        with torch.no_grad():
            x = conjugate_gradient(operator, rhs, shift, iterations, initial)
        ctx.save_for_backward(x, shift)
        ctx.operator, ctx.iterations = operator, iterations
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        x, shift = ctx.saved_tensors
        with torch.no_grad():
            q = conjugate_gradient(ctx.operator, grads[0], shift, ctx.iterations)
        grad_shift = -(torch.view_as_real(q) * torch.view_as_real(x)).sum().reshape(shift.shape) if ctx.needs_input_grad[1] else None
        return q, grad_shift, None, None, None


@checked
def implicit_conjugate_gradient(
    operator: Operator,
    rhs: Complex[Tensor, "*systems_x"],
    shift: Tensor,
    iterations: int = 10,
    initial: Complex[Tensor, "*systems_x"] | None = None,
) -> Complex[Tensor, "*systems_x"]:
    r"""Return the same solution with the backward pass of the converged solve, :math:`\partial b = (A + \mu I)^{-1} g` and
    :math:`\partial\mu = -\mathrm{Re}\langle\partial b, x\rangle`: stores one image, exact only where the iteration has converged.

    Not differentiated: what `operator` closes over, and `initial`, which a converged solve does not depend on. `shift` is a tensor with
    one element.

    Aggarwal et al. MoDL. IEEE Trans Med Imaging 38:394-405 (2019). doi:10.1109/TMI.2018.2865356
    """
    return _ImplicitSolve.apply(rhs, shift, operator, iterations, initial)
