"""What every partitioner promises; the classes are found by walking the package."""

import dataclasses
import hashlib
import importlib
import inspect
import multiprocessing
import pkgutil

import pytest
import torch

import ssrecon.partition
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.core.scan import CalibratedScan
from ssrecon.partition import Partitioner
from tests.partition.scans import columns, many, masked, scattered


def partitioners() -> list[type[Partitioner]]:
    for module in pkgutil.walk_packages(ssrecon.partition.__path__, "ssrecon.partition."):
        importlib.import_module(module.name)
    found, waiting = [], [Partitioner]
    while waiting:
        below = [kind for kind in waiting.pop().__subclasses__() if kind.__module__.startswith("ssrecon.")]
        waiting += below
        found += [kind for kind in below if not inspect.isabstract(kind)]
    return sorted(found, key=lambda kind: kind.__name__)


KINDS = partitioners()


def flat_scan() -> CalibratedScan:
    """Lines of 20 samples with zero-filled edges that the mask calls acquired, as SSDU's own data does."""
    scan = masked(columns(36, 20))
    padding = scan.padding.clone()
    padding[..., :3, :], padding[..., -2:, :] = True, True
    return dataclasses.replace(scan, padding=padding, mask=scan.mask | padding)


def dynamic_scan() -> CalibratedScan:
    """Three frames on shifted lattices with one centre."""
    frames = torch.stack([columns(36, 20) | columns(36, 20).roll(shift, 0) for shift in (0, 1, 2)])
    return masked(frames[:, None])


def deep_scan() -> CalibratedScan:
    """Scattered (kz, ky) locations, each a whole readout."""
    lines = scattered((12, 14), 0.5)
    lines[4:8, 5:9] = True
    return masked(lines[..., None].expand(12, 14, 8).clone())


SCANS = {"flat": flat_scan, "dynamic": dynamic_scan, "deep": deep_scan}


def fingerprint(scan: CalibratedScan) -> list[str]:
    """One text a partitioner: its split to the last bit."""
    texts = []
    for kind in KINDS:
        part = kind().split(scan, Draw(7, 3))
        parts = (part.theta, part.lambda_, part.inclusion)
        texts.append(hashlib.blake2b(b"".join(t.cpu().numpy().tobytes() for t in parts)).hexdigest())
    return texts


def test_the_walk_finds_the_shipped_ones():
    assert {"Uniform", "Gaussian", "Lines", "VariableDensity", "Bernoulli"} <= {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_frozen_description(kind):
    assert dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen
    assert kind() == kind() and hash(kind()) == hash(kind())


@pytest.mark.parametrize("case", SCANS)
@pytest.mark.parametrize("kind", KINDS)
def test_splits_omega_in_two(kind, case):
    scan = SCANS[case]()
    part = kind().split(scan, Draw(0))
    assert part.theta.shape == part.lambda_.shape == part.inclusion.shape == scan.mask.shape
    assert part.theta.dtype == part.lambda_.dtype == torch.bool and part.inclusion.dtype == torch.float32
    assert not (part.theta & part.lambda_).any()
    assert torch.equal(part.theta | part.lambda_, scan.mask & ~scan.padding)
    assert part.theta.flatten(2).any(-1).all() and part.lambda_.flatten(2).any(-1).all()


@pytest.mark.parametrize("case", SCANS)
@pytest.mark.parametrize("kind", KINDS)
def test_keeps_the_centre_at_high_fractions(kind, case):
    scan = SCANS[case]()
    part = kind(loss_fraction=0.97).split(scan, Draw(0))
    centre = torch.zeros_like(scan.mask)
    centre[(..., *(slice(n // 2 - 2, n // 2 + 2) for n in scan.mask.shape[3:]))] = True
    assert (centre & scan.mask).any()
    assert torch.equal(part.theta & centre, scan.mask & centre)
    assert (part.inclusion[centre] == 0).all()


@pytest.mark.parametrize("case", SCANS)
@pytest.mark.parametrize("kind", KINDS)
def test_inclusion_is_a_probability_that_lambda_had(kind, case):
    scan = SCANS[case]()
    part = kind().split(scan, Draw(0))
    assert (part.inclusion >= 0).all() and (part.inclusion <= 1).all()
    assert (part.inclusion[part.lambda_] > 0).all()
    assert (part.inclusion[~(scan.mask & ~scan.padding)] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_inclusion_sums_to_the_mean_size_of_lambda(kind):
    scan = many(flat_scan(), [f"s{i}" for i in range(400)])
    part = kind().split(scan, Draw(1))
    sizes = part.lambda_.flatten(1).sum(1).double()
    spread = float(sizes.std()) / 400**0.5
    assert abs(float(part.inclusion[0].double().sum()) - float(sizes.mean())) < 4 * spread + 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_depends_on_seed_epoch_and_scan_and_on_nothing_else(kind):
    scan, other = flat_scan(), dataclasses.replace(flat_scan(), headers=(dataclasses.replace(flat_scan().headers[0], scan_id="v/1"),))
    split = kind().split
    first = split(scan, Draw(0, 0)).lambda_
    assert torch.equal(first, split(scan, Draw(0, 0)).lambda_)
    for changed in (split(scan, Draw(0, 1)), split(scan, Draw(1, 0)), split(other, Draw(0, 0))):
        assert not torch.equal(first, changed.lambda_)


@pytest.mark.parametrize("kind", KINDS)
def test_is_the_same_in_any_batch_and_order(kind):
    """Batch-mates with another Omega do not matter."""
    scans = [masked(columns(36, 20, acceleration), f"v/{acceleration}") for acceleration in (2, 3, 4)]
    alone = [kind().split(scan, Draw(5)) for scan in scans]
    for order in ([0, 1, 2], [2, 0, 1], [1, 1]):
        together = kind().split(CalibratedScan.batch([scans[i] for i in order]), Draw(5))
        for place, i in enumerate(order):
            assert torch.equal(together.lambda_[place], alone[i].lambda_[0])
            assert torch.equal(together.inclusion[place], alone[i].inclusion[0])


def test_is_the_same_in_a_worker_process():
    scan = flat_scan()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(fingerprint, (scan,))
    assert there == fingerprint(scan)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_is_the_same_on_a_gpu():
    scan = flat_scan()
    assert fingerprint(scan.to("cuda")) == fingerprint(scan)
    assert KINDS[0]().split(scan.to("cuda"), Draw(0)).theta.device.type == "cuda"


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, 1.4, float("nan")])
@pytest.mark.parametrize("kind", KINDS)
def test_refuses_a_fraction_that_is_none(kind, fraction):
    with pytest.raises(BadRecipe, match=rf"{kind.__name__}.loss_fraction.*found.*expected a number between 0 and 1"):
        kind(loss_fraction=fraction)


@pytest.mark.parametrize("kind", KINDS)
def test_names_the_scan_that_cannot_be_split(kind):
    """Only the protected centre was acquired."""
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[6:10] = kind.__name__ == "Lines"
    mask[6:10, 6:10] = True
    with pytest.raises(BadInput, match="found an empty loss set from .* acquired samples; expected more samples") as caught:
        kind().split(masked(mask, "knee/7"), Draw(0))
    assert caught.value.where == "knee/7"
