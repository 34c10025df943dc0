from dataclasses import replace

import pytest
import torch

from ssrecon.baselines import CGSense, L1Wavelet, ZeroFilled
from ssrecon.core.scan import CalibratedScan
from ssrecon.operators import encoding
from tests.scans import make_scan, smooth_image


def error(estimate, scan):
    truth = smooth_image(tuple(scan.kspace.shape[3:]))[:, :, 0].abs()
    return float((estimate.magnitude - truth).square().sum() / truth.square().sum())


def test_zero_filled_is_the_adjoint(scan):
    torch.testing.assert_close(ZeroFilled()(scan).image, encoding(scan).adjoint(scan.kspace), rtol=0, atol=0)


@pytest.mark.parametrize("regularisation", [0.01, 0.1])
def test_converged_cg_sense_solves_its_normal_equations(scan, regularisation):
    E = encoding(scan)
    x = CGSense(regularisation, iterations=200)(scan).image
    torch.testing.assert_close(E.gram(x) + regularisation * x, E.adjoint(scan.kspace), atol=1e-5, rtol=0)


def test_cg_sense_makes_exactly_its_iterations(scan, monkeypatch):
    calls = []
    gram = type(encoding(scan)).gram
    monkeypatch.setattr(type(encoding(scan)), "gram", lambda self, x: calls.append(1) or gram(self, x))
    CGSense(iterations=7)(scan)
    assert len(calls) == 7


def test_l1_wavelet_without_a_penalty_is_a_least_squares_solution(scan):
    E = encoding(scan)
    x = L1Wavelet(0.0, 300)(scan).image
    torch.testing.assert_close(E.gram(x), E.adjoint(scan.kspace), atol=2e-3, rtol=0)


def test_a_huge_penalty_leaves_nothing(scan):
    assert L1Wavelet(100.0, 5)(scan).image.abs().max() == 0


@pytest.mark.parametrize("shape", [(32, 32), (30, 27)])
def test_each_is_better_than_the_one_before(shape):
    scan = make_scan(shape, noise_std=0.02)
    zero_filled, cg, l1 = (error(b(scan), scan) for b in (ZeroFilled(), CGSense(0.01, 10), L1Wavelet(0.01, 60)))
    assert l1 < cg < zero_filled


def test_cycle_spinning_changes_the_image_and_is_reproducible(scan):
    spun, again, plain = L1Wavelet(0.02, 10)(scan), L1Wavelet(0.02, 10)(scan), L1Wavelet(0.02, 10, cycle_spinning=False)(scan)
    assert torch.equal(spun.image, again.image)
    assert not torch.allclose(spun.image, plain.image, atol=1e-4)


def test_maps_that_are_not_of_unit_norm_do_not_make_the_iteration_diverge(scan):
    louder = replace(scan, csm=3 * scan.csm)
    assert L1Wavelet(0.01, 60)(louder).image.abs().max() < 2 * L1Wavelet(0.01, 60)(scan).image.abs().max()


def test_a_scan_of_zeros_gives_zeros(scan):
    empty = replace(scan, kspace=torch.zeros_like(scan.kspace))
    batch = CalibratedScan.batch([scan, empty])
    for baseline in (CGSense(), L1Wavelet(iterations=5)):
        image = baseline(batch).image
        assert image.isfinite().all() and not image[1].any() and image[0].any()
