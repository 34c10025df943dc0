import sys
from dataclasses import replace

import pytest
import torch

from ssrecon.core.encoding import ParallelBeam, Trajectory
from ssrecon.core.errors import BadInput
from ssrecon.operators import Fourier, Mask, Sensitivity, encoding, sense
from ssrecon.operators.encoding import Sense
from tests.laws.operators import assert_laws, random_like
from tests.scans import column_mask, make_scan, smooth_csm

SHAPES = [(6, 7), (8, 5), (4, 5, 6)]


@pytest.mark.parametrize("shape", SHAPES)
def test_fourier(shape):
    assert_laws(Fourier(len(shape)), (2, 3, *shape), (2, 3, *shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_fourier_is_centred_and_orthonormal_against_the_explicit_sum(shape):
    x = random_like(shape, 0)
    y = x
    for axis, n in enumerate(shape):
        positions = torch.arange(n, dtype=torch.float64) - n // 2
        matrix = torch.exp(-2j * torch.pi * positions[:, None] * positions[None] / n) / n**0.5
        y = torch.tensordot(matrix, y, dims=([1], [axis])).movedim(0, axis)
    torch.testing.assert_close(Fourier(len(shape))(x), y)


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("frames", [1, 3])
def test_sensitivity(maps, frames):
    assert_laws(Sensitivity(random_like((2, maps, 4, 6, 5), 5)), (2, frames, maps, 6, 5), (2, frames, 4, 6, 5))


def test_mask():
    assert_laws(Mask(torch.rand(2, 1, 1, 6, 5, generator=torch.Generator().manual_seed(0)) > 0.5), (2, 1, 3, 6, 5), (2, 1, 3, 6, 5))


def test_mask_drops_nan_outside():
    mask = torch.tensor([True, False])[None, None, None, None]
    assert Mask(mask)(torch.tensor([[[[[1.0 + 0j, torch.nan]]]]])).isfinite().all()


@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_sense(shape, lines, frames, maps):
    points = torch.rand(2, frames, 1, *shape, generator=torch.Generator().manual_seed(0)) > 0.5
    mask = column_mask(shape, 3, 2, frames).expand(2, -1, -1, *shape) if lines else points
    assert_laws(sense(mask, random_like((2, maps, 4, *shape), 5)), (2, frames, maps, *shape), (2, frames, 4, *shape))


def test_sense_is_mask_fourier_sensitivity():
    csm, mask, x = random_like((1, 1, 4, 8, 6), 0), column_mask((8, 6), 2, 2), random_like((1, 1, 1, 8, 6), 1)
    torch.testing.assert_close(sense(mask, csm)(x), (Mask(mask) @ Fourier(2) @ Sensitivity(csm))(x))


def test_reconstructing_first_does_not_hinder_training():
    csm, mask, x = random_like((1, 1, 4, 10, 14), 0), column_mask((10, 14), 2, 2), random_like((1, 1, 1, 10, 14), 1)
    with torch.inference_mode():
        sense(mask, csm)(x)
    x.requires_grad_()
    sense(mask, csm)(x).abs().sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("shape", [(10, 14), (8, 10), (12, 8), (4, 6, 10)])
def test_even_sides_need_no_shifts(shape):
    csm, mask, x = random_like((1, 2, 3, *shape), 0), column_mask(shape, 2, 2), random_like((1, 1, 2, *shape), 1)
    explicit = Mask(mask) @ Fourier(len(shape)) @ Sensitivity(csm)
    assert sense(mask, csm)._signs is not None
    torch.testing.assert_close(sense(mask, csm)(x), explicit(x))
    y = explicit(x)
    torch.testing.assert_close(sense(mask, csm).adjoint(y), explicit.adjoint(y))


def test_full_sampling_with_unit_norm_csm_is_the_identity():
    mask, x = torch.ones(1, 1, 1, 8, 6, dtype=torch.bool), random_like((1, 1, 1, 8, 6), 1)
    torch.testing.assert_close(sense(mask, smooth_csm(5, (8, 6), dtype=torch.complex128)).gram(x), x)


def test_gram_skips_the_readout_where_lines_were_acquired():
    assert Sense(column_mask((16, 6), lines=2), random_like((1, 1, 2, 16, 6), 0))._layout.readout_first
    points = Sense(torch.eye(8, dtype=torch.bool)[None, None, None], random_like((1, 1, 2, 8, 8), 0))._layout
    assert points.axes == (-2, -1) and not points.readout_first


def test_gram_gradient_reaches_a_learned_csm():
    mask = torch.rand(2, 2, 1, 4, 3, generator=torch.Generator().manual_seed(0)) > 0.4
    x, csm = random_like((2, 2, 2, 4, 3), 0).requires_grad_(), random_like((2, 2, 3, 4, 3), 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, csm: sense(mask, csm).gram(x), (x, csm))


def test_coil_blocks_do_not_change_the_gram(monkeypatch):
    operator, x = sense(column_mask((8, 6)), random_like((1, 1, 5, 8, 6), 0)), random_like((1, 1, 1, 8, 6), 1)
    whole = operator.gram(x)
    monkeypatch.setattr(sys.modules[Sense.__module__], "CACHE_BYTES", 1)
    torch.testing.assert_close(operator.gram(x), whole)


def test_composition_and_sum():
    first, second = Fourier(2), Mask(torch.eye(5, dtype=torch.bool)[None, None, None])
    assert_laws(second @ first, (1, 1, 3, 5, 5), (1, 1, 3, 5, 5))
    assert_laws(second + first, (1, 1, 3, 5, 5), (1, 1, 3, 5, 5))


@pytest.mark.parametrize("kind", [Trajectory, ParallelBeam])
def test_what_is_not_cartesian_is_refused_by_name(kind):
    scan = make_scan((16, 12))
    scan = replace(scan, headers=(replace(scan.headers[0], encoding=kind()),))
    with pytest.raises(BadInput, match=f"found the encoding {kind.__name__}; expected whole lines"):
        encoding(scan)
