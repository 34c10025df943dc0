"""What every network and every denoiser promises."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.description import describe, rebuild
from ssrecon.core.scan import CalibratedScan
from ssrecon.networks import DenoiserSpec, NetworkSpec, Unrolled
from tests.contracts.classes import subclasses
from tests.scans import EXAMPLE, make_scan

SMALL = {"blocks": 1, "channels": 4, "layers": 2, "unrolls": 2, "cg_iterations": 3}


def small(kind, **more):
    known = {**SMALL, **more}
    return kind(**{name: value for name, value in known.items() if name in kind.__dataclass_fields__})


DENOISERS = [small(kind) for kind in subclasses("ssrecon.networks", DenoiserSpec)]
NETWORKS = [small(kind) for kind in subclasses("ssrecon.networks", NetworkSpec) if kind is not Unrolled]
NETWORKS += [small(Unrolled, denoiser=denoiser) for denoiser in DENOISERS]


@pytest.fixture(params=NETWORKS, ids=lambda spec: f"{type(spec).__name__}-{type(getattr(spec, 'denoiser', None)).__name__}")
def spec(request):
    return request.param


def test_the_walk_finds_them():
    assert {"CNN", "ResNet"} <= {type(denoiser).__name__ for denoiser in DENOISERS}


@pytest.mark.parametrize("frames", [1, 2])
def test_a_finite_image_and_a_gradient_for_every_parameter(spec, frames):
    network = spec.build(0, EXAMPLE)
    estimate = network(make_scan(frames=frames))
    image = estimate.image
    assert image.shape == (1, frames, 1, 32, 32) and image.dtype == torch.complex64
    # Not of the csm's own square, which the gauge holds at 1.
    everything = (image, estimate.kspace_std, None if estimate.csm is None else estimate.csm[..., :5].real)
    sum((part.abs().square() if part is image else part).sum() for part in everything if part is not None).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in network.parameters())


def test_weights_are_a_function_of_the_seed(spec):
    first, again, other = (spec.build(seed, EXAMPLE).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_reconstructs_a_scan_alone_as_in_a_batch(spec):
    network = spec.build(0, EXAMPLE).eval()
    scans = [make_scan(seed=seed, scan_id=f"s{seed}/slice-000") for seed in (0, 3)]
    with torch.no_grad():
        together = network(CalibratedScan.batch(scans)).image
        alone = torch.cat([network(scan).image for scan in scans])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_what_was_not_acquired_does_not_matter(spec):
    network, scan = spec.build(0, EXAMPLE).eval(), make_scan()
    poisoned = replace(scan, kspace=torch.where(scan.mask, scan.kspace, torch.nan)).on(scan.mask)
    with torch.no_grad():
        assert torch.equal(network(scan).image, network(poisoned).image)


def test_is_its_own_description(spec):
    assert rebuild(describe(spec), "network") == spec
