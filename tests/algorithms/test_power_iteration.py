import torch

from ssrecon.algorithms.power_iteration import power_iteration
from ssrecon.operators import sense
from tests.laws.operators import random_like
from tests.scans import smooth_csm


def test_largest_eigenvalue_of_each_matrix_of_a_batch():
    root = random_like((3, 12, 12), 0)
    matrices = root @ root.mH * torch.tensor([1.0, 5.0, 0.1])[:, None, None]
    found = power_iteration(lambda v: (matrices @ v[..., None])[..., 0], random_like((3, 12), 1), iterations=200)
    torch.testing.assert_close(found, torch.linalg.eigvalsh(matrices)[:, -1])


def test_approaches_from_below():
    matrix = torch.diag(torch.tensor([1.0, 0.9, 0.8], dtype=torch.complex128))
    values = [power_iteration(lambda v: v @ matrix.T, torch.ones(1, 3, dtype=torch.complex128), n).item() for n in (1, 3, 10, 200)]
    assert values == sorted(values)
    assert values[-1] <= 1 + 1e-12


def test_unit_norm_maps_give_at_most_one():
    mask = torch.rand(1, 1, 1, 12, 10, generator=torch.Generator().manual_seed(0)) > 0.5
    E = sense(mask, smooth_csm(4, (12, 10), dtype=torch.complex128))
    assert 0.5 < power_iteration(E.gram, random_like((1, 1, 1, 12, 10), 0)).item() <= 1 + 1e-9


def test_zero_operator_gives_zero():
    assert power_iteration(lambda v: v * 0, torch.ones(2, 3, dtype=torch.complex64)).tolist() == [0, 0]
