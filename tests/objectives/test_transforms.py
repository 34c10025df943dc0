"""The group actions of equivariant imaging: exact where they can be, invertible, and as far-reaching as theory says."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import Header
from ssrecon.objectives.moves import QuarterTurn, moved, rotation
from ssrecon.objectives.transforms import Diffeomorphisms, Flips, QuarterTurns, Rotations, Shifts
from ssrecon.operators.fourier import Fourier
from tests.scans import make_scan, smooth_image

FAMILIES = [Rotations(), QuarterTurns(), Flips(), Shifts(), Diffeomorphisms()]
IDS = ("a", "b")


def images(dtype=torch.complex64):
    return torch.cat([smooth_image((32, 32), 1, 2, seed, dtype) for seed in (0, 1)])


def through(family, x, draw, ids, purpose="transform"):
    """The images of scans that are called so, each moved in its own way."""
    scan = replace(make_scan(tuple(x.shape[-2:])), headers=tuple(Header(name, name, name) for name in ids))
    return moved(x, family.moves(scan, draw, purpose))


@pytest.mark.parametrize("family", FAMILIES)
def test_linear_deterministic_and_scan_by_scan(family):
    x = images()
    there = through(family, x, Draw(1), IDS)
    assert there.shape == x.shape and torch.equal(there, through(family, x, Draw(1), IDS))
    torch.testing.assert_close(through(family, 1j * x, Draw(1), IDS), 1j * there)
    torch.testing.assert_close(through(family, x[1:], Draw(1), IDS[1:]), there[1:])
    assert not torch.equal(there, through(family, x, Draw(1), IDS, "another purpose")) or isinstance(family, Flips)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_is_the_adjoint(family):
    x, y = images(torch.complex128).requires_grad_(), torch.randn(2, 1, 2, 32, 32, dtype=torch.complex128, generator=torch.manual_seed(0))
    (grad,) = torch.autograd.grad(torch.vdot(y.flatten(), through(family, x, Draw(1), IDS).flatten()).real, x)
    probe = torch.randn(x.shape, dtype=torch.complex128, generator=torch.manual_seed(1))
    left = torch.vdot(y.flatten(), through(family, probe, Draw(1), IDS).flatten())
    torch.testing.assert_close(torch.vdot(grad.flatten(), probe.flatten()), left)


@pytest.mark.parametrize("n", [32, 33])
def test_rotations_turn_about_dc_and_agree_with_quarter_turns(n):
    x = smooth_image((n, n))[0]
    torch.testing.assert_close(rotation((n, n), 0.0)(x), x, atol=1e-5, rtol=0)
    for count in (1, 2, 3):
        inside = (..., slice(2, -2), slice(2, -2))
        torch.testing.assert_close(rotation((n, n), 90.0 * count)(x)[inside], QuarterTurn(count)(x)[inside], atol=1e-4, rtol=0)
    marked = torch.zeros(1, 1, n, n, dtype=torch.complex64)
    marked[..., n // 2, n // 2] = 1 + 2j
    for family in (Rotations(), QuarterTurns(), Flips()):
        assert through(family, marked[None], Draw(3), ("a",))[0, 0, 0, n // 2, n // 2].item() == pytest.approx(1 + 2j, abs=1e-4)


def test_there_and_back():
    x = smooth_image((64, 64))[0]
    back = rotation((64, 64), -37.0)(rotation((64, 64), 37.0)(x))
    inside = (..., slice(16, -16), slice(16, -16))
    assert (back - x)[inside].abs().mean() < 0.02 * x[inside].abs().mean()
    torch.testing.assert_close(QuarterTurn(1)(QuarterTurn(3)(x)), x, rtol=0, atol=0)


def test_an_angle_turns_rectangles_as_it_turns_squares():
    """A rotation is in pixels: a rectangular matrix sees the same as the square one that holds it."""
    square = smooth_image((64, 64))[0]
    cut = square.clone()
    cut[..., :8], cut[..., -8:] = 0, 0
    turned = rotation((64, 48), 20.0)(cut[..., 8:-8])
    torch.testing.assert_close(turned[..., 20:44, 16:32], rotation((64, 64), 20.0)(cut)[..., 20:44, 24:40], atol=1e-4, rtol=0)


@pytest.mark.parametrize("strength", [0.02, 0.05, 0.1])
def test_flows_are_invertible(strength):
    for seed in range(20):
        flow = Diffeomorphisms(strength).flow((48, 40), Draw(seed).generator("t"))
        dy, dx = flow.diff(dim=0)[:, :-1], flow.diff(dim=1)[:-1]
        assert (dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0] > 0).all()
        assert flow.abs().max() <= 1 + 1e-9


def test_flows_are_as_strong_as_they_say():
    axes = [torch.linspace(-1, 1, 48, dtype=torch.float64)] * 2
    here = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)
    squares = [(Diffeomorphisms(0.03).flow((48, 48), Draw(seed).generator("t")) - here).square().mean().item() for seed in range(200)]
    assert np.sqrt(np.mean(squares)) / 2 == pytest.approx(0.03, rel=0.1)  # the field of view is 2 wide


def test_shifts_only_turn_the_phase_of_kspace():
    x, fourier = images(), Fourier(2)
    there = through(Shifts(), x, Draw(0), IDS)
    assert not torch.allclose(there, x)
    torch.testing.assert_close(fourier(there).abs(), fourier(x).abs(), atol=1e-4, rtol=0)


# -- what can be learned through them: the rank of the stacked A T_g ---------------------------------------------------------------------

N = 16
SYMMETRIC = (0, 3, 7, 8, 9, 13)
"""Six of sixteen lines (96 of 256 samples), a mask that is its own mirror image about DC, N // 2 = 8."""
ONE_SIDED = (7, 8, 9, 10)
"""Partial Fourier: four lines, one of them without its mirror image."""


def stacked_rank(lines, moves):
    basis = torch.eye(N * N, dtype=torch.complex128).reshape(N * N, 1, N, N)
    spectra = [Fourier(2)(move(basis))[..., list(lines), :].reshape(N * N, -1) for move in moves]
    return int(torch.linalg.matrix_rank(torch.cat(spectra, dim=1), rtol=1e-6))


def moves_of(family, count):
    return [family.drawn((N, N), Draw(seed).generator("transform")) for seed in range(count)]


def test_ranks_of_equivariant_imaging():
    """96 of 256 locations acquired (64 by partial Fourier), and how many become visible."""
    assert {(16 - line) % 16 for line in SYMMETRIC} == set(SYMMETRIC)
    assert stacked_rank(SYMMETRIC, [rotation((N, N), 0.0)]) == 96
    assert stacked_rank(SYMMETRIC, moves_of(Shifts(), 12)) == 96
    assert stacked_rank(SYMMETRIC, moves_of(Flips(), 12)) == 96
    assert stacked_rank(ONE_SIDED, moves_of(Flips(), 12)) == 80
    assert stacked_rank(SYMMETRIC, moves_of(QuarterTurns(), 12)) == 156
    assert stacked_rank(SYMMETRIC, moves_of(Rotations(), 24)) == 256
    assert stacked_rank(SYMMETRIC, moves_of(Diffeomorphisms(), 24)) == 256


def test_refusals():
    with pytest.raises(BadInput, match="square"):
        QuarterTurns().moves(make_scan((8, 6)), Draw(0))
    for make in (lambda: Rotations(0.0), lambda: Diffeomorphisms(0.5), lambda: Diffeomorphisms(frequencies=0)):
        with pytest.raises(BadRecipe):
            make()
