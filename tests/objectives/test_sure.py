"""SURE: its divergence, its minimum, and what is left of it without noise."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import (
    SURE,
)
from ssrecon.operators import sense
from tests.objectives.recorded import SHAPE, N, energy, kspace_of, recorder
from tests.scans import loss_of, make_scan, smooth_image


def test_the_divergence_of_a_linear_network_is_its_trace():
    """h = a E E^H y: the divergence is a tr(E^H E), by one probe after another within three standard errors."""
    scan, shrink = make_scan(noise_std=0.3), 0.7
    locations, coils = int(scan.mask.sum()), scan.kspace.shape[2]
    encode = sense(scan.mask, scan.csm)
    # tr(E^H E), pixel by pixel of the sampled Fourier transforms: each location and coil has the energy of its row.
    trace = locations / N * float(scan.csm.abs().square().sum())
    terms = [loss_of(SURE(), lambda s: Estimate(shrink * encode.adjoint(s.kspace)), scan, None, Draw(seed)).terms for seed in range(24)]
    divergences = np.array([float(term["divergence"]) for term in terms])
    expected = 2 * 0.3**2 * shrink * trace / locations
    assert abs(divergences.mean() - expected) < 3 * divergences.std(ddof=1) / math.sqrt(len(divergences))
    assert divergences.std() < 0.2 * expected
    assert float(terms[0]["noise"]) == pytest.approx(-coils * 0.3**2, rel=1e-5)
    residual = encode(shrink * encode.adjoint(scan.kspace)) - scan.kspace
    assert float(terms[0]["consistency"]) == pytest.approx(energy(residual) / locations, rel=1e-4)


def test_sure_and_the_truth_have_the_same_minimum():
    """Over the strength of a linear shrinkage the estimate, averaged over noise, is least where the error on what was acquired is."""
    strengths, risks, errors = np.linspace(0.2, 1.2, 11), np.zeros(11), np.zeros(11)
    for seed in range(12):
        scan = make_scan(noise_std=0.6, seed=seed, scan_id=f"s{seed}/slice-000")
        encode = sense(scan.mask, scan.csm)
        truth = encode(smooth_image(SHAPE, seed=seed))
        for i, strength in enumerate(strengths):

            def network(s, a=float(strength), encode=encode):
                return Estimate(a * encode.adjoint(s.kspace))

            risks[i] += float(loss_of(SURE(), network, scan, None, Draw(seed)).mean)
            errors[i] += energy(encode(float(strength) * encode.adjoint(scan.kspace)) - truth) / int(scan.mask.sum())
    assert abs(int(risks.argmin()) - int(errors.argmin())) <= 1 and 0 < errors.argmin() < 10


def test_sure_without_noise_is_the_residual():
    scan = replace(make_scan(noise_std=0.0), noise_std=torch.zeros(1), noise_source="noise scan")
    network = recorder()
    loss = loss_of(SURE(), network, scan, None, Draw(0))
    residual = kspace_of(scan, network.returned[0].image, scan.mask) - scan.kspace
    assert float(loss.mean) == pytest.approx(energy(residual) / int(scan.mask.sum()), rel=1e-4)
