"""A whole run: its folder, what it goes on with, and what it refuses."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from ssrecon import objectives
from ssrecon.archive.plain import write_plain
from ssrecon.archive.splits import Assignment, ByList, BySubject, Fractions, HeldOutGroup, KFold, ScanSpecific, Split
from ssrecon.calibrate import Calibrator
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe, OutputInUse
from ssrecon.partition import Uniform
from ssrecon.recipe.load import load_recipe
from ssrecon.recipe.overrides import override
from ssrecon.reconstruction.checkpoint import read_checkpoint
from ssrecon.sampling import RandomColumns, undersample
from ssrecon.simulation import PhantomArchive
from ssrecon.store.prepare import prepare
from ssrecon.store.store import Store
from ssrecon.study.acquisition import acquisition_record
from ssrecon.study.comparison import run
from ssrecon.training.trainer import Trainer
from tests.recipe.experiments import QUICKSTART, recipe_file, small_quickstart


@pytest.fixture(scope="module")
def small():
    return small_quickstart()


def with_split(comparison, split):
    arms = {name: replace(arm, data=replace(arm.data, split=split)) for name, arm in comparison.arms.items()}
    return replace(comparison, arms=arms)


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_whole_run_and_its_folder(small, tmp_path, monkeypatch):
    said = []
    report = run(small, tmp_path / "run", say=said.append)
    names = {path.name for path in report.parent.iterdir()}
    assert {"run.json", "metrics.csv", "images.npz", "report.html", "arms", "store"} <= names
    about = json.loads((tmp_path / "run/run.json").read_text())
    assert about["finished"] and about["data"]["kind"] == "simulated" and set(about["arms"]) >= {"ssdu", "supervised", "cg_sense"}
    page = (Path(__file__).parents[2] / "docs/run_folder.md").read_text()
    assert [key for key in (*about, *about["data"], *about["data"]["sampling"]) if f"`{key}`" not in page] == []
    store = Store(tmp_path / "run/store")
    tested = {line.split(",")[5] for line in (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]} - {""}
    sampling = about["data"]["sampling"]
    assert sampling == acquisition_record(store, sorted(tested)) and sampling["scans"] == 1
    assert f"effective acceleration {sampling['acceleration'][0]:.2f}" in report.read_text()
    assert any("parameters" in text for text in said) and any("tuned by reference NMSE" in text for text in said)
    assert {"none", "gamma", "reference"} == {line.split(",")[2] for line in (tmp_path / "run/metrics.csv").read_text().splitlines()[1:]}
    with monkeypatch.context() as stopped:
        stopped.setattr("ssrecon.study.comparison.preflight", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(small, tmp_path / "run")
    assert json.loads((tmp_path / "run/run.json").read_text()).keys() == about.keys(), "a finished run stays one"
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


@pytest.mark.parametrize("side", ["validation", "test"])
def test_a_side_without_scans_is_refused_before_anything_is_written(small, tmp_path, side):
    lists = {name: str(tmp_path / f"{name}.lst") for name in ("train", "validation", "test")}
    for name, path in lists.items():
        Path(path).write_text("" if name == side else f"subject{name}\n")
    settings = [Fractions(**{side: 0}), BySubject(**{side: 0}), ByList(**lists)]
    if side == "validation":
        settings += [KFold(validation=0), HeldOutGroup(validation=0)]
    for split in settings:
        with pytest.raises(BadRecipe, match=f"data.split.{side}: found .*, which leaves no scan in {side}; expected at least one subject"):
            run(with_split(small, split), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_lists_are_looked_for_before_the_archive_is_prepared(small, tmp_path):
    with pytest.raises(BadInput, match="no-such.lst: found no readable list"):
        run(with_split(small, ByList(train=str(tmp_path / "no-such.lst"))), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@dataclass(frozen=True)
class Untested(Split):
    """A user's own split, which only the archive leaves without a test."""

    def assign(self, headers):
        ids = tuple(header.scan_id for header in headers)
        return Assignment(ids[:1], ids[1:], ())


def test_a_split_that_found_nothing_to_test_on_is_refused_before_anything_is_trained(small, tmp_path, monkeypatch):
    monkeypatch.setattr("ssrecon.study.comparison._train_arms", interrupt)
    with pytest.raises(BadRecipe, match="data.split: found no scan to test on"):
        run(with_split(small, Untested()), tmp_path / "run")


def test_one_scan_alone_is_no_empty_side(small, tmp_path, monkeypatch):
    monkeypatch.setattr("ssrecon.study.comparison._train_arms", interrupt)
    alone = with_split(small, ScanSpecific())
    source = replace(alone.data.source, subjects=1)
    alone = replace(alone, arms={name: replace(arm, data=replace(arm.data, source=source)) for name, arm in alone.arms.items()})
    with pytest.raises(KeyboardInterrupt):
        run(alone, tmp_path / "run")


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


def test_another_archive_is_never_mixed_into_a_run(tmp_path):
    """Where data lie is not part of the hash, so the same recipe may come with other data to the same folder."""
    for seed in (0, 1):
        archive = PhantomArchive(subjects=3, slices=1, matrix=(48, 48), coils=4, seed=seed)
        prepare(archive, tmp_path / f"store{seed}", Calibrator())
    recipe = load_recipe(recipe_file("own_archive"))
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


def test_a_folder_with_other_things_is_left_alone(small, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputInUse, match="found files that are not a run of ssrecon; expected an empty folder"):
        run(small, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


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
    # What the data are, and how they were sampled, is written down before anything is trained.
    assert json.loads((tmp_path / "run.json").read_text())["data"]["sampling"]["scans"] == 1
    arms = {"ssdu": small.arms["ssdu"]}
    assert run(replace(small, arms=arms, baselines={}), tmp_path).exists()


def test_an_unfinished_run_wants_resume(small, tmp_path):
    (tmp_path / "run/arms/ssdu/seed-0/checkpoints").mkdir(parents=True)
    (tmp_path / "run/arms/ssdu/seed-0/checkpoints/last.safetensors").touch()
    (tmp_path / "run/run.json").write_text(json.dumps({"title": small.title, "hash": small.hash}))
    with pytest.raises(OutputInUse, match="found an unfinished run of this recipe; expected --resume"):
        run(small, tmp_path / "run")


def test_a_damaged_record_and_a_file_in_the_folders_place_are_named(small, tmp_path):
    run(small, tmp_path / "run")
    for damaged, found in (("{", "no readable JSON"), ("[" * 100_000 + "]" * 100_000, "no readable JSON"), ("[1]", "a JSON list")):
        (tmp_path / "run" / "run.json").write_text(damaged)
        with pytest.raises(OutputInUse, match=f"run.json: found {found}.*a whole record of a run"):
            run(small, tmp_path / "run", resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputInUse, match="found a file"):
        run(small, tmp_path / "file")
