import json
import math
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import pytest
import torch

from ssrecon.archive.splits import Assignment
from ssrecon.calibrate import Calibrator
from ssrecon.core.description import describe
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe, TrainingDiverged
from ssrecon.core.scan import CalibratedScan, Prepared
from ssrecon.networks import CNN, Unrolled
from ssrecon.objectives import MultiMaskSSDU, Supervised
from ssrecon.partition import Gamma
from ssrecon.recipe.selection import Selection
from ssrecon.reconstruction.checkpoint import read_checkpoint, save_checkpoint
from ssrecon.reconstruction.loaded_network import load_checkpoint
from ssrecon.store.store import Store, write_volume
from ssrecon.training.trainer import Trainer
from ssrecon.training.validation import validate
from tests.scans import EXAMPLE, make_scan
from tests.training.small import RECIPE, assign, make_store, recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


def run(this, store, folder, **options):
    return Trainer(this, store, assign(store), folder).run(**options)


def test_losses_fall_and_the_best_by_gamma_is_kept(store, tmp_path):
    result = run(recipe(steps=60, validate_every=20), store, tmp_path)
    rows = [line.split(",") for line in (tmp_path / "history.csv").read_text().splitlines()[1:]]
    gammas = [float(row[3]) for row in rows]
    assert [int(row[0]) for row in rows] == [0, 20, 40, 60]
    assert gammas[-1] < gammas[0]
    assert result.best_gamma == pytest.approx(min(gammas)) and result.updates == 60 and not result.stopped_early
    assert {path.stem for path in (tmp_path / "checkpoints").iterdir()} == {"gamma", "last", "reference"}


def test_two_runs_end_with_the_same_bytes(store, tmp_path):
    for name in "ab":
        run(RECIPE, store, tmp_path / name)
    same = (tmp_path / "a/checkpoints/last.safetensors").read_bytes() == (tmp_path / "b/checkpoints/last.safetensors").read_bytes()
    assert same


def test_a_self_supervised_run_needs_no_reference_anywhere(store, tmp_path):
    """Every reference is deleted from the files: the same checkpoints, byte for byte."""
    run(RECIPE, store, tmp_path / "with")
    bare = make_store(tmp_path / "bare")
    for path in bare.folder.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            del file["reference"]
    run(RECIPE, Store(bare.folder), tmp_path / "without")
    for name in ("gamma", "last"):
        checkpoints = [read_checkpoint(tmp_path / arm / f"checkpoints/{name}.safetensors").tensors for arm in ("with", "without")]
        assert checkpoints[0].keys() == checkpoints[1].keys()
        assert all(torch.equal(value, checkpoints[1][key]) for key, value in checkpoints[0].items())
    assert not (tmp_path / "without/checkpoints/reference.safetensors").exists()


def test_references_are_handed_over_only_where_needed(store, tmp_path, monkeypatch):
    given = []
    for objective in (MultiMaskSSDU(), Supervised()):
        original = type(objective).loss
        monkeypatch.setattr(
            type(objective), "loss", lambda self, n, s, r, d, original=original: given.append(r) or original(self, n, s, r, d)
        )
        run(replace(recipe(steps=1), objective=objective), store, tmp_path / type(objective).__name__)
    assert given[0] is None and given[1] is not None


def test_patience_stops(store, tmp_path):
    result = run(recipe(steps=400, learning_rate=0.0, validate_every=1, patience=3), store, tmp_path)
    assert result.stopped_early and result.updates == 3 and result.best_gamma_step == 0


def test_the_validation_score_of_an_unchanged_network_is_bit_identical(store, tmp_path):
    run(recipe(steps=5, learning_rate=0.0, validate_every=1), store, tmp_path)
    gammas = {line.split(",")[3] for line in (tmp_path / "history.csv").read_text().splitlines()[1:]}
    assert len(gammas) == 1


def test_nan_stops_naming_step_scan_and_term_and_keeps_the_last_checkpoint(store, tmp_path, monkeypatch):
    trainer = Trainer(recipe(steps=12, validate_every=2, batch_size=1), store, assign(store), tmp_path)
    original = trainer.update

    def poisoned(step, scans):
        if step.number == 5:
            with torch.no_grad():
                trainer.network.mu.fill_(torch.nan)
        return original(step, scans)

    monkeypatch.setattr(trainer, "update", poisoned)
    with pytest.raises(TrainingDiverged, match=r"step 5, scan subject\d/slice-000: the term 'loss' is not finite"):
        trainer.run()
    last = read_checkpoint(tmp_path / "checkpoints/last.safetensors")
    assert last.about["state"]["step"] == 4 and torch.isfinite(last.tensors["network/mu"])


def test_fine_tuning_starts_from_a_checkpoint(store, tmp_path):
    run(RECIPE, store, tmp_path / "first")
    start = str(tmp_path / "first/checkpoints/last.safetensors")
    trainer = Trainer(recipe(start=start), store, assign(store), tmp_path / "second")
    assert torch.equal(trainer.network.state_dict()["mu"], read_checkpoint(start).tensors["network/mu"])


def test_epochs_are_counted_in_updates(store, tmp_path):
    result = run(recipe(epochs=2, steps=999, validate_every=50), store, tmp_path)
    assert result.updates == 4 and not result.stopped_early  # three scans of two shapes, in batches of two


def test_a_stop_between_validations_does_not_show_in_the_history(store, tmp_path, monkeypatch):
    long = recipe(steps=8, validate_every=8)
    run(long, store, tmp_path / "whole")
    update = Trainer.update

    def interrupted(self, step, scans):
        if step.number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, step, scans)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt, match="stopped at step 4; a checkpoint was written"):
        patched.setattr(Trainer, "update", interrupted)
        run(long, store, tmp_path / "cut")
    run(long, store, tmp_path / "cut", resume=True)
    tables = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("whole", "cut")]
    whole, cut = ([line.rsplit(",", 1)[0] for line in table] for table in tables)
    assert whole == cut and len(whole) == 3


def test_a_checkpoint_knows_how_its_scans_were_calibrated(store, tmp_path):
    folder = tmp_path / "store"
    for header in store.headers:
        write_volume(folder, [store.load(header.scan_id)], {"calibrator": describe(Calibrator(coils=3, crop=0.7))})
    other = Store(folder)
    run(recipe(steps=1), other, tmp_path / "arm")
    trained = load_checkpoint(tmp_path / "arm/checkpoints/last.safetensors", trust=["tests.training.small"])
    assert trained.calibrator == Calibrator(coils=3, crop=0.7) != trained.recipe.data.calibrator


def test_a_start_that_changed_is_refused_on_resuming(store, tmp_path):
    run(recipe(steps=1), store, tmp_path / "first")
    start = tmp_path / "first/checkpoints/last.safetensors"
    tuned = recipe(steps=3, start=str(start))
    run(tuned, store, tmp_path / "tuned")
    run(recipe(steps=2, learning_rate=0.1), store, tmp_path / "other")
    start.write_bytes((tmp_path / "other/checkpoints/last.safetensors").read_bytes())
    with pytest.raises(BadInput, match="found a training that started from other weights"):
        run(tuned, store, tmp_path / "tuned", resume=True)


def test_scan_specific_training_never_sees_its_gamma(store, tmp_path):
    one = assign(store).train[:1]
    same = replace(assign(store), train=one, validation=one, test=one)
    trainer = Trainer(recipe(batch_size=1), store, same, tmp_path)
    prepared = store.load(one[0])
    gamma = RECIPE.validation.hold_out(prepared.scan, trainer.gamma_draw)
    (kept,) = trainer.without_gamma([prepared])
    assert gamma.any() and not (kept.scan.mask & gamma).any() and (kept.scan.mask | gamma).equal(prepared.scan.mask)
    assert not torch.where(gamma, kept.scan.kspace, 0).any()
    # Nor by way of the reference, which holds the same samples.
    (kept,) = trainer.without_gamma([store.load(one[0], reference=True)])
    assert kept.reference is not None and not (kept.reference.mask & gamma).any() and not torch.where(gamma, kept.reference.kspace, 0).any()
    assert trainer.run().updates == 12


def test_a_checkpoint_rebuilds_its_network(store, tmp_path):
    trainer = Trainer(RECIPE, store, assign(store), tmp_path)
    trainer.run()
    loaded = load_checkpoint(tmp_path / "checkpoints/last.safetensors", trust=["tests.training.small"])
    scan = make_scan((24, 24))
    trainer.network.eval()
    with torch.no_grad():
        assert torch.equal(loaded(scan).image, trainer.network(scan).image)
    assert loaded.recipe == RECIPE and loaded.domain.coils == (4,)


def test_foreign_code_is_refused(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    with pytest.raises(
        BadRecipe, match="found the class tests.training.small.Nothing from outside ssrecon; expected --trust tests.training.small"
    ):
        load_checkpoint(tmp_path / "checkpoints/last.safetensors")


def test_another_networks_checkpoint_is_refused(store, tmp_path):
    run(recipe(steps=1), store, tmp_path / "a")
    start = str(tmp_path / "a/checkpoints/last.safetensors")
    other = replace(recipe(start=start), network=Unrolled(CNN(layers=2, channels=4, batch_norm=False), unrolls=2))
    with pytest.raises(BadInput, match="last.safetensors: found weights without .*: another network's checkpoint; expected the"):
        Trainer(other, store, assign(store), tmp_path / "b")


def test_resuming_with_another_recipe_is_refused(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    with pytest.raises(BadInput, match="found a checkpoint of another recipe"):
        run(recipe(steps=2), store, tmp_path, resume=True)


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"not a checkpoint at all"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="bad.safetensors: found .*; expected a checkpoint"):
        load_checkpoint(path)


def test_scans_of_known_and_unknown_noise_train_and_validate_together(tmp_path):
    from ssrecon.store.loader import Schedule

    folder = tmp_path / "store"
    for subject in range(6):
        scan = make_scan((24, 24), seed=subject, scan_id=f"subject{subject}/slice-000")
        if subject % 2:
            scan = replace(scan, noise_std=None, noise_source="unknown")
        write_volume(folder, [Prepared(scan)], {})
    mixed = Store(folder)
    batches = Schedule.of(mixed, [header.scan_id for header in mixed.headers], 3, seed=0).epoch(0)
    assert sorted(map(len, batches)) == [3, 3] and all(len({mixed.noise_known(scan_id) for scan_id in batch}) == 1 for batch in batches)
    scans = [mixed.load(header.scan_id) for header in mixed.headers[:2]]
    assert [scan.scan.noise_std is None for scan in scans] == [False, True]
    network = RECIPE.network.build(0, EXAMPLE)

    def score(scans):
        return validate(network, RECIPE.objective, scans, partial(Gamma().hold_out, draw=Draw(0)), Draw(0), torch.device("cpu")).gamma

    relative = [score([replace(scan, scan=replace(scan.scan, noise_std=None))]) for scan in scans]
    assert score(scans) == pytest.approx(sum(relative) / 2) and score(scans[:1]) != pytest.approx(relative[0])


def test_batches_never_mix_shapes_and_cover_every_scan_once(store):
    trainer_ids = assign(store).train
    from ssrecon.store.loader import Schedule, collate

    schedule = Schedule.of(store, trainer_ids, 2, seed=3)
    for epoch in range(4):
        batches = schedule.epoch(epoch)
        assert sorted(scan_id for batch in batches for scan_id in batch) == sorted(trainer_ids)
        for batch in batches:
            assert isinstance(collate([store.load(scan_id) for scan_id in batch])[0], CalibratedScan)
    assert schedule.epoch(0) != schedule.epoch(1) or schedule.epoch(0) != schedule.epoch(2)


def test_gamma_belongs_to_the_data_and_not_to_the_seed(store, tmp_path):
    """Arms and seeds are judged on the same samples; another seed of the data holds out others."""
    shared = assign(store)
    scan = store.load(shared.validation[0])
    specific = replace(shared, train=shared.validation)

    def kept(this):
        return Trainer(this, store, specific, tmp_path).without_gamma([scan])[0].scan.mask

    first = kept(RECIPE)
    assert all(torch.equal(kept(replace(RECIPE, seed=seed)), first) for seed in range(1, 7))
    # Of a few lines some are drawn again; not by all of six seeds.
    assert not all(torch.equal(kept(replace(RECIPE, data=replace(RECIPE.data, seed=seed))), first) for seed in range(1, 7))


def test_a_bound_on_the_gradient_is_kept(store, tmp_path):
    """Adam's steps do not depend on the gradient's size until it is as small as its epsilon."""
    start = RECIPE.network.build(0, EXAMPLE).state_dict()

    def moved(**training):
        run(recipe(steps=1, validate_every=1, **training), store, tmp_path / str(training))
        weights = read_checkpoint(tmp_path / str(training) / "checkpoints" / "last.safetensors").weights()
        return max(float((weights[name] - start[name]).abs().max()) for name in start)

    assert moved(clip_norm=1e-12) < 1e-3 * moved()


def test_the_learning_rate_falls_by_a_cosine(store, tmp_path):
    run(recipe(steps=12, learning_rate=1e-2, final_learning_rate=1e-4, validate_every=3), store, tmp_path)
    rows = [line.split(",") for line in (tmp_path / "history.csv").read_text().splitlines()]
    rates = {int(row[0]): float(row[rows[0].index("learning_rate")]) for row in rows[1:]}
    for after, rate in rates.items():
        step = max(after - 1, 0)
        assert rate == pytest.approx(1e-4 + 0.5 * (1 + math.cos(math.pi * step / 12)) * (1e-2 - 1e-4))
    assert rates[12] < 4e-4


def test_an_empty_slice_does_not_stop_validation(tmp_path):
    """A slice outside the object has a reference of zeros."""
    store = make_store(tmp_path / "store", shapes=((24, 24),))
    scans = [store.load(header.scan_id, reference=True) for header in store.headers[:2]]
    empty = replace(scans[1], reference=replace(scans[1].reference, kspace=torch.zeros_like(scans[1].reference.kspace)))
    network = RECIPE.network.build(0, EXAMPLE)

    def score(scans):
        return validate(network, RECIPE.objective, scans, partial(Gamma().hold_out, draw=Draw(0)), Draw(0), torch.device("cpu"))

    assert score([scans[0], empty]).hidden_nmse == score(scans[:1]).hidden_nmse and score([empty]).hidden_nmse is None


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
        ("{", "metadata that cannot be read"),
        ("{}", "metadata that cannot be read"),
        ('{"format": 1}', "does not say its recipe"),
    ],
)
def test_metadata_that_are_not_ours_are_named(tmp_path, metadata, message):
    from safetensors.torch import save_file

    save_file({"network/x": torch.zeros(1)}, tmp_path / "a.safetensors", {"ssrecon": metadata})
    with pytest.raises(BadInput, match=f"a.safetensors: found .*{message}"):
        load_checkpoint(tmp_path / "a.safetensors")


def test_transfer_rolls_back_where_gamma_gets_worse(store, tmp_path):
    """Adaptation that only harms (it climbs the loss) ends, and the chosen checkpoint is the start itself, bit for bit."""
    run(RECIPE, store, tmp_path / "population")
    start = str(tmp_path / "population/checkpoints/gamma.safetensors")
    one = Assignment((store.headers[0].scan_id,), (store.headers[0].scan_id,), (store.headers[0].scan_id,))
    trainer = Trainer(recipe(start=start, steps=100, validate_every=1, patience=3, batch_size=1), store, one, tmp_path / "adapted")
    trainer.optimizer.param_groups[0]["maximize"] = True
    result = trainer.run()
    assert result.stopped_early and result.updates == 3 and result.best_gamma_step == 0
    chosen, population = (read_checkpoint(path).tensors for path in (result.checkpoint(Selection.GAMMA), start))
    assert all(torch.equal(value, population[name]) for name, value in chosen.items())


def test_weights_are_kept_on_the_way(store, tmp_path):
    run(recipe(steps=6, keep_every=2), store, tmp_path)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert kept == ["step-000002.safetensors", "step-000004.safetensors", "step-000006.safetensors"]
    last, sixth = (read_checkpoint(tmp_path / f"checkpoints/{name}.safetensors").tensors for name in ("last", "step-000006"))
    assert all(torch.equal(last[name], value) for name, value in sixth.items())
    assert recipe(keep_every=2).hash == recipe().hash


def test_a_score_that_is_not_finite_names_the_scan(store):
    """What is unfit does not get here; if a scan does, its name is what one needs."""
    scan_id = store.headers[1].scan_id
    good, bad = store.load(store.headers[0].scan_id), store.load(scan_id)
    bad = replace(bad, scan=replace(bad.scan, kspace=torch.zeros_like(bad.scan.kspace), noise_std=None))
    network = RECIPE.network.build(0, EXAMPLE)
    with pytest.raises(TrainingDiverged, match=rf"scan {scan_id}: the Gamma score is not finite"):
        validate(network, RECIPE.objective, [good, bad], partial(Gamma().hold_out, draw=Draw(0)), Draw(0), torch.device("cpu"))


def forged(path, change):
    """The checkpoint with another record of itself."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, "pt") as file:
        about, tensors = json.loads(file.metadata()["ssrecon"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(about)
    text = json.dumps(about).replace('"DEEP"', "[" * 50_000 + "]" * 50_000)
    save_file(tensors, path, {"ssrecon": text})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about["domain"].pop("coils"), "last.safetensors: found TrainingDomain without its coils"),
        (lambda about: about["recipe"].pop("data"), "last.safetensors: found Recipe without its data"),
        (lambda about: about["example"].pop("matrix"), "last.safetensors: found Example without its matrix"),
        (lambda about: about.update(recipe="DEEP"), "last.safetensors: found .*(nested|RecursionError)"),
        (lambda about: about.pop("domain"), "last.safetensors: found a checkpoint that does not say its domain"),
    ],
)
def test_a_checkpoint_with_a_damaged_record_is_named(store, tmp_path, change, message):
    run(recipe(steps=1), store, tmp_path)
    path = forged(tmp_path / "checkpoints/last.safetensors", change)
    with pytest.raises(BadInput, match=message):
        load_checkpoint(path, trust=["tests.training.small"])


def test_a_damaged_state_is_named_when_it_is_resumed(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    forged(tmp_path / "checkpoints/last.safetensors", lambda about: about.update(state={"steps": "many"}))
    with pytest.raises(BadInput, match="last.safetensors: found a state of a training that is"):
        run(recipe(steps=1), store, tmp_path, resume=True)


def test_a_checkpoint_from_before_examples_loads_and_resumes(store, tmp_path):
    """Of the version before rooms: classes by file, no example, a hash of its own."""
    run(recipe(steps=2, validate_every=1), store, tmp_path)

    def earlier(about):
        about.pop("example"), about.pop("hash_version"), about["recipe"]["network"].pop("warm_start")
        about["hash"] = "0123456789abcdef"
        about["recipe"]["network"]["class"] = "ssrecon.networks.unrolled.Unrolled"
        about["domain"]["class"] = "ssrecon.domain.TrainingDomain"

    path = forged(tmp_path / "checkpoints/last.safetensors", earlier)
    assert load_checkpoint(path, trust=["tests.training.small"]).recipe == recipe(steps=2, validate_every=1)
    run(recipe(steps=2, validate_every=1), store, tmp_path, resume=True)


def test_a_loaded_network_gives_images_without_a_gradient(store, tmp_path):
    run(recipe(steps=1), store, tmp_path)
    loaded = load_checkpoint(tmp_path / "checkpoints/last.safetensors", trust=["tests.training.small"])
    image = loaded(store.load(store.headers[0].scan_id).scan).image
    assert not image.requires_grad and image.numpy().any()
