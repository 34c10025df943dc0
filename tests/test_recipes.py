"""Every recipe loads and describes itself; the knee recipe runs two steps of its own modules on a stand-in archive in the same layout."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch

from ssrecon import objectives
from ssrecon.archive.plain import write_plain
from ssrecon.archive.splits import BySubject
from ssrecon.calibrate import Calibrator
from ssrecon.core.description import describe, rebuild
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe, OutputInUse
from ssrecon.networks import WithUncertainty
from ssrecon.objectives import SSDU, MultiMaskSSDU
from ssrecon.partition import Lines, Uniform
from ssrecon.recipe.overrides import load_recipe, loaded_recipes, override
from ssrecon.recipe.recipe import Comparison, Recipe, Training
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.sampling import RandomColumns, undersample
from ssrecon.simulation import PhantomArchive, T1Weighted, simulate
from ssrecon.store.prepare import prepare
from ssrecon.store.store import Store
from ssrecon.study.comparison import run
from ssrecon.training.trainer import Trainer
from tests.contracts.classes import subclasses

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.py"))
QUICKSTART = next(path for path in RECIPES if path.stem == "quickstart")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_loads_and_survives_json(path):
    experiment = load_recipe(path)
    assert isinstance(experiment, (Recipe, Comparison))
    again = rebuild(json.loads(json.dumps(experiment.description)), "recipe")
    assert again.hash == experiment.hash


def test_arms_differ_in_nothing_but_the_objective():
    arms = load_recipe(QUICKSTART).arms
    assert replace(arms["supervised"], objective=arms["ssdu"].objective) == arms["ssdu"]


@pytest.mark.parametrize("name", [kind.__name__ for kind in subclasses("ssrecon.objectives", objectives.Objective)])
def test_every_objective_is_one_word_on_the_command_line(name):
    """In the recipe for an archive of one's own, in which nothing else changes."""
    own = load_recipe(next(path for path in RECIPES if path.stem == "own_archive"))
    (before,), (after,) = own.arms.values(), override(own, ["--objective", name]).arms.values()
    assert type(after.objective) is getattr(objectives, name) and replace(after, objective=before.objective) == before


def test_overrides_reach_every_arm_that_has_the_field():
    changed = override(
        load_recipe(QUICKSTART),
        ["--training.steps", "3", "--objective.partitioner.loss-fraction", "0.3", "--data.source.subjects", "9", "--network.unrolls", "2"],
    )
    assert {arm.training.steps for arm in changed.arms.values()} == {3}
    assert {arm.network.unrolls for arm in changed.arms.values()} == {2}
    assert {arm.data.source.subjects for arm in changed.arms.values()} == {9}
    assert changed.arms["ssdu"].objective.partitioner.loss_fraction == 0.3
    assert changed.hash != load_recipe(QUICKSTART).hash


def test_a_class_is_chosen_by_its_name():
    own = load_recipe(next(path for path in RECIPES if path.stem == "own_archive"))

    def arm(*arguments):
        return override(own, arguments).arms["network"]

    assert arm("--objective", "SURE").objective == objectives.SURE()
    chosen = arm("--objective.partitioner.loss-fraction", "0.3", "--objective", "SSDU", "--objective.partitioner", "Lines")
    assert chosen.objective == objectives.SSDU(Lines(0.3))
    assert arm("--data.pattern", "RandomColumns", "--data.pattern.acceleration", "6").data.pattern == RandomColumns(6)
    around = arm("--network", "WithUncertainty", "--network.inner.unrolls", "3").network
    assert around == WithUncertainty(replace(own.arms["network"].network, unrolls=3))
    several = override(load_recipe(QUICKSTART), ["--arms.ssdu.objective", "DDSS"])
    assert several.arms["ssdu"].objective == objectives.DDSS() and several.arms["supervised"].objective == objectives.Supervised()


def test_a_path_takes_the_place_of_the_archive():
    changed = override(load_recipe(QUICKSTART), ["--data.source", "scans", "--seeds", "1", "2"])
    assert changed.data.source == "scans" and changed.seeds == (1, 2)


def test_where_data_lie_is_not_part_of_the_hash():
    recipe = load_recipe(next(path for path in RECIPES if path.stem == "own_archive"))
    assert override(recipe, ["--data.source", "elsewhere"]).hash == recipe.hash


def test_every_field_is_within_reach():
    changed = override(
        load_recipe(QUICKSTART),
        ["--data.pattern.acceleration", "6", "--data.calibrator.smallest=26", "--data.calibrator.width=30", "--margins.psnr", "0.3"]
        + ["--arms.supervised.training.epochs", "2", "--network.mixed-precision", "False"]
        + ["--baselines.cg-sense.baseline.iterations", "7", "--network.recompute", "--validation.lines", "None"],
    )
    assert changed.data.pattern.acceleration == 6 and changed.data.calibrator.width == 30 and changed.margins.psnr == 0.3
    assert {name: arm.training.epochs for name, arm in changed.arms.items()} == {"ssdu": None, "supervised": 2}
    networks = [arm.network for arm in changed.arms.values()]
    assert all(network.recompute and not network.mixed_precision for network in networks)
    assert changed.baselines["cg_sense"].baseline.iterations == 7
    assert override(load_recipe(QUICKSTART), ["--data.pattern", "None"]).data.pattern is None


OWN = """
from dataclasses import dataclass, replace
from ssrecon import Recipe
from ssrecon.simulation import PhantomArchive
from ssrecon.archive.splits import BySubject
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU
from ssrecon.objectives.base import Loss, Objective
from ssrecon.partition import Uniform
from ssrecon import Data, Training
from ssrecon.sampling import RandomColumns


@dataclass(frozen=True)
class Mine(Objective):
    weight: float = 1.0

    def draws(self, scan, draw):
        return SSDU(Uniform(0.4)).draws(scan, draw)

    def loss(self, network, scan, reference, draws):
        found = SSDU(Uniform(0.4)).loss(network, scan, None, draws)
        return Loss(self.weight * found.per_scan)


recipe = Recipe(
    data=Data(PhantomArchive(subjects=3, slices=1, matrix=(48, 48), coils=4), RandomColumns(2, 12), split=BySubject(1, 1)),
    network=Unrolled(ResNet(blocks=1, channels=4), unrolls=1, cg_iterations=2),
    objective=Mine(),
    training=Training(steps=1),
)
"""


def test_an_objective_may_be_defined_in_the_recipe_itself(tmp_path):
    path = tmp_path / "my_trial.py"
    path.write_text(OWN)
    assert run(override(load_recipe(path), ["--objective.weight", "2"]), tmp_path / "out").exists()
    checkpoint = tmp_path / "out/arms/mine/seed-0/checkpoints/gamma.safetensors"
    with pytest.raises(BadRecipe, match="my_trial.Mine from outside ssrecon; expected --trust my_trial"):
        load_checkpoint(checkpoint)
    assert load_checkpoint(checkpoint, trust=["my_trial"]).objective.weight == 2
    del sys.modules["my_trial"]
    with pytest.raises(BadRecipe, match="my_trial.Mine, which cannot be imported .*; expected PYTHONPATH to name the folder"):
        load_checkpoint(checkpoint, trust=["my_trial"])


@pytest.mark.parametrize("name", ["json", "time"])
def test_a_recipe_does_not_take_the_name_of_a_module(tmp_path, name):
    path = tmp_path / f"{name}.py"
    path.write_text(OWN)
    with pytest.raises(BadRecipe, match=f"{name}.py: found the name of the module '{name}'; expected another name"):
        load_recipe(path)


def test_recipes_that_are_loaded_are_known_in_their_order():
    for path in (QUICKSTART, RECIPES[0]):
        load_recipe(path)
    found = [path.resolve() for path in loaded_recipes()]
    assert {QUICKSTART.resolve(), RECIPES[0].resolve()} <= set(found) and all(path.parent.name != "torch" for path in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective.rho", "0.3"], "override --objective.rho: found no such field; expected a dotted field"),
        (["--training.steps", "many"], r"override .*steps many.*: found a value that does not fit \(many\)"),
        (["--training.steps", "0"], "Training.steps: found 0; expected 1 or more"),
        (["--objective.partitioner.loss-fraction", "1.5"], "loss_fraction"),
        (["--objective", "SSDU"], "override --objective SSDU: found one objective for 2 arms; expected --arms.NAME.objective"),
        (
            ["--arms.ssdu.objective", "Sure"],
            "found no class of this kind; expected one of DDSS, ENSURE, .*, --arms.ssdu.objective.partitioner",
        ),
        (["--data.pattern", "RandomColumns"], "found no acceleration, which has no default; expected --data.pattern.acceleration"),
        (["--data.split", "3"], "found no class of this kind; expected one of ByList, BySubject, .*, --data.split.validation"),
        (["--training.steps", "2.5"], r"found a value that does not fit \(2.5\); expected a int"),
        (["--training.steps", "3", "4"], "override --training.steps 3 4: found"),
        (["thesis.tex"], "override thesis.tex: found no such field"),
        (["--data.source.subject", "3"], "override --data.source.subject: found no such field"),
    ],
)
def test_bad_overrides_are_named(arguments, message):
    with pytest.raises(BadRecipe, match=message):
        override(load_recipe(QUICKSTART), arguments)


def test_a_field_of_a_wrong_type_is_named():
    recipe = load_recipe(QUICKSTART).arms["ssdu"]
    with pytest.raises(BadRecipe, match=r"recipe.seed: found 'one' \(str\); expected int"):
        replace(recipe, seed="one")


@pytest.mark.parametrize("text", ["", "recipe = 3\n"])
def test_a_file_without_a_recipe_is_named(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BadRecipe, match="mine.py: found neither a Comparison named `comparison` nor a Recipe"):
        load_recipe(path)


def test_rebuilding_refuses_unknown_fields():
    description = {**describe(SSDU()), "rho": 0.4}
    with pytest.raises(BadRecipe, match="here: found unknown field 'rho' of SSDU; expected one of distance, partitioner"):
        rebuild(description, "here")


def test_rebuilding_refuses_a_name_that_is_no_description():
    with pytest.raises(BadRecipe, match="which is no dataclass"):
        rebuild({"class": "ssrecon.training.trainer.Trainer"}, "here")


@pytest.fixture(scope="module")
def small():
    """The quickstart, as small as it goes."""
    arguments = ["--data.source.subjects", "3", "--data.source.slices", "1", "--data.source.matrix", "48", "48", "--training.steps", "2"]
    shrunk = override(load_recipe(QUICKSTART), [*arguments, "--network.denoiser.channels", "4", "--network.unrolls", "2"])
    data = replace(shrunk.data, split=BySubject(1, 1), pattern=replace(shrunk.data.pattern, acceleration=2))
    return replace(shrunk, arms={name: replace(arm, data=data) for name, arm in shrunk.arms.items()})


def test_a_whole_run_and_its_folder(small, tmp_path):
    said = []
    report = run(small, tmp_path / "run", say=said.append)
    names = {path.name for path in report.parent.iterdir()}
    assert {"run.json", "metrics.csv", "images.npz", "report.html", "arms", "store"} <= names
    about = json.loads((tmp_path / "run/run.json").read_text())
    assert about["finished"] and about["data"]["kind"] == "simulated" and set(about["arms"]) >= {"ssdu", "supervised", "cg_sense"}
    assert any("parameters" in text for text in said) and any("tuned by reference NMSE" in text for text in said)
    assert {"none", "gamma", "reference"} == {line.split(",")[2] for line in (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]}
    before = report.stat().st_mtime_ns
    run(small, tmp_path / "run", resume=True)
    assert report.stat().st_mtime_ns >= before
    with pytest.raises(OutputInUse, match="found the run of another recipe"):
        run(replace(small, seeds=(1,)), tmp_path / "run")


def test_a_comparison_may_gain_arms_and_seeds_and_trains_those_alone(small, tmp_path):
    first = replace(small, arms={"ssdu": small.arms["ssdu"]}, baselines={})
    run(first, tmp_path)
    trained = tmp_path / "arms/ssdu/seed-0/checkpoints/last.safetensors"
    before = trained.stat().st_mtime_ns
    more = replace(first, arms=small.arms, seeds=(0, 1), title="More")
    with pytest.raises(OutputInUse, match="before it gained arms or seeds; expected --resume"):
        run(more, tmp_path)
    run(more, tmp_path, resume=True)
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["finished"] and about["hash"] == more.hash and trained.stat().st_mtime_ns == before
    assert set(about["arms"]) == set(small.arms) and all(set(arm["seeds"]) == {"0", "1"} for arm in about["arms"].values())
    changed = replace(small.arms["ssdu"], training=replace(small.arms["ssdu"].training, learning_rate=1e-5))
    for other in (first, replace(more, headline="reference"), replace(more, arms={**more.arms, "ssdu": changed})):
        with pytest.raises(OutputInUse, match="found the run of another recipe"):
            run(other, tmp_path, resume=True)


def test_a_folder_with_other_things_is_left_alone(small, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputInUse, match="found files that are not a run of ssrecon; expected an empty folder"):
        run(small, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_another_archive_is_never_mixed_into_a_run(tmp_path):
    """Where data lie is not part of the hash, so the same recipe may come with other data to the same folder."""
    for seed in (0, 1):
        archive = PhantomArchive(subjects=3, slices=1, matrix=(48, 48), coils=4, seed=seed)
        prepare(archive, tmp_path / f"store{seed}", Calibrator())
    recipe = load_recipe(next(path for path in RECIPES if path.stem == "own_archive"))
    small = override(recipe, ["--training.steps", "1", "--network.unrolls", "1", "--network.denoiser.blocks", "1"])
    small = replace(small, baselines={})
    first = override(small, ["--data.source", str(tmp_path / "store0")])
    run(first, tmp_path / "out")
    before = Store(tmp_path / "out/store").fingerprint()
    run(first, tmp_path / "out", resume=True)
    with pytest.raises(OutputInUse, match="found a volume of another store"):
        run(override(small, ["--data.source", str(tmp_path / "store1")]), tmp_path / "out", resume=True)
    assert Store(tmp_path / "out/store").fingerprint() == before


def test_supervised_training_without_references_is_refused_before_it_starts(tmp_path):
    prepare(PhantomArchive(subjects=3, slices=1, matrix=(48, 48), coils=4), tmp_path / "store", Calibrator())
    recipe = load_recipe(QUICKSTART).arms["supervised"]
    recipe = replace(recipe, data=replace(recipe.data, source=str(tmp_path / "store"), pattern=None, split=BySubject(1, 1)))
    with pytest.raises(BadInput, match="found no fully sampled reference in 1 of 1 training scans; expected references"):
        run(recipe, tmp_path / "out")


def test_a_few_references_among_undersampled_scans(small, tmp_path):
    """Only what was fully sampled is undersampled, and becomes a reference; the other scans stay as they were acquired."""
    undersampled, full = (PhantomArchive(subjects=3, slices=1, matrix=(48, 48), coils=4, seed=seed) for seed in (0, 1))
    scans = [
        replace(undersample(scan, RandomColumns(2, 14), Draw(5)), reference=None, reference_mask=None, truth=None) for scan in undersampled
    ]
    for number, scan in enumerate([*scans, *full]):
        header = replace(scan.header, scan_id=f"v{number}/slice-000", volume_id=f"v{number}", subject=f"s{number}")
        write_plain(tmp_path / f"archive/v{number}.h5", [replace(scan, header=header)])
    recipe = replace(small.arms["ssdu"], objective=objectives.JSSL(Uniform(0.4)))
    data = replace(recipe.data, source=str(tmp_path / "archive"), pattern=RandomColumns(3, 14), only_full=True)
    run(replace(recipe, data=data), tmp_path / "out")
    store = Store(tmp_path / "out/store")
    kept = {header.scan_id: int(store.load(header.scan_id).scan.mask[0, 0, 0, :, 0].sum()) for header in store.headers}
    assert sorted(kept.values()) == [16, 16, 16, 24, 24, 24]
    assert all(store.has_reference(scan_id) == (columns == 16) for scan_id, columns in kept.items())


@pytest.mark.parametrize("text", ["from ssrecon import Recipe\nrecipe = Recipe(nosuch=3)\n", "recipe = (\n", "import nosuchmodule\n"])
def test_a_recipe_that_does_not_run_is_named(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BadRecipe, match="mine.py: found (TypeError: .*nosuch|SyntaxError|ModuleNotFoundError)"):
        load_recipe(path)


@pytest.mark.parametrize("arguments", [["--data.source"], ["--data.source", "--training.steps", "3"], ["--data.source="]])
def test_a_source_without_a_value_is_not_the_current_folder(arguments):
    with pytest.raises(BadRecipe, match="override --data.source: found no value"):
        override(load_recipe(QUICKSTART), arguments)


def test_a_mistyped_path_leaves_no_trace(small, tmp_path):
    arms = {name: replace(arm, data=replace(arm.data, source=str(tmp_path / "nowhere"))) for name, arm in small.arms.items()}
    with pytest.raises(BadInput, match="nowhere: found no such file or folder"):
        run(replace(small, arms=arms), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_trained_nothing_is_begun_again(small, tmp_path):
    (tmp_path / ".run.json.x.partial").touch()
    wrong = {name: replace(arm, network=replace(arm.network, maps=2)) for name, arm in small.arms.items()}
    with pytest.raises(BadInput, match="found 1 sets of sensitivity maps; expected 2"):
        run(replace(small, arms=wrong), tmp_path)
    arms = {"ssdu": small.arms["ssdu"]}
    assert run(replace(small, arms=arms, baselines={}), tmp_path).exists()


def test_an_unfinished_run_wants_resume(small, tmp_path):
    (tmp_path / "run/arms/ssdu/seed-0/checkpoints").mkdir(parents=True)
    (tmp_path / "run/arms/ssdu/seed-0/checkpoints/last.safetensors").touch()
    (tmp_path / "run/run.json").write_text(json.dumps({"title": small.title, "hash": small.hash}))
    with pytest.raises(OutputInUse, match="found an unfinished run of this recipe; expected --resume"):
        run(small, tmp_path / "run")


def test_the_knee_recipe_on_a_stand_in_archive_in_fastmris_layout(tmp_path):
    simulate(tmp_path / "multicoil_train", PhantomArchive(subjects=4, slices=1, matrix=(64, 64), coils=4, contrasts=(T1Weighted(),)))
    knee = load_recipe(next(path for path in RECIPES if path.stem == "ssdu_fastmri_knee"))
    with h5py.File(next((tmp_path / "multicoil_train").glob("*.h5")), "a") as other:
        other.attrs["acquisition"] = "CORPDFS_FBK"
    changes = ["--data.source", str(tmp_path / "multicoil_train"), "--training.epochs", "2", "--network.denoiser.blocks", "2"]
    knee = override(knee, [*changes, "--network.denoiser.channels", "8", "--network.unrolls", "2"])
    with pytest.raises(BadRecipe, match="data.contrasts: found none of CORPD_FBK in the archive .CORPDFS_FBK, T1."):
        run(knee, tmp_path / "out")
    data = replace(knee.data, split=BySubject(1, 1, 1), contrasts=("T1",))
    assert knee.arms["ssdu"].network.cg_iterations == 10 and not isinstance(knee.arms["ssdu"].objective, MultiMaskSSDU)
    arms = {name: replace(arm, data=data) for name, arm in knee.arms.items()}
    assert run(replace(knee, arms=arms, baselines={}), tmp_path / "out").exists()
    assert len(Store(tmp_path / "out/store")) == 3
    assert json.loads((tmp_path / "out/run.json").read_text())["arms"]["ssdu"]["seeds"]["0"]["updates"] == 2


def test_every_arm_is_trained_with_every_seed(small, tmp_path):
    run(replace(small, seeds=(0, 1)), tmp_path / "run")
    for arm in small.arms:
        files = [tmp_path / "run" / "arms" / arm / f"seed-{seed}" / "checkpoints" / "last.safetensors" for seed in (0, 1)]
        one, other = (read_checkpoint(file).weights() for file in files)
        assert one.keys() == other.keys() and any(not torch.equal(one[name], other[name]) for name in one)
    assert {"0", "1"} <= {line.split(",")[1] for line in (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]}


def test_all_arms_are_looked_at_before_one_is_trained(small, tmp_path, monkeypatch):
    """What will not do for the last arm is said before the first has trained for hours."""
    arms = {**small.arms, "last": replace(small.arms["ssdu"], training=replace(small.arms["ssdu"].training, start="missing.safetensors"))}
    trained = []
    monkeypatch.setattr(Trainer, "run", lambda self, **options: trained.append(self))
    with pytest.raises(BadInput, match="missing.safetensors"):
        run(replace(small, arms=arms), tmp_path / "run")
    assert trained == []


def test_a_seed_for_a_comparison_is_refused_and_not_ignored(small):
    with pytest.raises(BadRecipe, match="--seeds"):
        override(small, ["--seed", "5"])
    assert override(small, ["--seeds", "5", "6"]).seeds == (5, 6)


def test_a_damaged_record_and_a_file_in_the_folders_place_are_named(small, tmp_path):
    run(small, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(OutputInUse, match="run.json.*damaged record"):
        run(small, tmp_path / "run", resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputInUse, match="found a file"):
        run(small, tmp_path / "file")


@pytest.mark.parametrize("text", ["1 / 0", "raise ValueError('no')", "open('nowhere')"])
def test_whatever_a_recipe_file_raises_names_the_file(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(BadRecipe, match="mine.py"):
        load_recipe(tmp_path / "mine.py")


@pytest.mark.parametrize("field", ["learning_rate", "final_learning_rate", "clip_norm"])
def test_infinite_rates_are_refused(field):
    with pytest.raises(BadRecipe, match=f"Training.{field}.*inf"):
        Training(**{field: float("inf")})
