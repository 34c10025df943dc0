import json
from dataclasses import replace

import pytest
import torch

from ssrecon.core.description import describe, rebuild
from ssrecon.core.encoding import GridPoints
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan
from ssrecon.reconstruction.domain import TrainingDomain
from tests.scans import column_mask, make_scan


@pytest.fixture
def domain():
    return TrainingDomain.of([make_scan(seed=0), make_scan(seed=1), make_scan(coils=6)])


def test_a_scan_of_the_same_kind_is_not_unlike(domain):
    assert domain.unlike(make_scan(seed=7)) == []
    assert domain.unlike(make_scan(coils=5)) == []


@pytest.mark.parametrize(
    ("scan", "word"),
    [
        (make_scan(coils=12), "coils"),
        (make_scan(maps=2), "maps"),
        (make_scan(shape=(96, 96), mask=column_mask((96, 96), 3, 8)), "matrix"),
        (make_scan(mask=column_mask((32, 32), 2, 4)), "acceleration"),
        (make_scan(mask=torch.rand(1, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.45), "pattern"),
        (make_scan(mask=torch.ones(1, 1, 1, 32, 32, dtype=torch.bool)), "acceleration"),
        (replace(make_scan(), scale=torch.tensor([1e-6])), "scale"),
        (make_scan(noise_std=0.1), "noise"),
    ],
    ids=["coils", "maps", "matrix", "acceleration", "points", "full", "scale", "noise"],
)
def test_a_scan_of_another_kind_is_named(domain, scan, word):
    found = domain.unlike(scan)
    assert any(word in sentence and "trained on" in sentence for sentence in found), found


def test_unknown_noise_is_not_compared():
    quiet = TrainingDomain.of([make_scan(noise_std=0.0)])
    assert quiet.noise_std is None
    assert quiet.unlike(make_scan(noise_std=0.5)) == []


def test_a_batch_counts_as_its_scans():
    scans = [make_scan(seed=0), make_scan(seed=1)]
    assert TrainingDomain.of([CalibratedScan.batch(scans)]) == TrainingDomain.of(scans)


def test_survives_json(domain):
    assert rebuild(json.loads(json.dumps(describe(domain))), "test") == domain


def test_no_scans_are_refused():
    with pytest.raises(BadInput, match="no scans"):
        TrainingDomain.of([])


def test_padding_is_neither_acquired_nor_missing():
    scan = make_scan()
    padding = torch.zeros_like(scan.mask)
    padding[..., :8, :] = True
    padded = replace(scan.on(~padding), padding=padding)
    found = TrainingDomain.of([padded])
    assert found.acceleration[0] == pytest.approx(24 * 32 / int(padded.mask.sum()))


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (column_mask((64, 8), 4, 8), "equispaced lines"),
        (column_mask((64, 8), 4, 0, offset=3), "equispaced lines"),
        (torch.ones(1, 1, 1, 8, 8, dtype=torch.bool), "full"),
    ],
)
def test_families_of_patterns(mask, name):
    assert TrainingDomain.of([make_scan(shape=tuple(mask.shape[3:]), mask=mask)]).patterns == (name,)


def test_a_domain_of_an_earlier_version_knows_points():
    """It wrote "points" for whatever is not of lines, and no supports."""
    points = torch.rand(1, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.45
    points[..., 12:20, 12:20] = True
    scan = make_scan(mask=points)
    scan = replace(scan, headers=tuple(replace(header, encoding=GridPoints()) for header in scan.headers))
    today = TrainingDomain.of([scan])
    assert today.patterns == ("random points",) and today.unlike(scan) == []
    assert replace(today, patterns=("points",), supports=()).unlike(scan) == []
    assert any("pattern" in text for text in replace(today, patterns=("equispaced lines",)).unlike(scan))


def test_random_columns_of_one_protocol_are_of_one_acceleration():
    """R=8 of 96: each scan's own extent makes it 4 to 8, and what they reach between them 8."""
    masks = [torch.zeros(1, 1, 1, 96, 8, dtype=torch.bool) for _ in range(6)]
    for seed, mask in enumerate(masks):
        chosen = torch.randperm(88, generator=torch.Generator().manual_seed(seed))[:4]
        mask[..., torch.cat([torch.arange(44, 52), torch.where(chosen < 44, chosen, chosen + 8)]), :] = True
    scans = [make_scan(shape=(96, 8), mask=mask) for mask in masks]
    low, high = TrainingDomain.of(scans).acceleration
    assert low == high == pytest.approx(8, rel=0.05)
    assert all(TrainingDomain.of(scans).unlike(scan) == [] for scan in scans)


def two_protocols():
    """One protocol encodes all of a matrix, the other its middle half; each acquires every second line of what it encodes."""
    lattice = torch.zeros(1, 1, 1, 64, 8, dtype=torch.bool)
    lattice[..., ::2, :] = True
    middle = lattice.clone()
    middle[..., :16, :] = middle[..., 48:, :] = False
    scans = [make_scan(shape=(64, 8), mask=mask) for mask in (lattice, middle)]
    return [of_protocol(scan, name) for scan, name in zip(scans, ("all", "middle"), strict=True)]


def of_protocol(scan, name):
    return replace(scan, headers=tuple(replace(header, protocol=name) for header in scan.headers))


def test_protocols_of_one_matrix_do_not_share_a_support():
    domain = TrainingDomain.of(two_protocols())
    assert domain.matrices == ((64, 8), (64, 8)) and len(set(domain.protocols)) == 2
    assert domain.acceleration == pytest.approx((2.0, 2.0), rel=0.05)
    assert all(domain.unlike(scan) == [] for scan in two_protocols())
    assert rebuild(json.loads(json.dumps(describe(domain))), "test") == domain and "middle" not in json.dumps(describe(domain))


def test_a_scan_of_an_unknown_protocol_is_counted_on_all_of_its_matrix():
    known, middle = two_protocols()
    assert any("acceleration 4" in text for text in TrainingDomain.of([known]).unlike(of_protocol(middle, "elsewhere")))


def test_a_domain_of_an_earlier_version_knows_matrices_and_no_protocols():
    scan = two_protocols()[0]
    written = describe(TrainingDomain.of([scan]))
    del written["protocols"]
    assert rebuild(json.loads(json.dumps(written)), "test").unlike(scan) == []
