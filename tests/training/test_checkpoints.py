"""What a training writes down can be loaded, and what is damaged or foreign is named."""

from pathlib import Path

import pytest
import torch

from ssrecon.calibrate import Calibrator
from ssrecon.core.description import describe
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.reconstruction.checkpoint import save_checkpoint
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.store.store import Store
from ssrecon.store.volume_file import write_volume
from ssrecon.training.trainer import Trainer
from tests.scans import make_scan
from tests.training.small import RECIPE, assign, forged, recipe, run


def test_a_checkpoint_rebuilds_its_network(store, tmp_path):
    trainer = Trainer(RECIPE, store, assign(store), tmp_path)
    trainer.run()
    loaded = load_checkpoint(tmp_path / "checkpoints/last.safetensors", trust=["tests.training.small"])
    scan = make_scan((24, 24))
    trainer.network.eval()
    with torch.no_grad():
        assert torch.equal(loaded(scan).image, trainer.network(scan).image)
    assert loaded.recipe == RECIPE and loaded.domain.coils == (4,)


def test_a_checkpoint_knows_how_its_scans_were_calibrated(store, tmp_path):
    folder = tmp_path / "store"
    for header in store.headers:
        write_volume(folder, [store.load(header.scan_id)], {"calibrator": describe(Calibrator(coils=3, crop=0.7))})
    other = Store(folder)
    run(recipe(steps=1), other, tmp_path / "arm")
    trained = load_checkpoint(tmp_path / "arm/checkpoints/last.safetensors", trust=["tests.training.small"])
    assert trained.calibrator == Calibrator(coils=3, crop=0.7) != trained.recipe.data.calibrator


def test_foreign_code_is_refused(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    with pytest.raises(
        BadRecipe, match="found the class tests.training.small.Nothing from outside ssrecon; expected --trust tests.training.small"
    ):
        load_checkpoint(tmp_path / "checkpoints/last.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"not a checkpoint at all"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="bad.safetensors: found .*; expected a checkpoint"):
        load_checkpoint(path)


def test_a_full_disk_names_the_checkpoint_and_keeps_the_one_before(store, tmp_path, monkeypatch):
    run(recipe(steps=4), store, tmp_path)
    path = tmp_path / "checkpoints" / "last.safetensors"
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match="last.safetensors: found that it could not be written.*No space left"):
        save_checkpoint(path, {}, {})
    assert path.read_bytes() == before and not list(path.parent.glob(".*"))


@pytest.mark.parametrize(
    "metadata, message",
    [
        ('{"format": 99, "recipe": {}}', "format 99"),
        ("{", "no readable JSON"),
        ("{}", "format None"),
        ("[1]", "a JSON list"),
        ('{"format": 1}', "does not say its recipe"),
    ],
)
def test_metadata_that_are_not_ours_are_named(tmp_path, metadata, message):
    from safetensors.torch import save_file

    save_file({"network/x": torch.zeros(1)}, tmp_path / "a.safetensors", {"ssrecon": metadata})
    with pytest.raises(BadInput, match=f"a.safetensors: found .*{message}"):
        load_checkpoint(tmp_path / "a.safetensors")


def entry(place, value):
    """Return a change of one entry of a checkpoint's record, which is named by its dotted place."""

    def change(about):
        *above, name = place.split(".")
        for key in above:
            about = about[key]
        about[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about["domain"].pop("coils"), "last.safetensors: domain: found TrainingDomain without its coils"),
        (lambda about: about["recipe"].pop("data"), "last.safetensors: recipe: found Recipe without its data"),
        (lambda about: about["example"].pop("matrix"), "last.safetensors: example: found Example without its matrix"),
        (entry("example", "x"), "last.safetensors: example: found 'x'; expected a description of Example"),
        (entry("example.matrix", [-1, 3]), r"last.safetensors: example, Example.matrix: found \(-1, 3\)"),
        (entry("example.matrix", [10**9, 10**9]), "last.safetensors: example.matrix: found .* no memory"),
        (entry("example.matrix", 5), "last.safetensors: example.matrix: found 5"),
        (entry("example.calibration", [900, 2]), r"last.safetensors: example, Example.calibration: found \(900, 2\)"),
        (entry("example.coils", 0), "last.safetensors: example, Example.coils: found 0"),
        (entry("calibrator.kernel", "six"), "last.safetensors: calibrator.kernel: found 'six'"),
        (entry("calibrator.kernel", -1), "last.safetensors: calibrator, .*kernel: found -1"),
        (entry("calibrator", 5), "last.safetensors: calibrator: found 5; expected a description of Calibrator"),
        (entry("calibrator", [1, 2]), "last.safetensors: calibrator: found a tuple; expected a description of Calibrator"),
        (entry("domain", "x"), "last.safetensors: domain: found 'x'; expected a description of TrainingDomain"),
        (entry("domain", {"class": "ssrecon.core.Draw", "seed": 0}), "last.safetensors: domain: found a Draw"),
        (entry("recipe", 5), "last.safetensors: recipe: found 5; expected a description of Recipe"),
        (entry("recipe.network", 5), "last.safetensors: recipe.network: found 5"),
        (lambda about: about.update(recipe="DEEP"), "last.safetensors: found no readable JSON"),
        (lambda about: about.pop("domain"), "last.safetensors: found a checkpoint that does not say its domain"),
    ],
)
def test_a_checkpoint_with_a_damaged_record_is_named(store, tmp_path, change, message):
    run(recipe(steps=1), store, tmp_path)
    path = forged(tmp_path / "checkpoints/last.safetensors", change)
    with pytest.raises(BadInput, match=message):
        load_checkpoint(path, trust=["tests.training.small"])


def test_a_loaded_network_gives_images_without_a_gradient(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    loaded = load_checkpoint(tmp_path / "checkpoints/last.safetensors", trust=["tests.training.small"])
    image = loaded(store.load(store.headers[0].scan_id).scan).image
    assert not image.requires_grad and image.numpy().any()
