"""The laws that every linear operator obeys, each written once; a test of an operator is one line that calls them."""

import torch
from torch import Tensor

from ssrecon.operators import LinearOperator


def random_like(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.complex(*(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)))


def vdot(a: Tensor, b: Tensor) -> Tensor:
    return (a.conj() * b).sum()


def assert_laws(operator: LinearOperator, domain: tuple[int, ...], codomain: tuple[int, ...]) -> None:
    """Adjointness, gradient equals adjoint, gram, and linearity with complex scalars, in complex128."""
    u, v, w = random_like(domain, 1), random_like(codomain, 2), random_like(domain, 3)
    scalar = complex(0.3, -1.7)
    assert operator(u).shape == torch.Size(codomain)
    assert operator.adjoint(v).shape == torch.Size(domain)
    torch.testing.assert_close(operator(scalar * u + w), scalar * operator(u) + operator(w))
    torch.testing.assert_close(vdot(v, operator(scalar * u)), vdot(operator.adjoint(v), scalar * u))
    torch.testing.assert_close(operator.gram(u), operator.adjoint(operator(u)))
    torch.testing.assert_close(vdot(w, operator.gram(u)), vdot(operator.gram(w), u))
    torch.testing.assert_close(gradient(operator, u, v), operator.adjoint(v))
    torch.testing.assert_close(gradient(operator.gram, u, w), operator.gram(w))


def gradient(function, at: Tensor, direction: Tensor) -> Tensor:
    """What autograd makes of Re<direction, function(at)>."""
    at = at.clone().requires_grad_()
    vdot(direction, function(at)).real.backward()
    return at.grad
