"""Ranges of what a recipe may hold, and what its hash covers."""

import importlib
import json
import re
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ssrecon.archive import Archive, Split
from ssrecon.baselines import Baseline, CGSense, L1Wavelet
from ssrecon.calibrate import Calibrator
from ssrecon.core.description import READ_FILE, alike, current_name, describe, digest, public_name, rebuild
from ssrecon.core.errors import BadRecipe
from ssrecon.networks import CNN, DenoiserSpec, NetworkSpec, ResNet, Unrolled
from ssrecon.objectives import JSSL, Distance, Objective, Transform
from ssrecon.partition import Partitioner
from ssrecon.recipe import load_recipe, override
from ssrecon.recipe.recipe import Comparison, Training
from ssrecon.sampling import Pattern
from ssrecon.store import Data
from tests.contracts.classes import subclasses
from tests.scans import make_scan
from tests.training.small import RECIPE


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Training, "steps", 0),
        (Training, "epochs", 0),
        (Training, "patience", 0),
        (Training, "learning_rate", -1e-3),
        (Training, "learning_rate", float("nan")),
        (Training, "final_learning_rate", -1.0),
        (Training, "clip_norm", 0.0),
        (Training, "validation_scans", 0),
        (Training, "workers", -1),
        (Unrolled, "unrolls", 0),
        (Unrolled, "cg_iterations", 0),
        (Unrolled, "maps", 0),
        (ResNet, "blocks", 0),
        (ResNet, "channels", 0),
        (CNN, "layers", 0),
        (CGSense, "iterations", 0),
        (CGSense, "regularisation", -0.1),
        (L1Wavelet, "regularisation", -0.1),
        (Calibrator, "coils", 0),
        (Calibrator, "maps", 0),
        (Calibrator, "width", 8),
    ],
)
def test_values_out_of_range_are_named(kind, field, value):
    with pytest.raises(BadRecipe, match=f"{kind.__name__}.{field}: found {value}; expected"):
        kind(**{field: value})


def test_a_wrong_type_is_named_as_such():
    with pytest.raises(BadRecipe, match=r"here.unrolls: found '5' \(str\); expected int"):
        rebuild({**describe(Unrolled()), "unrolls": "5"}, "here")


def test_more_map_sets_than_coils_are_refused():
    with pytest.raises(BadRecipe, match="Calibrator.maps: found 3 map sets of 2 coils"):
        Calibrator(maps=3, coils=2)


def test_the_hash_covers_results_and_neither_names_nor_manners():
    comparison = Comparison("one", {"ssdu": RECIPE})
    faster = replace(RECIPE, training=replace(RECIPE.training, workers=2), network=replace(RECIPE.network, recompute=True))
    assert comparison.hash == Comparison("two", {"ssdu": faster}).hash
    assert comparison.hash != Comparison("one", {"ssdu": replace(RECIPE, seed=1)}).hash
    assert digest(RECIPE) == RECIPE.hash != replace(RECIPE, training=replace(RECIPE.training, epochs=2)).hash


def test_a_comparison_has_an_arm_and_a_seed():
    for empty in ({"arms": {}}, {"seeds": ()}):
        with pytest.raises(BadRecipe, match=f"comparison.{next(iter(empty))}: found no"):
            Comparison(**{"title": "t", "arms": {"ssdu": RECIPE}, **empty})


@dataclass(frozen=True)
class Mine:
    """A user's own description: fields that are called like ours mean what they like."""

    path: str = "a"
    source: str = "a"
    workers: int = 1
    title: str = "a"


@pytest.mark.parametrize(("field", "value"), [("path", "b"), ("source", "b"), ("workers", 2), ("title", "b")])
def test_a_field_of_a_users_class_counts_whatever_it_is_called(field, value):
    assert digest(Mine()) != digest(replace(Mine(), **{field: value}))


def test_two_pretrained_networks_are_two_recipes(tmp_path):
    """A file that is read enters by its content, and neither by its name nor by its folder."""
    for name, content in (("one", b"1"), ("two", b"2"), ("copy", b"1")):
        (tmp_path / name).write_bytes(content)

    def started(name):
        return replace(RECIPE, training=replace(RECIPE.training, start=str(tmp_path / name))).hash

    assert started("one") == started("copy") != started("two")
    assert len({RECIPE.hash, started("one"), started("not there")}) == 3


@dataclass(frozen=True)
class Ensemble:
    files: Any = field(default=(), metadata=READ_FILE)


@pytest.mark.parametrize("several", [lambda *paths: paths, lambda *paths: [*map(str, paths)], lambda *paths: {"all": paths}])
def test_files_of_one_field_count_by_their_content(tmp_path, several):
    one, two, copy = (tmp_path / name for name in ("one", "two", "copy"))
    for path, content in ((one, b"1"), (two, b"2"), (copy, b"2")):
        path.write_bytes(content)
    before = digest(Ensemble(several(one, two)))
    assert before == digest(Ensemble(several(one, copy))) != digest(Ensemble(several(two, one)))
    assert str(tmp_path) not in json.dumps(describe(Ensemble(several(one, two)), lambda path: "a file")), "others may read it"
    two.write_bytes(b"3")
    assert digest(Ensemble(several(one, two))) != before


def test_looking_writes_nothing(tmp_path, monkeypatch):
    """A hash needs no key of pseudonyms, and makes none."""
    monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / "key"))
    recipe = replace(RECIPE, data=Data(source="/home/Musterfrau/store"))
    assert recipe.hash and not (tmp_path / "key").exists()
    _ = recipe.description
    monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / "other"))
    assert replace(recipe, seed=recipe.seed).hash == recipe.hash


KINDS = (Archive, Baseline, DenoiserSpec, Distance, NetworkSpec, Objective, Partitioner, Pattern, Split, Transform)
DESCRIBED = [kind for base in KINDS for kind in subclasses("ssrecon", base) if is_dataclass(kind)]


@pytest.mark.parametrize("kind", DESCRIBED, ids=lambda kind: kind.__name__)
def test_every_class_of_a_recipe_is_exported_by_its_room(kind):
    place, _, name = public_name(kind).rpartition(".")
    assert place.count(".") == 1 and getattr(importlib.import_module(place), name) is kind


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].joinpath("recipes").glob("*.py")), ids=lambda path: path.stem)
def test_recipes_are_described_by_public_names_and_rebuilt(path):
    experiment = load_recipe(path)
    description = json.loads(json.dumps(describe(experiment)))
    assert not re.search(r'"ssrecon\.\w+\.\w+\.', json.dumps(description))
    assert describe(rebuild(description, "here")) == describe(experiment)


def test_names_of_stored_runs_are_todays():
    for written, now in (
        ("ssrecon.objectives.ssdu.SSDU", "ssrecon.objectives.SSDU"),
        ("ssrecon.archive.phantom.archive.PhantomArchive", "ssrecon.simulation.PhantomArchive"),
        ("ssrecon.archive.complex_images.ComplexImages", "ssrecon.simulation.ComplexImages"),
        ("ssrecon.undersampling.random_columns.RandomColumns", "ssrecon.sampling.RandomColumns"),
        ("ssrecon.recipe.Data", "ssrecon.store.Data"),
        ("ssrecon.recipe.Recipe", "ssrecon.recipe.Recipe"),
        ("ssrecon.domain.TrainingDomain", "ssrecon.reconstruction.TrainingDomain"),
        ("ssrecon.objectives.distances.NormalizedL1L2", "ssrecon.objectives.NormalizedL1L2"),
        ("my_trial.objectives.Mine", "my_trial.objectives.Mine"),
    ):
        assert current_name(written) == now


def test_what_an_earlier_version_wrote_is_the_same_recipe():
    """By file and without the fields that came later; another learning rate is another recipe."""
    now = json.loads(json.dumps(replace(RECIPE, data=replace(RECIPE.data, source="here")).description))
    text = json.dumps(now).replace("ssrecon.networks.Unrolled", "ssrecon.networks.unrolled.Unrolled")
    earlier = json.loads(text.replace("ssrecon.store.Data", "ssrecon.recipe.Data"))
    del earlier["network"]["warm_start"]
    earlier["title"], earlier["data"]["source"] = "another", "elsewhere"
    assert alike(earlier, now)
    earlier["training"]["learning_rate"] *= 2
    assert not alike(earlier, now)


def test_what_is_found_in_the_data_is_in_no_description():
    """An objective that was fitted to its scans is the one of the recipe: equal, of one hash, written and named alike."""
    recipe = replace(RECIPE, objective=JSSL(fraction=0.5))
    fitted = recipe.objective.fitted([make_scan((16, 16), scan_id=f"subject{number}/slice-000") for number in range(2)])
    assert len(fitted.chosen.names) == 1 and fitted.chosen.among == 2 and recipe.objective.chosen is None
    assert fitted == recipe.objective and repr(fitted) == repr(recipe.objective) and digest(fitted) == digest(recipe.objective)
    assert describe(fitted) == describe(recipe.objective) and "chosen" not in describe(fitted)
    assert rebuild(describe(fitted), "recipe").chosen is None
    with pytest.raises(BadRecipe, match="unknown field 'chosen'"):
        rebuild({**describe(fitted), "chosen": ["subject0"]}, "recipe")
    with pytest.raises(BadRecipe, match="no such field"):
        override(recipe, ["--objective.chosen", "subject0"])
