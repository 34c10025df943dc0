import pytest
import torch

from ssrecon.algorithms.proximal_gradient import proximal_gradient, soft_threshold
from tests.laws.operators import random_like


def lasso(weight, seed=0):
    """min 1/2 |A x - b|^2 + weight |x|_1, complex."""
    A, b = random_like((30, 20), seed), random_like((30,), seed + 1)
    step = 1 / torch.linalg.eigvalsh(A.mH @ A)[-1].item()

    def objective(x):
        return 0.5 * (A @ x - b).abs().square().sum() + weight * x.abs().sum()

    return (lambda x: A.mH @ (A @ x - b)), (lambda v, k: soft_threshold(v, weight * step)), step, objective


@pytest.mark.parametrize("accelerated", [True, False])
def test_the_minimum_meets_the_optimality_condition(accelerated):
    weight = 6.0
    gradient, prox, step, _ = lasso(weight)
    x = proximal_gradient(gradient, prox, torch.zeros(20, dtype=torch.complex128), step, 3000, accelerated)
    slope, support = gradient(x), x.abs() > 1e-9
    assert 0 < support.sum() < 20
    torch.testing.assert_close(slope[support], -weight * x[support] / x[support].abs(), atol=1e-6, rtol=0)
    assert (slope[~support].abs() <= weight + 1e-6).all()


def test_acceleration_is_faster_and_plain_descent_never_rises():
    gradient, prox, step, objective = lasso(0.3)
    start = torch.zeros(20, dtype=torch.complex128)
    plain = [objective(proximal_gradient(gradient, prox, start, step, n, accelerated=False)) for n in (0, 1, 5, 20, 50)]
    assert all(later <= earlier for earlier, later in zip(plain, plain[1:], strict=False))
    minimum = objective(proximal_gradient(gradient, prox, start, step, 3000))
    assert objective(proximal_gradient(gradient, prox, start, step, 50)) - minimum < 0.5 * (plain[-1] - minimum)


def test_no_iterations_give_the_start_and_the_prox_is_told_the_iteration():
    start, seen = torch.ones(2, dtype=torch.complex128), []
    assert proximal_gradient(lambda x: x, lambda v, k: v, start, 0.1, 0) is start
    proximal_gradient(lambda x: x, lambda v, k: seen.append(k) or v, start, 0.1, 3)
    assert seen == [0, 1, 2]


def test_soft_threshold_shrinks_magnitudes_and_keeps_phases():
    x = torch.tensor([3 + 4j, 0.1j, 0j, -2.0])
    torch.testing.assert_close(soft_threshold(x, 1.0), torch.tensor([2.4 + 3.2j, 0j, 0j, -1.0]))
