"""Every term of every loss, computed again from its formula: several coils, many locations, parameters that are not the defaults."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadRecipe
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.networks import LearnedCSM, WithUncertainty
from ssrecon.objectives import (
    DDSS,
    ENSURE,
    SPICER,
    SURE,
    EquivariantImaging,
    Heteroscedastic,
    MultiOperatorEI,
    MultiOperatorImaging,
    Noise2Noise,
    Noise2Recon,
    ParallelBranches,
    RobustEI,
    RobustSSDU,
)
from ssrecon.objectives.measurement import white_noise
from ssrecon.objectives.parallel_branches import branches
from ssrecon.objectives.spicer import roughness
from ssrecon.operators import sense
from ssrecon.partition import Bernoulli
from tests.objectives.recorded import LEARNED, NETWORK, SHAPE, N, archive, energy, kspace_of, recorder, residual_energy
from tests.scans import EXAMPLE, column_mask, loss_of, make_scan, reconstruction_of, smooth_image

# -- noise


def test_white_noise_is_of_unit_variance_and_circular():
    noise = white_noise(CalibratedScan.batch([make_scan((64, 64), scan_id=name) for name in ("a", "b")]), Draw(0), "any")
    count = noise.numel()
    assert float(noise.abs().square().mean()) == pytest.approx(1, abs=4 / math.sqrt(count))
    assert float((noise**2).mean().abs()) < 4 * math.sqrt(2 / count)  # real and imaginary parts alike and independent
    assert not torch.equal(noise[0], noise[1])


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


def test_ensure_weighs_by_the_density_without_a_cap_too():
    scans = archive(noise_std=0.1)
    for cap in (2.0, math.inf):
        objective = ENSURE(cap=cap).fitted(scans)
        network, scan = recorder(), scans[1]
        loss = loss_of(objective, network, scan, None, Draw(0))
        p = objective.known.probability(scan)
        weight = torch.where(scan.mask, torch.clamp(1 / p, max=cap**2), 0)
        residual = (kspace_of(scan, network.returned[0].image, scan.mask) - scan.kspace).abs().square()
        assert float(loss.terms["consistency"]) == pytest.approx(float((weight * residual).sum() / scan.mask.sum()), rel=1e-4)
        assert float(loss.terms["noise"]) == pytest.approx(-(0.1**2) * 4 * float(weight.sum() / scan.mask.sum()), rel=1e-4)
    (lattice,) = archive()[:1]
    assert torch.isfinite(loss_of(ENSURE(cap=math.inf).fitted([lattice]), NETWORK.build(0, EXAMPLE), lattice, None, Draw(0)).mean)


def test_ensure_weighs_the_divergence_too():
    """One probe, at its distance from y; every location's part of the divergence counts 1 / p times."""
    scans, sigma, step = archive(noise_std=0.1), 0.1, 0.5
    objective = ENSURE(step=step, cap=math.inf).fitted(scans)
    network, scan = recorder(), scans[1]
    divergence = loss_of(objective, network, scan, None, Draw(0)).terms["divergence"]
    probe, tau = white_noise(scan, Draw(0), "divergence"), step * sigma
    torch.testing.assert_close(network.given[1].kspace, scan.kspace + torch.where(scan.mask, tau * probe, 0))
    before, after = (kspace_of(scan, estimate.image, scan.mask) for estimate in network.returned)
    each = (probe.conj() * (after - before) / tau).real.sum(dim=2, keepdim=True)[scan.mask]
    weight = 1 / objective.known.probability(scan)[scan.mask]
    assert float(divergence) == pytest.approx(2 * sigma**2 * float((weight * each).mean()), rel=1e-3)
    assert float((weight * each).mean()) > 1.1 * float(each.mean())  # so that the weights matter


def test_robust_ssdu_weighs_both_sets():
    scans, alpha = archive(noise_std=0.1), 0.5
    objective = RobustSSDU(Bernoulli(0.4, lines=True), alpha=alpha).fitted(scans)
    network, scan = recorder(), scans[0]
    value = loss_of(objective, network, scan, None, Draw(0)).mean
    part = objective.partitioner.split(scan, Draw(0))
    (given,), (returned,) = network.given, network.returned
    assert torch.equal(given.mask, part.theta)
    added = (given.kspace - scan.kspace)[part.theta.expand_as(scan.kspace)]
    assert float(added.abs().square().mean().sqrt()) == pytest.approx(alpha * 0.1, rel=0.1)
    residual = (kspace_of(scan, returned.image, scan.mask) - scan.kspace).abs().square()
    p, i = objective.known.probability(scan).double(), part.inclusion.double()
    one_minus_k = p * i / (1 - (1 - i) * p)
    held_out = (residual / one_minus_k.clamp_min(0.01))[part.lambda_.expand_as(residual)].sum()
    kept = ((1 + alpha**2) / alpha**2) ** 2 * residual[part.theta.expand_as(residual)].sum()
    assert float(value) == pytest.approx(float(held_out + kept) / N, rel=1e-4)
    assert float(p.max()) == 1 and p.min() < 0.5  # so that the weights matter


def test_robust_ssdu_without_weights_judges_all_that_was_acquired_alike():
    scans = archive(noise_std=0.1)
    network, scan = recorder(), scans[0]
    value = loss_of(RobustSSDU(Bernoulli(0.4, lines=True), alpha=0.5, weighted=False).fitted(scans), network, scan, None, Draw(0)).mean
    assert float(value) == pytest.approx(residual_energy(scan, network.returned[0].image) / N, rel=1e-4)


def test_the_network_is_told_of_the_noise_that_is_added():
    """sqrt(sigma^2 + added^2) where noise is added, in training and at test time, and sigma where none is."""
    scan, sigma, alpha = make_scan(noise_std=0.1), 0.1, 2.0

    def added(given):
        return float((given.kspace - scan.kspace)[given.mask.expand_as(scan.kspace)].abs().square().mean().sqrt())

    for noisy_at_test in (False, True):
        robust = RobustSSDU(alpha=alpha, noisy_at_test=noisy_at_test).fitted(archive())
        training, testing = recorder(), recorder()
        loss_of(robust, training, scan, None, Draw(0))
        reconstruction_of(robust, testing, scan, Draw(0))
        assert float(training.given[0].noise_std) == pytest.approx(sigma * math.sqrt(1 + alpha**2), rel=1e-5)
        assert float(testing.given[0].noise_std) == pytest.approx(sigma * math.sqrt(1 + noisy_at_test * alpha**2), rel=1e-5)
        assert added(testing.given[0]) == pytest.approx(noisy_at_test * alpha * sigma, rel=0.05)
    told = set()
    for seed in range(5):
        network = recorder()
        loss_of(Noise2Recon(), network, scan, None, Draw(seed))
        theta, pseudo, noisy = network.given
        assert float(theta.noise_std) == float(pseudo.noise_std) == pytest.approx(sigma)
        assert float(noisy.noise_std) == pytest.approx(math.hypot(sigma, added(noisy)), rel=0.03)
        told.add(float(noisy.noise_std))
    assert max(told) > 1.3 * min(told)


def test_noise2recon_adds_noise_of_many_levels():
    scan, objective = make_scan(noise_std=0.1), Noise2Recon(least=0.5, most=2.0, weight=3.0)
    levels = []
    for seed in range(40):
        network = recorder()
        loss = loss_of(objective, network, scan, None, Draw(seed))
        noisy = network.given[-1]
        levels.append(float((noisy.kspace - scan.kspace)[scan.mask.expand_as(scan.kspace)].abs().square().mean().sqrt()) / 0.1)
    assert 0.45 < min(levels) < 0.8 and 1.7 < max(levels) < 2.1
    pseudo, image = (torch.view_as_real(network.returned[i].image) for i in (1, 2))
    assert float(loss.terms["consistency"]) == pytest.approx(3 * float((image - pseudo).abs().sum() / pseudo.abs().sum()), rel=1e-4)


# -- two parts


def parted(objective):
    scan = make_scan()
    network = recorder()
    terms = loss_of(objective, network, scan, None, Draw(0)).terms
    return scan, network, terms, branches(scan, objective.partitioner.split(scan, Draw(0)))


def test_parallel_branches_agree_where_nothing_was_acquired():
    scan, network, terms, given = parted(ParallelBranches(agreement=2.0))
    one, other = (estimate.image for estimate in network.returned)
    assert float(terms["agreement"]) == pytest.approx(2 * energy(kspace_of(scan, one - other, ~scan.mask)) / N, rel=1e-4)
    residuals = [energy(kspace_of(scan, image, scan.mask) - scan.kspace) / N for image in (one, other)]
    assert float(terms["consistency"]) == pytest.approx(sum(residuals), rel=1e-4)
    assert [torch.equal(seen.mask, mask) for seen, mask in zip(network.given, given, strict=True)] == [True, True]


def test_spicer_judges_each_part_on_what_it_was_not_given():
    scan, network, terms, given = parted(SPICER(smoothness=5.0))
    cross = 0.0
    for own, estimate in zip(given, network.returned, strict=True):
        other = scan.mask & ~own
        cross += 0.5 * energy(torch.where(other, kspace_of(scan, estimate.image, other) - scan.kspace, 0)) / N
    assert float(terms["cross"]) == pytest.approx(cross, rel=1e-4)
    assert float(terms["smoothness"]) == pytest.approx(2 * 5 * float(roughness(scan.csm)), rel=1e-5) and roughness(scan.csm) > 0
    # Frozen but for one branch, the loss asks nothing of what that branch was given.
    for live in (0, 1):
        constants = [estimate.image.detach() for estimate in network.returned]
        constants[live].requires_grad_()
        images = iter(constants)
        loss = loss_of(SPICER(), lambda seen: Estimate(next(images)), scan, None, Draw(0)).mean  # noqa: B023
        (gradient,) = torch.autograd.grad(loss, constants[live])
        judged = scan.mask & ~given[live]
        residual = torch.where(judged, kspace_of(scan, constants[live].detach(), judged) - scan.kspace, 0)
        torch.testing.assert_close(gradient, sense(judged, scan.csm).adjoint(residual) / N, rtol=1e-3, atol=1e-8)


def test_spicer_predicts_by_the_sensitivities_that_were_found_and_keeps_those_smooth():
    scan, objective, network = make_scan(), SPICER(smoothness=5.0), recorder(LEARNED)
    terms = loss_of(objective, network, scan, None, Draw(0)).terms
    cross = rough = 0.0
    for own, estimate in zip(branches(scan, objective.partitioner.split(scan, Draw(0))), network.returned, strict=True):
        other = scan.mask & ~own
        cross += 0.5 * energy(torch.where(other, sense(other, estimate.csm)(estimate.image) - scan.kspace, 0)) / N
        rough += 5 * float(sum(estimate.csm.diff(dim=axis).abs().square().mean() for axis in (3, 4)))
    assert float(terms["cross"]) == pytest.approx(cross, rel=1e-4)
    assert float(terms["smoothness"]) == pytest.approx(rough, rel=1e-4)
    assert abs(rough / (2 * 5 * float(roughness(scan.csm))) - 1) > 0.05  # so that it matters whose they are


def test_ddss_compares_appearance_and_its_gradient():
    scan, network, terms, _ = parted(DDSS(appearance=2.0, gradient=0.5))

    def size(image: torch.Tensor) -> float:
        parts = [image, 0.5 * image.diff(dim=3), 0.5 * image.diff(dim=4)]
        return float(sum(torch.view_as_real(part).abs().sum() for part in parts))

    whole, *others = (estimate.image for estimate in network.returned)
    wanted = 2 * sum(size(part - whole) for part in others) / size(whole)
    assert float(terms["appearance"]) == pytest.approx(wanted, rel=1e-4)


def test_ddss_judges_all_three_images_on_all_that_was_acquired():
    scan, network, terms, (first, second) = parted(DDSS())
    assert all(torch.equal(seen.mask, mask) for seen, mask in zip(network.given, (scan.mask, first, second), strict=True))
    measured, distances = torch.view_as_real(scan.kspace), []
    for estimate in network.returned:
        residual = torch.view_as_real(kspace_of(scan, estimate.image, scan.mask) - scan.kspace)
        squares = float(residual.square().sum().sqrt() / measured.square().sum().sqrt())
        distances.append(0.5 * squares + 0.5 * float(residual.abs().sum() / measured.abs().sum()))
    assert min(distances) > 0.01
    assert float(terms["kspace"]) == pytest.approx(sum(distances), rel=1e-4)


# -- repetitions


def repetitions(frames=3):
    return make_scan(frames=frames, noise_std=0.1, mask=column_mask(SHAPE, frames=frames))


def test_noise2noise_judges_the_given_repetition_on_all_others():
    """Each is given sometimes, as it is drawn, and never judged."""
    scan, given = repetitions(), set()
    for epoch in range(24):
        network = recorder()
        value = loss_of(Noise2Noise(), network, scan, None, Draw(0, epoch)).mean
        (seen,), (estimate,) = network.given, network.returned
        (frame,) = (f for f in range(3) if torch.equal(seen.kspace[:, 0], scan.kspace[:, f]))
        assert torch.equal(seen.mask[:, 0], scan.mask[:, frame])
        residual = kspace_of(scan, estimate.image.expand(-1, 3, *estimate.image.shape[2:]), scan.mask) - scan.kspace
        assert float(value) == pytest.approx(sum(energy(residual[:, f]) for f in range(3) if f != frame) / (2 * N), rel=1e-4)
        given.add(frame)
    assert given == {0, 1, 2}


def test_noise2noise_may_leave_the_repetitions_apart():
    """Then they are the network's own; the average of the same images otherwise."""
    scan, network = repetitions(), NETWORK.build(0, EXAMPLE).requires_grad_(False)
    alone = [network(replace(scan, **{k: getattr(scan, k)[:, f : f + 1] for k in ("kspace", "mask", "padding")})).image for f in range(3)]
    apart, mean = (reconstruction_of(Noise2Noise(average=average), network, scan, Draw(0)).image for average in (False, True))
    assert torch.equal(apart, network(scan).image)
    torch.testing.assert_close(apart, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mean, torch.cat(alone, dim=1).mean(dim=1, keepdim=True).expand_as(apart), rtol=1e-4, atol=1e-5)
    assert energy(apart[:, 0] - apart[:, 1]) > 1e-4 * energy(apart)


# -- networks that return more than an image


def test_the_heteroscedastic_loss_is_tempered_by_beta():
    scan, u = make_scan(noise_std=0.1), 0.3
    for beta in (0.0, 0.5, 1.0):
        objective = Heteroscedastic(beta=beta)
        network = recorder()
        value = loss_of(objective, lambda s: replace(network(s), kspace_std=torch.full(s.mask.shape, u)), scan, None, Draw(0)).mean  # noqa: B023
        lambda_ = objective.partitioner.split(scan, Draw(0)).lambda_
        residual = (kspace_of(scan, network.returned[0].image, lambda_) - torch.where(lambda_, scan.kspace, 0)).abs().square()
        variance = 0.1**2 + u**2
        wanted = variance**beta * (math.log(math.pi * variance) + float(residual.sum()) / variance / (4 * int(lambda_.sum())))
        assert float(value) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_gradient_of_the_expected_error_is_that_of_the_likelihood(beta):
    """By u, s^(2 beta) (1 / s^2 - |e|^2 / s^4) 2 u a sample: what tempers the loss is held still."""
    scan, network, objective = make_scan(noise_std=0.1), recorder(), Heteroscedastic(beta=beta)
    u = (0.1 + 0.4 * torch.rand(scan.mask.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    loss = loss_of(objective, lambda given: replace(network(given), kspace_std=u), scan, None, Draw(0)).mean
    (gradient,) = torch.autograd.grad(loss, u)
    lambda_ = objective.partitioner.split(scan, Draw(0)).lambda_
    squares = (kspace_of(scan, network.returned[0].image, lambda_) - scan.kspace).abs().square().mean(dim=2, keepdim=True)
    variance = 0.1**2 + u.detach() ** 2
    wanted = variance**beta * (1 / variance - squares / variance**2) * 2 * u.detach() / int(lambda_.sum())
    torch.testing.assert_close(gradient, torch.where(lambda_, wanted, 0), rtol=1e-3, atol=1e-6)


def test_the_expected_error_never_moves_the_image():
    network = WithUncertainty(NETWORK, channels=4).build(0, EXAMPLE)
    network(make_scan()).kspace_std.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in network.inner.parameters())
    assert any(p.grad is not None and p.grad.any() for p in network.head.parameters())


def test_corrections_of_sensitivities_are_as_smooth_as_sensitivities():
    network = LearnedCSM(NETWORK, width=3.0).build(0, EXAMPLE)
    noise = torch.randn(1, 1, 4, *SHAPE, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.fftshift(torch.fft.fft2(network._smooth(noise)), dim=(-2, -1)).abs().square().mean(dim=(0, 1, 2))
    y, x = torch.meshgrid(*[torch.arange(32) - 16] * 2, indexing="ij")
    far = (y**2 + x**2).sqrt() > 9
    assert float(spectrum[far].mean()) < 1e-3 * float(spectrum[~far].mean())


def test_noise2noise_keeps_the_sensitivities_that_were_found():
    scan = make_scan(frames=2, mask=column_mask(SHAPE).expand(1, 2, 1, *SHAPE))
    estimate = reconstruction_of(Noise2Noise(), LEARNED.build(0, EXAMPLE), scan, Draw(0))
    assert estimate.csm is not None and estimate.csm.shape == scan.csm.shape and not torch.allclose(estimate.csm, scan.csm)
    assert reconstruction_of(Noise2Noise(), NETWORK.build(0, EXAMPLE), scan, Draw(0)).csm is None


# -- parameters out of range


@pytest.mark.parametrize(
    "make",
    [
        lambda bad: EquivariantImaging(weight=bad),
        lambda bad: RobustEI(weight=bad),
        lambda bad: MultiOperatorImaging(weight=bad),
        lambda bad: MultiOperatorEI(weight=bad),
        lambda bad: Noise2Recon(weight=bad),
        lambda bad: ParallelBranches(agreement=bad),
        lambda bad: SPICER(smoothness=bad),
        lambda bad: DDSS(appearance=bad),
        lambda bad: DDSS(gradient=bad),
    ],
)
def test_weights_are_finite_and_not_negative(make):
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(BadRecipe, match="expected 0 or more"):
            make(bad)


def test_numbers_that_make_no_sense_are_named():
    for kind in (EquivariantImaging, RobustEI):
        with pytest.raises(BadRecipe, match="transforms: found 0; expected 1 or more"):
            kind(transforms=0)
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(BadRecipe, match="WithUncertainty.initial"):
            WithUncertainty(initial=bad)
    for bad in ({"gain": math.nan}, {"width": math.inf}, {"gain": 0.0}):
        with pytest.raises(BadRecipe, match="LearnedCSM"):
            LearnedCSM(**bad)
