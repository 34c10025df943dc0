"""Terms of measurements that were never made, computed again from their formulas: other images, other masks, virtual noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.objectives import EquivariantImaging, MultiOperatorEI, MultiOperatorImaging, RobustEI
from ssrecon.objectives.equivariant_imaging import drawn_moves, equivariance_of
from ssrecon.objectives.measurement import simulated_measurement, white_noise
from ssrecon.objectives.moves import Move, moved
from ssrecon.objectives.transforms import Diffeomorphisms, QuarterTurns, Rotations, Transform
from tests.objectives.recorded import SHAPE, N, archive, energy, kspace_of, recorder, residual_energy
from tests.scans import loss_of, make_scan, smooth_image

DRAW = Draw(0)
SIGMA = 0.2


def equivariance(scan, transform, first, given, returned, noise=None) -> float:
    """The mean square over transforms, after a check that each virtual measurement is that of the moved image, with noise where there is
    some."""
    terms = []
    for number, (virtual, again) in enumerate(zip(given, returned, strict=True)):
        image = moved(first.image, transform.moves(scan, DRAW, f"transform {number}"))
        wanted = kspace_of(scan, image, virtual.mask)
        if noise is not None:
            wanted = wanted + torch.where(virtual.mask, noise, 0)
        torch.testing.assert_close(virtual.kspace, wanted, rtol=1e-4, atol=1e-5)
        terms.append(energy(image - again.image) / N)
    assert len(set(terms)) == len(terms) > 0
    return float(np.mean(terms))


def virtual_noise(scan: CalibratedScan) -> torch.Tensor:
    return SIGMA * white_noise(scan, DRAW, "virtual noise")


def test_ei_is_weighted_and_averaged_over_transforms():
    scan, network = make_scan(), recorder()
    terms = loss_of(EquivariantImaging(weight=3.0, transforms=2), network, scan, None, DRAW).terms
    first, *again = network.returned
    assert len(again) == 2 and all(torch.equal(virtual.mask, scan.mask) for virtual in network.given)
    assert float(terms["equivariance"]) == pytest.approx(3 * equivariance(scan, Rotations(), first, network.given[1:], again), rel=1e-4)
    assert float(terms["consistency"]) == pytest.approx(residual_energy(scan, first.image) / N, rel=1e-4)


def test_robust_ei_is_weighted_and_averaged_over_transforms_of_one_noise():
    """The noise is one draw for all transforms of a scan; the rest is `SURE`."""
    scan, network = make_scan(noise_std=SIGMA), recorder()
    loss = loss_of(RobustEI(weight=3.0, transforms=2), network, scan, None, DRAW)
    first, _, *again = network.returned  # the second is SURE's probe
    assert len(again) == 2
    wanted = equivariance(scan, Rotations(), first, network.given[2:], again, virtual_noise(scan))
    assert float(loss.terms["equivariance"]) == pytest.approx(3 * wanted, rel=1e-4)
    assert float(loss.terms["consistency"]) == pytest.approx(residual_energy(scan, first.image) / int(scan.mask.sum()), rel=1e-4)
    assert float(loss.mean) == pytest.approx(sum(float(term) for term in loss.terms.values()), rel=1e-5)


def another_scans(mask: torch.Tensor, scans: list[CalibratedScan]) -> bool:
    return not torch.equal(mask, scans[0].mask) and any(torch.equal(mask, other.mask) for other in scans[1:])


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_multi_operator_imaging_measures_its_image_through_another_scans_mask(weight):
    scans, network = archive(), recorder()
    terms = loss_of(MultiOperatorImaging(weight=weight).fitted(scans), network, scans[0], None, DRAW).terms
    (_, virtual), (first, again) = network.given, network.returned
    assert another_scans(virtual.mask, scans)
    torch.testing.assert_close(virtual.kspace, kspace_of(scans[0], first.image, virtual.mask), rtol=1e-4, atol=1e-5)
    assert float(terms["agreement"]) == pytest.approx(weight * energy(first.image - again.image) / N, rel=1e-4)
    assert float(terms["consistency"]) == pytest.approx(residual_energy(scans[0], first.image) / N, rel=1e-4)


@pytest.mark.parametrize("robust", [False, True])
def test_multi_operator_ei_measures_a_moved_image_through_another_scans_mask(robust):
    scans, network = archive(noise_std=SIGMA), recorder()
    scan = scans[0]
    loss = loss_of(MultiOperatorEI(weight=3.0, robust=robust).fitted(scans), network, scan, None, DRAW)
    (first, *_, again), virtual = network.returned, network.given[-1]
    assert another_scans(virtual.mask, scans) and len(network.given) == 2 + robust
    noise = virtual_noise(scan) if robust else None
    wanted = equivariance(scan, Diffeomorphisms(), first, [virtual], [again], noise)
    assert float(loss.terms["equivariance"]) == pytest.approx(3 * wanted, rel=1e-4)
    count = int(scan.mask.sum()) if robust else N  # SURE is per acquired location
    assert float(loss.terms["consistency"]) == pytest.approx(residual_energy(scan, first.image) / count, rel=1e-4)
    assert float(loss.mean) == pytest.approx(sum(float(term) for term in loss.terms.values()), rel=1e-5)


class Stay(Move):
    def __call__(self, images):
        return images


class Still(Transform):
    """Moves nothing: what differs between a virtual measurement and E x is the noise."""

    def drawn(self, shape, generator):
        return Stay()


@pytest.mark.parametrize("objective", [RobustEI(Still()), MultiOperatorEI(Still(), robust=True), MultiOperatorEI(Still())])
def test_robust_methods_measure_with_noise(objective):
    scans = archive(noise_std=SIGMA)
    objective = objective.fitted(scans)
    network = recorder()
    terms = loss_of(objective, network, scans[0], None, DRAW).terms
    virtual = network.given[-1]
    clean = kspace_of(scans[0], network.returned[0].image, virtual.mask)
    noise = (virtual.kspace - clean)[virtual.mask.expand_as(clean)]
    robust = getattr(objective, "robust", True)
    assert float(noise.abs().square().mean().sqrt()) == pytest.approx(SIGMA if robust else 0, rel=0.1, abs=1e-5)
    assert ("divergence" in terms) == robust


# -- what no coil sees


def half_seen() -> tuple[CalibratedScan, torch.Tensor]:
    """Coils that see the middle of the image alone, and where that is."""
    inside = torch.zeros(SHAPE, dtype=torch.bool)
    inside[6:-6, 9:-4] = True  # not the same after a rotation
    scan = make_scan(noise_std=SIGMA)
    return replace(scan, csm=torch.where(inside, scan.csm, 0)), inside


def test_only_what_coils_see_is_moved():
    """An image that grows where no coil sees it is in no virtual measurement, wherever a rotation brings it; nor in the mean square."""
    scan, inside = half_seen()
    values = []
    for outside in (0.0, 50.0):
        network, first = recorder(), Estimate(smooth_image(SHAPE) * inside + torch.where(inside, 0, outside))
        moves = drawn_moves(Rotations(), scan, DRAW, 2)
        values.append(equivariance_of(network, scan, first, moves))
        images = [moved(first.image * inside, own) * inside for own in moves]
        for virtual, image in zip(network.given, images, strict=True):
            torch.testing.assert_close(virtual.kspace, kspace_of(scan, image, scan.mask), rtol=1e-4, atol=1e-5)
        again = [energy(image - returned.image) / N for image, returned in zip(images, network.returned, strict=True)]
        assert float(values[-1]) == pytest.approx(np.mean(again), rel=1e-4)
    assert torch.equal(*values)


def test_multi_operator_imaging_agrees_where_coils_see():
    scan, inside = half_seen()
    objective = MultiOperatorImaging().fitted([replace(one, csm=scan.csm) for one in archive()])
    inner = recorder()

    def network(given, outside):
        image = inner(given).image
        return Estimate(torch.where(inside, image, outside * image.abs().sum()))

    plain, grown = (loss_of(objective, lambda given, o=o: network(given, o), scan, None, DRAW).mean for o in (0.0, 50.0))
    assert plain > 0 and torch.equal(plain, grown)


def test_virtual_measurements_are_made_with_the_sensitivities_that_were_found():
    scan = make_scan()
    estimate = Estimate(smooth_image(SHAPE), csm=2 * scan.csm)
    virtual = simulated_measurement(scan, estimate.image, scan.mask, estimate)
    torch.testing.assert_close(virtual.kspace, 2 * kspace_of(scan, estimate.image, scan.mask), rtol=1e-4, atol=1e-5)
    assert torch.equal(virtual.csm, scan.csm)


def test_what_transforms_leave_unseen_is_said_by_all():
    for objective in (EquivariantImaging(QuarterTurns()), RobustEI(QuarterTurns()), MultiOperatorEI(QuarterTurns()).fitted(archive())):
        assert QuarterTurns.leaves_unseen in objective.remarks()
