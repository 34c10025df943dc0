"""Values that were published or computed once from the definitions, and what each method reduces to."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.networks import ResNet, Unrolled, WithUncertainty
from ssrecon.objectives import (
    DDSS,
    ENSURE,
    JSSL,
    SPICER,
    SURE,
    EquivariantImaging,
    Heteroscedastic,
    KWeighted,
    MultiMaskSSDU,
    MultiOperatorEI,
    MultiOperatorImaging,
    Noise2Noise,
    Noise2Recon,
    ParallelBranches,
    RobustEI,
    RobustSSDU,
    Supervised,
)
from ssrecon.objectives.k_weighted import k_weight
from ssrecon.objectives.measurement import predicted
from ssrecon.objectives.parallel_branches import branches
from ssrecon.objectives.transforms import QuarterTurns, Shifts, Transform
from ssrecon.operators import coil_combined
from ssrecon.partition import Bernoulli, Gamma, Partition, Uniform
from tests.objectives.enumerated import tiny_scan
from tests.scans import EXAMPLE, column_mask, full_kspace, loss_of, make_reference, make_scan, reconstruction_of, smooth_image

NETWORK = Unrolled(ResNet(blocks=1, channels=4), unrolls=2, cg_iterations=3)


def archive(frames=1, **more):
    for offset in range(4):
        mask = column_mask((32, 32), frames=frames, offset=offset)
        yield make_scan(frames=frames, seed=offset, scan_id=f"v{offset}/slice-000", mask=mask, **more)


# -- K ------------------------------------------------------------------------------------------------------------------------------------


def test_k_weights_of_the_published_example():
    """p and p~ of six locations; the weight of an error is the square of the published (1 - K)^-1/2."""
    p, kept = torch.tensor([1, 0.8, 0.5, 0.25, 0.125, 0.05]), torch.tensor([0.999, 0.9, 0.6, 0.5, 0.3, 0.2])
    everything = torch.ones(1, 1, 1, 1, 6, dtype=torch.bool)
    part = Partition(~everything, everything, (1 - kept).expand(1, 1, 1, 1, 6))
    expected = torch.tensor([1.0, 1.8708, 1.8708, 2.6458, 3.3166, 4.9749])
    torch.testing.assert_close(k_weight(p.expand(1, 1, 1, 1, 6), part, 10.0).flatten().sqrt(), expected, rtol=1e-4, atol=1e-4)
    assert k_weight(p.expand(1, 1, 1, 1, 6), part, 3.0).max() == 9  # capped


def test_a_density_of_one_needs_no_weights():
    scans = list(archive())
    whole = [replace(scan, mask=torch.ones_like(scan.mask), kspace=full_kspace((32, 32), 4, 1, 1, 0.01, 0)) for scan in scans]
    objective = KWeighted(Bernoulli(0.4)).fitted(whole)
    part = objective.partitioner.split(whole[0], Draw(0))
    weight = k_weight(objective.sampling.probability(whole[0]), part, 10.0)
    torch.testing.assert_close(weight, part.lambda_.float())
    assert torch.isfinite(loss_of(objective, NETWORK.build(0, EXAMPLE), whole[0], None, Draw(0)).mean)


def test_unlearnable_locations_are_named():
    (scan, *_) = archive()
    objective = KWeighted().fitted([scan])
    assert objective.remarks == ("56.2% of the locations of 32x32 are in none of 1 masks: no self-supervised loss reaches them",)
    other = make_scan(mask=column_mask((32, 32), offset=1))
    with pytest.raises(BadInput, match="phantom/slice-000: found samples where the density of the archive's masks is 0"):
        loss_of(objective, NETWORK.build(0, EXAMPLE), other, None, Draw(0))
    with pytest.raises(BadRecipe, match="KWeighted: found no masks of an archive; expected KWeighted.fitted"):
        loss_of(KWeighted(), NETWORK.build(0, EXAMPLE), scan, None, Draw(0))
    with pytest.raises(BadInput, match="a matrix 16x16 whose sampling is not known; expected one of 32x32"):
        loss_of(objective, NETWORK.build(0, EXAMPLE), make_scan((16, 16)), None, Draw(0))


# -- noise --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "corrected"), [(-1.0, -0.863), (0.5, 0.574), (1.5, 0.961)])
def test_the_robust_correction_gives_the_posterior_mean(given, corrected):
    """A sample that is +1 or -1, in real noise of .7, and .75 times as much added: from E[y | y~], integrated, to E[y0 | y~]."""
    s, alpha = 0.7, 0.75
    y = np.linspace(-8, 8, 20001)
    density = (np.exp(-0.5 * ((y - 1) / s) ** 2) + np.exp(-0.5 * ((y + 1) / s) ** 2)) * np.exp(-0.5 * ((given - y) / (alpha * s)) ** 2)
    mean = float((y * density).sum() / density.sum())
    scan = tiny_scan(torch.full((1, 1, 1, 1), given, dtype=torch.complex128), torch.ones(1, 1, dtype=torch.bool))
    network = lambda scan: Estimate(torch.full((1, 1, 1, 1, 1), mean, dtype=torch.complex128))  # noqa: E731
    assert reconstruction_of(RobustSSDU(alpha=alpha), network, scan, Draw(0)).image.real.item() == pytest.approx(corrected, abs=1e-3)


def test_the_correction_lowers_the_noise_below_what_was_measured():
    """A network that knows the object returns E[y | y~]; corrected, that is the object itself."""
    scan, truth = make_scan(noise_std=0.3, mask=torch.ones(1, 1, 1, 32, 32, dtype=torch.bool)), smooth_image((32, 32))
    alpha = 1.0

    def network(given):  # knows the object: E[y | y~] = y0 + (y~ - y0) / (1 + a^2)
        seen = coil_combined(given)
        return Estimate(truth + (seen - truth) / (1 + alpha**2))

    corrected = reconstruction_of(RobustSSDU(alpha=alpha), network, scan, Draw(0)).image
    assert (corrected - truth).abs().square().mean() < 1e-3 * (coil_combined(scan) - truth).abs().square().mean()


def test_noise_aware_methods_refuse_scans_of_unknown_noise():
    silent = make_scan(noise_std=0.0)
    for objective in (SURE(), ENSURE(), RobustSSDU(), Noise2Recon(), RobustEI(), Heteroscedastic()):
        with pytest.raises(BadInput, match="phantom/slice-000: found an unknown noise level"):
            loss_of(objective.fitted(archive()), NETWORK.build(0, EXAMPLE), silent, None, Draw(0))


def test_noise2recon_without_consistency_is_multi_mask_ssdu():
    scan, network = make_scan(), NETWORK.build(0, EXAMPLE)
    one = loss_of(Noise2Recon(weight=0.0), network, scan, None, Draw(1, 4)).mean
    assert torch.equal(one, loss_of(MultiMaskSSDU(Uniform(0.4), masks=None), network, scan, None, Draw(1, 4)).mean)


def test_noise2recon_moves_the_noisy_branch_towards_the_pseudo_reference_and_not_back():
    """The gradient of the consistency by an image that only the branch without added noise uses is nothing."""
    scan = make_scan(noise_std=0.1)
    clean = torch.zeros(1, 1, 1, 32, 32, dtype=torch.complex64, requires_grad=True)
    noisy = torch.ones(1, 1, 1, 32, 32, dtype=torch.complex64, requires_grad=True)

    def network(given):
        whole = torch.equal(given.mask, scan.mask)
        return Estimate(1 + clean if whole and torch.equal(given.kspace, scan.kspace) else noisy)

    loss = loss_of(Noise2Recon(), network, scan, None, Draw(0))
    (grad_noisy,) = torch.autograd.grad(loss.terms["consistency"].sum(), noisy, allow_unused=True, retain_graph=True)
    (grad_clean,) = torch.autograd.grad(loss.mean, clean, allow_unused=True)
    assert grad_noisy is not None and grad_clean is None


def test_heteroscedastic_scale_has_the_noise_as_its_floor():
    """With u = 0 and beta = 0 the loss is the likelihood of the noise alone, whose mean is log(pi s^2) + 1 for a perfect network."""
    scan, sigma = make_scan(noise_std=0.2), 0.2

    def network(u):
        return lambda given: Estimate(smooth_image((32, 32)), kspace_std=torch.full((1, 1, 1, 32, 32), u))

    values = {u: loss_of(Heteroscedastic(beta=0.0), network(u), scan, None, Draw(0)).mean.item() for u in (0.0, 0.05, 0.2, 1.0)}
    assert values[0.0] == pytest.approx(np.log(np.pi * sigma**2) + 1, abs=0.1)
    assert values[0.0] < values[0.2] < values[1.0]
    with_one = loss_of(Heteroscedastic(beta=0.0), lambda given: Estimate(smooth_image((32, 32))), scan, None, Draw(0)).mean.item()
    assert with_one == pytest.approx(values[0.0], abs=0.05)


def test_the_expected_error_is_learned_without_truth():
    """The network is wrong by a known amount that depends on the location; u finds it from held-out samples alone."""
    network = WithUncertainty(NETWORK, layers=1).build(0, EXAMPLE)
    optimizer = torch.optim.Adam(network.head.parameters(), lr=0.05)
    objective = Heteroscedastic(beta=0.0)
    scans = [make_scan(seed=seed, scan_id=f"s{seed}/slice-000", noise_std=0.05) for seed in range(4)]
    losses = []
    for step in range(100):
        optimizer.zero_grad()
        loss = loss_of(objective, network, scans[step % 4], None, Draw(0, step)).mean
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) - 0.1
    with torch.no_grad():
        scan = make_scan(seed=9, scan_id="new/slice-000", noise_std=0.05)
        part = Uniform(0.4).split(scan, Draw(3))
        estimate, held_out = network(scan.on(part.theta)), scan.on(part.lambda_)
        error = (predicted(held_out, estimate) - held_out.kspace).abs().square().mean(dim=2, keepdim=True)[part.lambda_]
        expected = (0.05**2 + estimate.kspace_std**2)[part.lambda_]
    assert 0.8 < float(error.mean() / expected.mean()) < 1.25
    large = expected > expected.median()
    assert error[large].mean() > 1.4 * error[~large].mean()


# -- invariance


class Identity(Transform):
    def drawn(self, shape, generator):
        return lambda images: images


def test_equivariant_imaging_with_the_identity():
    """T = 1: the second term is |x1 - f(E x1)|^2, of the image per pixel."""
    scan, network = make_scan(), NETWORK.build(0, EXAMPLE)
    terms = loss_of(EquivariantImaging(Identity()), network, scan, None, Draw(0)).terms
    x1 = network(scan).image * (scan.csm != 0).any(dim=2).unsqueeze(1)
    again = network(replace(scan, kspace=predicted(scan, Estimate(x1)))).image
    assert terms["equivariance"].item() == pytest.approx((x1 - again).abs().square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("objective", [EquivariantImaging(), RobustEI(), MultiOperatorImaging(), MultiOperatorEI()])
def test_the_gradient_goes_through_both_estimates(objective):
    """A network a x: of |a T x - a^2 T' x|^2 the derivative by a is not that of either side alone."""
    objective, scan = objective.fitted(archive()), make_scan(noise_std=1e-6)
    sides = []

    def network(a):
        calls = []

        def f(given):
            calls.append(given)
            sides.append(given.kspace.requires_grad)
            return Estimate(a * given.kspace.sum(dim=2, keepdim=True))

        return f

    a = torch.tensor(0.7, requires_grad=True)
    loss = loss_of(objective, network(a), scan, None, Draw(0)).mean
    (grad,) = torch.autograd.grad(loss, a)
    assert sides[0] is False and sides[-1] is True  # the virtual measurement carries the gradient of the first estimate
    step = 1e-2
    higher, lower = (loss_of(objective, network(torch.tensor(0.7 + d)), scan, None, Draw(0)).mean.item() for d in (step, -step))
    assert grad.item() == pytest.approx((higher - lower) / (2 * step), rel=0.02)


def test_what_cannot_work_is_refused():
    assert EquivariantImaging(QuarterTurns()).remarks == RobustEI(QuarterTurns()).remarks == (QuarterTurns.leaves_unseen,)
    assert EquivariantImaging().remarks == ()
    for kind in (EquivariantImaging, RobustEI, MultiOperatorEI):
        with pytest.raises(BadRecipe, match=rf"{kind.__name__}.transform: found Shifts, which commute with Cartesian sampling"):
            kind(transform=Shifts())
    for kind in (MultiOperatorImaging, MultiOperatorEI):
        with pytest.raises(BadRecipe, match="one sampling mask in all scans of 32x32"):
            kind().fitted(make_scan(scan_id=f"v{i}/slice-000") for i in range(3))
    with pytest.raises(BadInput, match="a single frame"):
        loss_of(Noise2Noise(), NETWORK.build(0, EXAMPLE), make_scan(), None, Draw(0))


# -- two parts of one scan


class Swapped(Uniform):
    def split(self, scan, draw):
        part = super().split(scan, draw)
        centre = part.theta & (part.inclusion == 0)
        # inclusion 0 keeps what is shared; the rest changes sides
        return Partition(part.lambda_ | centre, part.theta & ~centre, part.inclusion)


@pytest.mark.parametrize("kind", [ParallelBranches, SPICER, DDSS])
def test_swapping_the_parts_changes_nothing(kind):
    scan, network = make_scan(), NETWORK.build(0, EXAMPLE)
    one, other = (loss_of(kind(partitioner=law), network, scan, None, Draw(2)).mean for law in (Uniform(0.5), Swapped(0.5)))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_ddss_gains_nothing_by_an_image_that_grows(scale):
    """Neither outside the object, where no data hold it, nor by the norm that appearance is relative to."""
    scan = make_scan(noise_std=0.0)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[6:-6, 6:-6] = True
    scan = replace(scan, csm=torch.where(inside, scan.csm, 0))
    image = coil_combined(scan).requires_grad_()

    def network(given, grown=0.0):
        return Estimate(image * scale + coil_combined(given) + torch.where(inside, 0, grown))

    plain, grown = (loss_of(DDSS(), lambda given, g=g: network(given, g), scan, None, Draw(0)).mean for g in (0.0, 1e4))
    assert plain.item() == pytest.approx(grown.item(), rel=1e-5)
    appearance = loss_of(DDSS(), network, scan, None, Draw(0)).terms["appearance"].sum()
    (grad,) = torch.autograd.grad(appearance, image, allow_unused=True)
    # What is common to all three images cancels in every difference, and the norm has no gradient.
    assert grad is None or grad.abs().max() < 1e-6


def test_noise2recon_compares_images_where_coils_see_them():
    """An image that grows outside the object, where no data hold it, must not make what differs inside it small."""
    scan = make_scan(noise_std=0.05)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[6:-6, 6:-6] = True
    scan = replace(scan, csm=torch.where(inside, scan.csm, 0))

    def network(given, grown):
        return Estimate(coil_combined(given) + torch.where(inside, 0, grown * given.kspace.abs().sum()))

    plain, grown = (loss_of(Noise2Recon(), lambda given, g=g: network(given, g), scan, None, Draw(0)) for g in (0.0, 1e4))
    assert plain.terms["consistency"].item() > 0
    torch.testing.assert_close(plain.per_scan, grown.per_scan)


def test_branches_share_the_centre_and_make_up_the_scan():
    scan = make_scan()
    first, second = branches(scan, Uniform(0.5).split(scan, Draw(0)))
    assert torch.equal(first | second, scan.mask)
    shared = first & second
    assert bool((shared >= scan.calibration).all()) and int(shared.sum()) < int(scan.mask.sum()) / 2


class Whole(Uniform):
    """Nothing may be held out: both branches get all of Omega."""

    def split(self, scan, draw):
        return Partition(scan.mask, torch.zeros_like(scan.mask), torch.zeros(scan.mask.shape))


def test_equal_parts_agree():
    """Where nothing was acquired, exactly: the disagreement is that of two halves, and not an energy."""
    scan, network = make_scan(), NETWORK.build(0, EXAMPLE)
    terms = [loss_of(ParallelBranches(law), network, scan, None, Draw(0)).terms for law in (Whole(0.5), Uniform(0.5))]
    equal, split = (each["agreement"].item() for each in terms)
    assert int((~scan.mask).sum()) > 500 and predicted(replace(scan, mask=~scan.mask), network(scan)).abs().max() > 0.1
    assert equal == 0 < split


# -- references, repetitions, three-way split


def test_jssl_is_supervised_where_there_is_a_reference_and_ssdu_where_not():
    network, scans = NETWORK.build(0, EXAMPLE), [make_scan(seed=s, scan_id=f"s{s}/slice-000") for s in range(2)]
    references = [make_reference(scan, full_kspace((32, 32), 4, 1, 1, 0.01, s)) for s, scan in enumerate(scans)]
    ssdu = MultiMaskSSDU(JSSL().partitioner, masks=None)
    for scan, reference in zip(scans, references, strict=True):
        torch.testing.assert_close(
            loss_of(JSSL(), network, scan, reference, Draw(0)).mean, loss_of(Supervised(), network, scan, reference, Draw(0)).mean
        )
        assert torch.equal(loss_of(JSSL(), network, scan, None, Draw(0)).mean, loss_of(ssdu, network, scan, None, Draw(0)).mean)
    half = JSSL(fraction=0.5).fitted(scans)
    assert sum(half.uses(scan.headers[0].subject) for scan in scans) == 1
    mixed = loss_of(half, network, CalibratedScan.batch(scans), CalibratedScan.batch(references), Draw(0)).per_scan
    for value, scan, reference in zip(mixed, scans, references, strict=True):
        torch.testing.assert_close(value, loss_of(half, network, scan, reference, Draw(0)).mean, rtol=1e-4, atol=1e-5)
    assert half.remarks == ("references of 1 of 2 subjects may be used",) and JSSL().fitted(scans) == JSSL()
    with pytest.raises(BadRecipe, match="no subjects to take a fraction of"):
        loss_of(JSSL(fraction=0.5), network, scans[0], references[0], Draw(0))


def test_noise2noise_is_given_one_repetition_and_averages_all():
    scan = make_scan(frames=3, noise_std=0.1, mask=torch.ones(1, 3, 1, 32, 32, dtype=torch.bool))
    seen = []

    def network(given):
        seen.append(given.kspace)
        return Estimate(coil_combined(given))

    loss_of(Noise2Noise(), network, scan, None, Draw(0))
    assert seen[0].shape[1] == 1 and any(torch.equal(seen[0][:, 0], scan.kspace[:, f]) for f in range(3))
    image = reconstruction_of(Noise2Noise(), network, scan, Draw(0)).image
    torch.testing.assert_close(image[:, :1], coil_combined(scan).mean(dim=1, keepdim=True))
    assert image.shape[1] == 3


def test_three_way_split_of_zero_shot_training():
    """Gamma, Lambda and Theta of 35,200 samples as published: 7,036, 11,259 and 16,905, disjoint, and together all of Omega."""
    mask = torch.zeros(320, 368, dtype=torch.bool)
    mask[:, ::4] = True
    mask[:, 184 - 12 : 184 + 12] = True
    assert int(mask.sum()) == 35200
    scan = make_scan((320, 368), coils=1, mask=mask.expand(1, 1, 1, 320, 368))
    gamma = Gamma(fraction=0.2, lines=False, spare_calibration=False).hold_out(scan, Draw(0))
    part = Uniform(0.4).split(scan.on(~gamma), Draw(0))
    assert [int(m.sum()) for m in (gamma, part.lambda_, part.theta)] == [7036, 11259, 16905]
    assert torch.equal(gamma | part.lambda_ | part.theta, scan.mask)
    assert not (gamma & part.lambda_).any() and not (gamma & part.theta).any() and not (part.lambda_ & part.theta).any()
