import pytest
import torch

from ssrecon.algorithms import conjugate_gradient, implicit_conjugate_gradient
from ssrecon.operators import Fourier, Mask, Sensitivity, sense
from tests.laws.operators import random_like
from tests.scans import column_mask, smooth_csm

SHAPE = (16, 12)


def problem(acceleration: int = 4):
    csm = smooth_csm(4, SHAPE, dtype=torch.complex128)
    mask = column_mask(SHAPE, acceleration, 2).expand(2, 2, 1, *SHAPE)
    return mask, csm.expand(2, -1, -1, -1, -1).contiguous(), random_like((2, 2, 1, *SHAPE), 0)


def test_solves_the_dense_system():
    mask, csm, rhs = problem()
    operator, mu = sense(mask, csm), 0.3
    columns = torch.eye(16 * 12, dtype=torch.complex128).reshape(-1, 1, 1, 1, *SHAPE)
    dense = torch.stack([operator.gram(column.expand(2, 2, -1, -1, -1))[0, 0].reshape(-1) for column in columns], dim=1)
    expected = torch.linalg.solve(dense + mu * torch.eye(16 * 12), rhs[0, 0].reshape(-1))
    torch.testing.assert_close(conjugate_gradient(operator.gram, rhs, mu, 60)[0, 0].reshape(-1), expected)


def plain_loop(operator, rhs, mu, iterations):
    """The textbook iteration, one system at a time, everything through autograd."""
    solutions = []
    for b in range(rhs.shape[0]):
        for f in range(rhs.shape[1]):
            one = rhs[b : b + 1, f : f + 1]
            x, r = torch.zeros_like(one), one
            p, rr = r, (r.conj() * r).real.sum()
            for _ in range(iterations):
                q = operator(p, b, f) + mu * p
                alpha = rr / (p.conj() * q).real.sum()
                x, r = x + alpha * p, r - alpha * q
                rr, old = (r.conj() * r).real.sum(), rr
                p = r + rr / old * p
            solutions.append(x)
    return torch.cat(solutions).reshape(rhs.shape)


def test_gradients_of_the_truncated_iteration_at_r4_mu_001():
    """To the right-hand side, mu and csm, against autograd through the plain loop on plain operators."""
    mask, csm, rhs = problem(4)
    weight = random_like(tuple(rhs.shape), 7)

    def gradients(solve):
        b, s, mu = rhs.clone().requires_grad_(), csm.clone().requires_grad_(), torch.tensor(0.01, dtype=torch.float64, requires_grad=True)
        x = solve(b, s, mu)
        (weight.conj() * x).real.sum().backward()
        return x.detach(), b.grad, s.grad, mu.grad

    def by_plain_loop(b, s, mu):
        def operator(x, i, f):
            steps = Mask(mask[i : i + 1, f : f + 1]) @ Fourier(2) @ Sensitivity(s[i : i + 1])
            return steps.adjoint(steps(x))

        return plain_loop(operator, b, mu, 10)

    ours = gradients(lambda b, s, mu: conjugate_gradient(sense(mask, s).gram, b, mu, 10))
    for value, expected in zip(ours, gradients(by_plain_loop), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-7, atol=1e-9)


def test_counts_operator_calls():
    mask, csm, rhs = problem()
    calls = []
    operator = sense(mask, csm)
    conjugate_gradient(lambda x: calls.append(1) or operator.gram(x), rhs, 0.1, 5)
    assert len(calls) == 5


def test_exact_convergence_is_frozen_not_nan():
    rhs = random_like((2, 1, 1, 4, 4), 0).requires_grad_()
    x = conjugate_gradient(lambda x: x, rhs, 0.5, 10)
    torch.testing.assert_close(x, rhs / 1.5)
    x.abs().sum().backward()
    assert rhs.grad.isfinite().all()


def test_a_zero_system_beside_another_stays_zero():
    rhs = random_like((2, 1, 1, 4, 4), 0)
    rhs[0] = 0
    x = conjugate_gradient(lambda x: 2 * x, rhs, 0.5, 3)
    assert (x[0] == 0).all() and x.isfinite().all()


def test_each_scan_and_frame_is_its_own_system():
    mask, csm, rhs = problem()
    together = conjugate_gradient(sense(mask, csm).gram, rhs, 0.1, 6)
    alone = conjugate_gradient(sense(mask[1:, 1:], csm[1:]).gram, rhs[1:, 1:], 0.1, 6)
    torch.testing.assert_close(together[1:, 1:], alone)


def test_a_start_is_used():
    mask, csm, rhs = problem()
    operator = sense(mask, csm).gram
    solution = conjugate_gradient(operator, rhs, 0.5, 60)
    torch.testing.assert_close(conjugate_gradient(operator, rhs, 0.5, 1, initial=solution), solution)


def test_gradients_where_a_start_is_given():
    """To the start as well: from x0 is x0 plus the solution, from zero, of what x0 leaves of b."""
    mask, csm, rhs = problem()
    operator, weight = sense(mask, csm).gram, random_like(tuple(rhs.shape), 7)

    def gradients(solve):
        b, start = rhs.clone().requires_grad_(), random_like(tuple(rhs.shape), 3).requires_grad_()
        mu = torch.tensor(0.05, dtype=torch.float64, requires_grad=True)
        (weight.conj() * solve(b, start, mu)).real.sum().backward()
        return b.grad, start.grad, mu.grad

    def from_zero(b, start, mu):
        return start + conjugate_gradient(operator, b - operator(start) - mu * start, mu, 5)

    ours = gradients(lambda b, start, mu: conjugate_gradient(operator, b, mu, 5, start))
    for value, expected in zip(ours, gradients(from_zero), strict=True):
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("mu", [0.05, 0.5])
def test_implicit_backward_is_the_converged_one(mu):
    mask, csm, rhs = problem()
    operator, weight = sense(mask, csm).gram, random_like(tuple(rhs.shape), 7)

    def gradients(solve):
        b, shift = rhs.clone().requires_grad_(), torch.tensor(mu, dtype=torch.float64, requires_grad=True)
        (weight.conj() * solve(operator, b, shift, 80)).real.sum().backward()
        return b.grad, shift.grad

    for value, expected in zip(gradients(implicit_conjugate_gradient), gradients(conjugate_gradient), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
