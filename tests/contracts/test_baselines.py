"""Every baseline in the package, found by walking it."""

import dataclasses
import importlib
import pkgutil

import pytest
import torch

import ssrecon.baselines
from ssrecon.baselines import Baseline
from ssrecon.core.scan import CalibratedScan
from tests.scans import make_scan

for module in pkgutil.iter_modules(ssrecon.baselines.__path__):
    importlib.import_module(f"ssrecon.baselines.{module.name}")
BASELINES = [kind() for kind in sorted(Baseline.__subclasses__(), key=lambda kind: kind.__name__) if kind.__module__.startswith("ssrecon.")]
CASES = {"plain": {}, "odd": {"shape": (26, 29)}, "frames": {"frames": 2}, "maps": {"maps": 2}, "volume": {"shape": (6, 16, 14)}}

pytestmark = pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: type(baseline).__name__)


def test_is_a_frozen_description_with_defaults(baseline):
    assert dataclasses.is_dataclass(baseline) and type(baseline).__dataclass_params__.frozen
    assert not type(baseline).__subclasses__()


@pytest.mark.parametrize("case", CASES)
def test_one_finite_image_a_scan(baseline, case):
    scan = make_scan(**CASES[case])
    estimate = baseline.reconstruct(scan)
    frames, _, maps, *x = scan.shape
    assert estimate.image.shape == (1, frames, maps, *x)
    assert estimate.image.dtype == scan.kspace.dtype
    assert estimate.image.isfinite().all()


def test_batch_mates_do_not_matter(baseline):
    scans = [make_scan(seed=0), make_scan(seed=1, scan_id="other/slice-000", noise_std=0.1)]
    both = baseline(CalibratedScan.batch(scans)).image
    torch.testing.assert_close(both, torch.cat([baseline(scan).image for scan in scans]), atol=1e-5, rtol=1e-4)


def test_deterministic(baseline, scan):
    assert torch.equal(baseline(scan).image, baseline(scan).image)


def test_never_writes_into_the_scan(baseline, scan):
    before = scan.kspace.clone()
    baseline(scan)
    assert torch.equal(scan.kspace, before)


def test_what_was_not_acquired_is_never_looked_at(baseline, scan):
    poisoned = dataclasses.replace(scan, kspace=torch.where(scan.mask, scan.kspace, torch.nan))
    assert torch.equal(baseline(poisoned).image, baseline(scan).image)


def test_better_data_give_a_better_image(baseline):
    sparse, full = make_scan(), make_scan(mask=torch.ones(1, 1, 1, 32, 32, dtype=torch.bool))
    clean = make_scan(noise_std=0.0, mask=torch.ones(1, 1, 1, 32, 32, dtype=torch.bool))
    truth = baseline(clean).magnitude
    assert (baseline(full).magnitude - truth).square().sum() < (baseline(sparse).magnitude - truth).square().sum()
