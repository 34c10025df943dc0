"""What must fail as theory says: were one of these to do well, something leaked.

Exact statements, no training: two estimates that a loss cannot tell apart are equally good to any training on it.
"""

from dataclasses import dataclass, replace

import pytest
import torch

from ssrecon.algorithms import conjugate_gradient
from ssrecon.core.draw import Draw
from ssrecon.core.scan import Estimate
from ssrecon.objectives import SSDU, SURE, EquivariantImaging, KWeighted, MultiMaskSSDU, ParallelBranches, Supervised
from ssrecon.objectives.distances import MeanSquare
from ssrecon.objectives.transforms import Rotations, Shifts
from ssrecon.operators import coil_combined, encoding
from ssrecon.partition import Lines, Partition, Partitioner, Uniform
from tests.objectives.enumerated import Fixed, estimate, every_subset, tiny_scan
from tests.scans import column_mask, loss_of, make_scan, smooth_image

TRUTH = smooth_image((32, 32))


def error(estimate):
    return float((estimate.image - TRUTH).abs().square().sum() / TRUTH.abs().square().sum())


def cg(scan, iterations=30, shift=1e-6):
    operator = encoding(scan)
    return Estimate(conjugate_gradient(operator.gram, operator.adjoint(scan.kspace), shift=shift, iterations=iterations))


@dataclass(frozen=True)
class OnTheta(Partitioner):
    """The control: the network is judged on what it was given."""

    loss_fraction: float = 0.4

    def split(self, scan, draw):
        part = Uniform(self.loss_fraction).split(scan, draw)
        return Partition(part.theta, part.theta, part.inclusion)


def test_a_loss_on_theta_rewards_reproducing_the_noise():
    """Least squares fits what it is given better than the truth itself does; held out, the truth is better."""
    scan = make_scan(noise_std=0.3)
    on_theta, held_out = MultiMaskSSDU(OnTheta(), masks=None), MultiMaskSSDU(Uniform(0.4), masks=None)

    def truth(given):
        return Estimate(TRUTH)

    fits = [loss_of(objective, cg, scan, None, Draw(0)).mean.item() for objective in (on_theta, held_out)]
    noise = [loss_of(objective, truth, scan, None, Draw(0)).mean.item() for objective in (on_theta, held_out)]
    assert fits[0] < 0.8 * noise[0] and fits[1] > 1.1 * noise[1]


def test_shifts_alone_leave_equivariant_imaging_at_zero_filling():
    """Zero-filling commutes with shifts: a perfect score, and an image that is as wrong as ever. Rotations see through it."""
    scan = make_scan(coils=1, noise_std=0.0)
    scan = replace(scan, csm=torch.ones_like(scan.csm), kspace=torch.where(scan.mask, full_transform(), 0))

    class Allowed(Shifts):
        commutes_with_sampling = False  # past the refusal

    def zero_filled(given):
        return Estimate(coil_combined(given))

    assert error(zero_filled(scan)) > 0.02
    assert loss_of(EquivariantImaging(Allowed()), zero_filled, scan, None, Draw(0)).mean < 1e-10
    assert loss_of(EquivariantImaging(Rotations()), zero_filled, scan, None, Draw(0)).terms["equivariance"] > 1e-4


def full_transform():
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(TRUTH, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))


def test_one_fixed_mask_and_one_coil_never_judge_what_was_not_acquired():
    """Point by point or line by line: the gradient by the prediction between the lines is nothing at every draw. Other masks reach it."""
    scan = make_scan(coils=1)
    scan = replace(scan, csm=torch.ones_like(scan.csm))
    for objective in (SSDU(), MultiMaskSSDU(Uniform(0.4), masks=None), MultiMaskSSDU(Lines(0.4), masks=None)):
        reached = judged(objective, [scan] * 20)
        assert not reached[~scan.mask[0, 0, 0]].any() and reached.any()
    scans = [make_scan(coils=1, mask=column_mask((32, 32), offset=o), scan_id=f"v{o}/slice-000") for o in range(4)]
    scans = [replace(one, csm=torch.ones_like(one.csm)) for one in scans]
    reached = judged(KWeighted().fitted(scans), [scans[i % 4] for i in range(40)])
    assert reached[0:14].all() and reached[18:].all()  # all but the protected centre


def test_points_of_columns_are_solved_along_the_readout():
    """An estimate that fills in whole acquired lines and nothing between them scores better than one that is nearly right everywhere, if
    points are held out; if lines are, it scores worse, as it is."""
    scan = make_scan(coils=1, noise_std=0.0)
    scan = replace(scan, csm=torch.ones_like(scan.csm), kspace=torch.where(scan.mask, full_transform(), 0))

    def of(kspace):
        return Estimate(torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=(-2, -1)), norm="ortho"), dim=(-2, -1)))

    def along_the_readout(given):
        return of(torch.where(given.mask.any(dim=-1, keepdim=True), full_transform(), 0))

    def nearly_right(given):
        return of(torch.where(given.mask, full_transform(), 0.8 * full_transform()))

    assert error(along_the_readout(scan)) > 2 * error(nearly_right(scan))
    by_points, by_lines = MultiMaskSSDU(Uniform(0.4), masks=None), MultiMaskSSDU(Lines(0.4), masks=None)
    points, lines = (
        [loss_of(objective, f, scan, None, Draw(0)).mean.item() for f in (along_the_readout, nearly_right)]
        for objective in (by_points, by_lines)
    )
    assert points[0] < 1e-5 < points[1] and lines[0] > 2 * lines[1]


def judged(objective, scans):
    """Where in k-space the loss moves with a prediction, over one draw a scan."""
    reached = torch.zeros(32, 32, dtype=torch.bool)
    for epoch, scan in enumerate(scans):
        prediction = torch.zeros(1, 1, 1, 32, 32, dtype=torch.complex64, requires_grad=True)
        image = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(prediction, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))
        (grad,) = torch.autograd.grad(loss_of(objective, lambda given, x=image: Estimate(x), scan, None, Draw(0, epoch)).mean, prediction)
        reached |= grad[0, 0, 0].abs() > 1e-4 * grad.abs().max()
    return reached


def test_leaked_readout_oversampling_makes_held_out_points_trivial():
    """An image that fills half of the readout: neighbours in k-space tell what was held out. The loss collapses, the gaps stay."""
    losses, errors = [], []
    for oversampled in (False, True):
        shape = (32, 64) if oversampled else (32, 32)
        mask = column_mask(shape, lines=4)
        image = torch.zeros(1, 1, 1, *shape, dtype=torch.complex64)
        inside = slice(16, 48) if oversampled else slice(0, 32)
        image[..., inside] = TRUTH
        everything = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))
        scan = make_scan(shape, coils=1, noise_std=0.0, mask=mask)
        seen = torch.zeros(1, 1, 1, *shape, dtype=torch.complex64)
        seen[..., inside] = 1  # what a calibration of such data gives: no sensitivity outside the object
        scan = replace(scan, csm=seen, kspace=torch.where(mask, everything, 0))
        losses.append(loss_of(MultiMaskSSDU(Uniform(0.3), masks=None), lambda s: cg(s, 100), scan, None, Draw(0)).mean.item())
        errors.append(error(Estimate(cg(scan, 100).image[..., inside])))
    assert losses[1] < 0.35 * losses[0]
    assert errors[1] > 0.8 * errors[0] > 0.02


def test_branches_judged_on_what_they_were_given_reward_noise_too():
    """The published form of the parallel branches sees itself; held out only, it does not."""
    scan = make_scan(noise_std=0.3)

    def truth(given):
        return Estimate(TRUTH)

    published, strict = ParallelBranches(), ParallelBranches(held_out_only=True)
    of = {(form, f): loss_of(form, f, scan, None, Draw(0)).terms["consistency"].item() for form in (published, strict) for f in (cg, truth)}
    assert of[published, cg] - of[strict, cg] < 0.5 * (of[published, truth] - of[strict, truth])  # on its own input, noise and all
    assert of[strict, cg] > 1.5 * of[strict, truth]


LINES = torch.ones(1, 1, 4, 1, dtype=torch.complex128)
"""An object of four lines, each as large."""
LATTICES = [(torch.arange(4).reshape(4, 1) % 2 == offset, 0.5) for offset in (0, 1)]


def k_weighted_and_supervised(f, acquisitions):
    """Both expectations, over acquisitions (mask, probability) and over coins for their lines."""
    even = torch.full((4, 1), 0.5, dtype=torch.float64)
    fitted = KWeighted(cap=1e3).fitted([tiny_scan(LINES, mask) for mask, _ in LATTICES])
    assert torch.equal(fitted.known.probability(tiny_scan(LINES, LATTICES[0][0]))[0, 0, 0].double(), even)  # no density tells them apart
    weighted = truth = 0.0
    for omega, weight in acquisitions:
        scan, reference = tiny_scan(LINES, omega), tiny_scan(LINES, torch.ones(4, 1, dtype=torch.bool))
        for lambda_, chance in every_subset(torch.where(omega, even, 0.0)):
            told, given = replace(fitted, partitioner=Fixed(lambda_, even)).knowing(fitted.known), scan.on(~lambda_.expand(scan.mask.shape))
            weighted += weight * chance * loss_of(told, f, scan, None, Draw(0)).mean
            truth += weight * chance * loss_of(Supervised(MeanSquare()), f, given, reference.on(~given.mask), Draw(0)).mean
    return float(weighted), float(truth)


def test_a_lattice_reverses_the_k_weighted_ranking():
    """Lines of a lattice with a drawn offset are not independent: any that is given betrays which others may be judged. A network that is
    right on those alone beats one that is right between them alone, and is the worse of the two. Of lines that are drawn one by one, as
    often, the same loss is the truth."""

    def on_the_lattice(given):
        return estimate(LINES[:, None] * (given.mask | given.mask.roll(2, dims=-2)))

    def between_its_lines(given):
        return estimate(LINES[:, None] * (given.mask | given.mask.roll(2, dims=-2)).roll(1, dims=-2))

    assert k_weighted_and_supervised(on_the_lattice, LATTICES) == pytest.approx((0.375, 0.625), rel=1e-6)
    assert k_weighted_and_supervised(between_its_lines, LATTICES) == pytest.approx((0.75, 0.375), rel=1e-6)
    for network in (on_the_lattice, between_its_lines):
        weighted, truth = k_weighted_and_supervised(network, list(every_subset(torch.full((4, 1), 0.5, dtype=torch.float64))))
        assert weighted == pytest.approx(truth, rel=1e-6)


def test_sure_is_blind_to_the_null_space():
    """Networks that differ only where nothing was acquired have one SURE, whatever they put there; one that differs elsewhere has not."""
    generator = torch.Generator().manual_seed(0)
    kspace, noise = (torch.randn(1, 1, 6, 5, dtype=torch.complex128, generator=generator) for _ in range(2))
    everything = torch.ones(6, 5, dtype=torch.bool)
    omega = everything & (torch.arange(6).reshape(6, 1) % 2 == 0)
    scan, reference = tiny_scan(kspace + 0.5 * noise, omega), tiny_scan(kspace, everything)

    def network(shrink, fill):
        return lambda given: estimate(torch.where(given.mask, shrink * given.kspace, fill(given)))

    fills = [lambda given: 0 * kspace, lambda given: kspace, lambda given: 3 - given.kspace.roll(1, dims=-2) ** 2]
    networks = [network(0.8, fill) for fill in fills]
    for seed in range(3):
        values = [float(loss_of(SURE(), f, scan, None, Draw(seed)).mean) for f in networks]
        assert values == pytest.approx([values[0]] * 3, rel=1e-12)
        assert abs(float(loss_of(SURE(), network(0.3, fills[0]), scan, None, Draw(seed)).mean) - values[0]) > 0.05
    blank, right, wild = (float(loss_of(Supervised(MeanSquare()), f, scan, reference, Draw(0)).mean) for f in networks)
    assert right < 0.3 * blank < 0.1 * wild


def test_eight_coils_close_the_gaps_that_one_cannot():
    """The controls fail for their own reason, and not because these scans cannot be reconstructed."""
    assert error(cg(make_scan(coils=8, noise_std=0.0))) < 0.02
