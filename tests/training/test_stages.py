"""Networks as large as their example, modules beside the network, and training in stages."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from ssrecon.core.errors import BadRecipe
from ssrecon.core.example import Example
from ssrecon.core.scan import CalibratedScan, Estimate
from ssrecon.networks import CNN, NetworkSpec, Unrolled, WithUncertainty
from ssrecon.objectives import SSDU, Draws, Heteroscedastic, Loss
from ssrecon.operators import coil_combined
from ssrecon.partition import Uniform
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.training.preflight import preflight
from ssrecon.training.trainer import Trainer
from tests.scans import SMALL_NETWORK, make_scan
from tests.training.small import RECIPE, assign, make_store, recipe

TRUST = ("tests.training.small", "tests.training.test_stages")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), shapes=((24, 20),))


@dataclass(frozen=True)
class PerPixel(NetworkSpec):
    """A weight a pixel, coil and calibration line: a size that only the example tells."""

    def build(self, seed: int, example: CalibratedScan) -> nn.Module:
        return _PerPixel(example)


class _PerPixel(nn.Module):
    def __init__(self, example: CalibratedScan):
        super().__init__()
        lines = int(example.calibration[0, 0, 0].any(dim=-1).sum())
        self.weight = nn.Parameter(torch.ones(example.kspace.shape[3:]))
        self.unused = nn.Parameter(torch.zeros(example.kspace.shape[2], lines))

    def forward(self, scan: CalibratedScan) -> Estimate:
        return Estimate(coil_combined(scan) * self.weight + 0 * self.unused.sum())


def test_a_network_may_be_as_large_as_its_example(store, tmp_path):
    chosen = replace(recipe(steps=3), network=PerPixel())
    trained = Trainer(chosen, store, assign(store), tmp_path)
    assert trained.network.weight.shape == (24, 20) and trained.network.unused.shape == (4, 8)
    loaded = load_checkpoint(trained.run().last, trust=TRUST)
    assert torch.equal(loaded.network.weight, trained.network.weight) and loaded.network.unused.shape == (4, 8)
    assert read_checkpoint(tmp_path / "checkpoints/last.safetensors").about["example"]["matrix"] == [24, 20]


@pytest.mark.parametrize(("frames", "maps", "shape"), [(1, 1, (24, 20)), (3, 2, (15, 32))])
def test_an_example_has_the_shapes_of_its_scan(frames, maps, shape):
    scan = make_scan(shape, frames=frames, maps=maps)
    stand_in = Example.of(scan).scan()
    assert stand_in.shape == scan.shape and torch.equal(stand_in.calibration, scan.calibration) and Example.of(stand_in) == Example.of(scan)


class Level(nn.Module):
    def __init__(self, start: float):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(start))


@dataclass(frozen=True)
class WithLevel(SSDU):
    """SSDU, and a number beside the network that learns the mean of the loss."""

    start: float = 0.3

    def auxiliary(self, seed: int, example: CalibratedScan) -> nn.Module:
        return Level(self.start)

    def loss(self, network, scan, reference, draws: Draws, auxiliary: Level) -> Loss:
        value = super().loss(network, scan, reference, draws).per_scan
        return Loss(value + (value.detach() - auxiliary.level).square())


BESIDE = replace(recipe(steps=8, validate_every=4), objective=WithLevel(Uniform(0.4)))


def test_what_an_objective_needs_beside_the_network_is_trained_kept_and_resumed(store, tmp_path):
    whole = Trainer(BESIDE, store, assign(store), tmp_path / "whole")
    whole.run()
    assert whole.auxiliary.level.item() != pytest.approx(0.3)
    half = replace(BESIDE, training=replace(BESIDE.training, keep_every=4))
    interrupted = Trainer(half, store, assign(store), tmp_path / "half")
    update = interrupted.update

    def stop_at_five(step, scans):
        if step.number == 5:
            raise KeyboardInterrupt
        return update(step, scans)

    interrupted.update = stop_at_five
    with pytest.raises(KeyboardInterrupt):
        interrupted.run()
    resumed = Trainer(half, store, assign(store), tmp_path / "half")
    resumed.run(resume=True)
    assert torch.equal(resumed.auxiliary.level, whole.auxiliary.level)
    assert all(torch.equal(a, b) for a, b in zip(resumed.network.parameters(), whole.network.parameters(), strict=True))
    last = read_checkpoint(tmp_path / "half/checkpoints/last.safetensors")
    assert list(last.weights("auxiliary")) == ["level"] and "level" not in last.weights()
    load_checkpoint(last.path, trust=TRUST)  # reconstructs without it


def test_stages_train_what_is_not_frozen(store, tmp_path):
    """Greedy training: the first stage's denoiser stays to the bit, normalisation included, while mu goes on."""
    network = Unrolled(CNN(layers=3, channels=4), unrolls=2, cg_iterations=3)
    first = Trainer(replace(recipe(steps=4, batch_size=1), network=network), store, assign(store), tmp_path / "first")
    start = str(first.run().last)
    frozen = replace(recipe(steps=4, batch_size=1, start=start, frozen=("denoisers.*",)), network=network)
    second = Trainer(frozen, store, assign(store), tmp_path / "second")
    second.run()
    before, after = first.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name != "mu") and before["mu"] != after["mu"]
    moments = read_checkpoint(tmp_path / "second/checkpoints/last.safetensors").tensors
    assert {name.split("/")[1] for name in moments if name.startswith("optimizer/")} == {"mu"}


def test_a_head_on_a_frozen_network(store, tmp_path):
    """The checkpoint is of the network inside: it stays to the bit, and the head is trained."""
    first = Trainer(recipe(steps=2), store, assign(store), tmp_path / "first")
    start = str(first.run().last)
    chosen = replace(recipe(steps=3, start=start, frozen=("inner.*",)), network=WithUncertainty(SMALL_NETWORK), objective=Heteroscedastic())
    second = Trainer(chosen, store, assign(store), tmp_path / "second")
    assert second.begun_anew and all(name.startswith("head.") for name in second.begun_anew)
    assert "which it does not have" in "\n".join(preflight(second).lines())
    head = {name: value.clone() for name, value in second.network.head.state_dict().items()}
    second.run()
    assert all(torch.equal(value, second.network.inner.state_dict()[name]) for name, value in first.network.state_dict().items())
    assert any(not torch.equal(value, second.network.head.state_dict()[name]) for name, value in head.items())


def test_a_network_that_has_grown(store, tmp_path):
    """Greedy training: the unrolls that are new begin anew."""
    one = Unrolled(CNN(layers=2, channels=4, batch_norm=False), unrolls=1, cg_iterations=3, shared=False)
    first = Trainer(replace(recipe(steps=2), network=one), store, assign(store), tmp_path / "first")
    start = str(first.run().last)
    second = Trainer(replace(recipe(start=start), network=replace(one, unrolls=2)), store, assign(store), tmp_path / "second")
    assert second.begun_anew and all(name.startswith("denoisers.1.") for name in second.begun_anew)
    grown = second.network.state_dict()
    assert all(torch.equal(value, grown[name]) for name, value in first.network.state_dict().items())


def test_frozen_names_are_checked(store, tmp_path):
    for names, found in ((("encoder.*",), "'encoder.*', which no parameter is called"), (("*",), "every parameter")):
        with pytest.raises(BadRecipe, match=f"training.frozen: found {found.replace('*', '.')}"):
            Trainer(recipe(frozen=names), store, assign(store), tmp_path)


def test_an_objective_of_the_old_form_is_told_what_to_write():
    class Old(type(RECIPE.objective).__mro__[1]):
        def loss(self, network, scan, reference, draw):
            return None

    with pytest.raises(TypeError, match="draws"):
        Old()
