import json
from dataclasses import replace

import pytest
import torch

from ssrecon.core.description import describe, rebuild
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan
from ssrecon.reconstruction.domain import TrainingDomain, acceleration, pattern_name
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
    assert acceleration(padded) == pytest.approx(24 * 32 / int(padded.mask.sum()))


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (column_mask((64, 8), 4, 8), "equispaced lines"),
        (column_mask((64, 8), 4, 0, offset=3), "equispaced lines"),
        (torch.ones(1, 1, 1, 8, 8, dtype=torch.bool), "full"),
        (torch.eye(8, dtype=torch.bool)[None, None, None], "points"),
    ],
)
def test_pattern_names(mask, name):
    assert pattern_name(mask) == name


def test_random_lines_are_irregular_and_lines_without_a_readout_are_points():
    lines = torch.zeros(1, 1, 1, 64, 8, dtype=torch.bool)
    lines[..., [1, 4, 11, 13, 20, 29, 30, 31, 32, 33, 40, 47, 49, 58], :] = True
    assert pattern_name(lines) == "irregular lines"
    assert pattern_name(lines, readout=False) == "points"
