"""A GPU computes what the CPU computes, of every operator, network, objective and baseline, and trains from a recipe to a report."""

from dataclasses import replace

import pytest
import torch

from ssrecon.baselines import Baseline
from ssrecon.calibrate import Calibrator, espirit
from ssrecon.core.distributed import Process
from ssrecon.core.draw import Draw
from ssrecon.objectives import Objective
from ssrecon.operators import sense
from ssrecon.partition import Gamma, gamma_score
from ssrecon.recipe.recipe import Comparison
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.sampling import Equispaced
from ssrecon.simulation import PhantomArchive
from ssrecon.store.prepare import prepare
from ssrecon.study.comparison import run
from tests.contracts import test_networks as networks
from tests.contracts import test_objectives as objectives
from tests.contracts.classes import subclasses
from tests.scans import EXAMPLE, SMALL_NETWORK, full_kspace, make_scan, reconstruction_of
from tests.training.small import RECIPE

CASES = {"plain": {}, "odd": {"shape": (26, 29)}, "frames": {"frames": 2}, "maps": {"maps": 2}, "volume": {"shape": (6, 16, 14)}}
GPU = "cuda"

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(autouse=True)
def _single_precision():
    """Convolutions on a GPU are of ten bits of mantissa (TF32) unless told otherwise: right for training, too coarse to compare."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def close(there: torch.Tensor, here: torch.Tensor, tolerance: float = 1e-3) -> None:
    assert there.device.type == GPU and here.device.type == "cpu"
    assert torch.linalg.vector_norm(there.cpu() - here) <= tolerance * torch.linalg.vector_norm(here)


@pytest.mark.parametrize("case", CASES)
def test_operators(case):
    scan = make_scan(**CASES[case])
    image = sense(scan.mask, scan.csm).adjoint(scan.kspace)
    there = sense(scan.mask.to(GPU), scan.csm.to(GPU))
    close(there.adjoint(scan.kspace.to(GPU)), image, 1e-5)
    close(there(image.to(GPU)), sense(scan.mask, scan.csm)(image), 1e-5)
    close(there.gram(image.to(GPU)), sense(scan.mask, scan.csm).gram(image), 1e-5)


@pytest.mark.parametrize(
    "spec", networks.NETWORKS, ids=lambda spec: f"{type(spec).__name__}-{type(getattr(spec, 'denoiser', None)).__name__}"
)
def test_networks(spec):
    scan = make_scan(frames=2)
    here, there = spec.build(0, EXAMPLE), spec.build(0, EXAMPLE).to(GPU)
    close(there(scan.to(GPU)).image, here(scan).image)


@pytest.mark.parametrize("spec", objectives.NETWORKS.values(), ids=objectives.NETWORKS)
@pytest.mark.parametrize("kind", objectives.OBJECTIVES)
def test_objectives(kind, spec):
    """Loss, gradient and reconstruction."""
    scan, reference = objectives.pair()
    losses, gradients, images = [], [], []
    for device in ("cpu", GPU):
        network, objective = spec.build(0, EXAMPLE).to(device), objectives.made(kind)
        losses.append(objectives.loss(objective, network, scan.to(device), reference.to(device)).per_scan)
        losses[-1].sum().backward()
        gradients.append(torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None]))
        with torch.no_grad():
            images.append(reconstruction_of(objective, network, scan.to(device), objectives.DRAW).image)
    for (here, there), tolerance in ((losses, 1e-3), (gradients, 1e-2), (images, 1e-3)):
        close(there.detach(), here.detach(), tolerance)


@pytest.mark.parametrize("kind", subclasses("ssrecon.baselines", Baseline))
@pytest.mark.parametrize("case", CASES)
def test_baselines(kind, case):
    scan = make_scan(**CASES[case])
    close(kind()(scan.to(GPU)).image, kind()(scan).image)


@pytest.mark.parametrize("lines", [True, False])
def test_gamma(lines):
    scan, gamma = make_scan(), Gamma(lines=lines)
    held_out = gamma.hold_out(scan, Draw(0))
    assert torch.equal(gamma.hold_out(scan.to(GPU), Draw(0)).cpu(), held_out)
    with torch.no_grad():
        here, _ = gamma_score(SMALL_NETWORK.build(0, EXAMPLE), scan, held_out)
        there, _ = gamma_score(SMALL_NETWORK.build(0, EXAMPLE).to(GPU), scan.to(GPU), held_out.to(GPU))
    close(there, here)


@pytest.mark.parametrize("maps", [1, 2])
def test_calibration(tmp_path, maps):
    archive = PhantomArchive(subjects=2, slices=2, matrix=(64, 48), coils=6)
    made = [prepare(archive, tmp_path / device, Calibrator(maps=maps), Equispaced(2, 24), device=device) for device in ("cpu", GPU)]
    for header in made[0].headers:
        here, there = (store.load(header.scan_id, reference=True) for store in made)
        assert torch.equal(here.scan.mask, there.scan.mask)
        torch.testing.assert_close(there.scan.kspace, here.scan.kspace, rtol=1e-4, atol=1e-4)
        support = [torch.linalg.vector_norm(prepared.scan.csm, dim=2, keepdim=True) > 0 for prepared in (here, there)]
        assert (support[0] == support[1]).double().mean() > 0.99
        both = (support[0] & support[1]).expand_as(here.scan.csm.real)
        torch.testing.assert_close(there.scan.csm[both], here.scan.csm[both], rtol=1e-2, atol=1e-3)


def test_two_map_sets_of_a_whole_slice():
    """Of 100,000 pixels: more than the GPU's libraries take at once."""
    data = full_kspace((24, 24), 4, 1, 1, 0.01, 0)
    here, there = (espirit(part, (320, 320), maps=2, crop=0.5) for part in (data, data.to(GPU)))
    found = torch.linalg.vector_norm(here[:, 0], dim=1) > 0
    assert found.any() and (found == (torch.linalg.vector_norm(there[:, 0].cpu(), dim=1) > 0)).double().mean() > 0.99
    close(there[:, 0] * found[:, None].to(GPU), here[:, 0], 0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_from_recipe_to_report(tmp_path, workers):
    """The weights are those of a CPU's training but for rounding; the checkpoint reconstructs on either."""
    arms = {kind.__name__.lower(): replace(RECIPE, objective=kind()) for kind in subclasses("ssrecon.objectives", Objective)[:3]}
    source = PhantomArchive(subjects=4, slices=2, matrix=(64, 48), coils=4)
    data = replace(RECIPE.data, source=source, pattern=Equispaced(2, 16))
    comparison = Comparison("GPU", {name: replace(arm, data=data) for name, arm in arms.items()}, figure_scans=1)
    for device in ("cpu", GPU):
        assert run(comparison, tmp_path / device, Process(device=torch.device(device)), workers=workers).exists()
    for name in arms:
        path = f"arms/{name}/seed-0/checkpoints/last.safetensors"
        here, there = (load_checkpoint(tmp_path / device / path, device) for device in ("cpu", GPU))
        for (key, value), other in zip(here.network.state_dict().items(), there.network.state_dict().values(), strict=True):
            torch.testing.assert_close(other.cpu(), value, rtol=0.05, atol=0.01, msg=lambda text, key=key: f"{key}: {text}")
        scan = make_scan()
        with torch.no_grad():
            close(load_checkpoint(tmp_path / GPU / path, GPU)(scan.to(GPU)).image, load_checkpoint(tmp_path / GPU / path)(scan).image)
