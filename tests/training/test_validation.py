"""Validation by Gamma: the same samples for all, one unit for all, and scans that cannot be scored."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from ssrecon.core.draw import Draw
from ssrecon.core.errors import TrainingDiverged
from ssrecon.core.scan import Prepared
from ssrecon.partition import Gamma
from ssrecon.store.store import Store
from ssrecon.store.volume_file import write_volume
from ssrecon.training.trainer import Trainer
from ssrecon.training.validation import validate
from tests.scans import EXAMPLE, make_scan
from tests.training.small import RECIPE, assign, make_store, recipe, run


def test_the_validation_score_of_an_unchanged_network_is_bit_identical(store, tmp_path):
    run(recipe(steps=5, learning_rate=0.0, validate_every=1), store, tmp_path)
    gammas = {line.split(",")[3] for line in (tmp_path / "history.csv").read_text().splitlines()[1:]}
    assert len(gammas) == 1


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


def test_an_empty_slice_does_not_stop_validation(tmp_path):
    """A slice outside the object has a reference of zeros."""
    store = make_store(tmp_path / "store", shapes=((24, 24),))
    scans = [store.load(header.scan_id, reference=True) for header in store.headers[:2]]
    empty = replace(scans[1], reference=replace(scans[1].reference, kspace=torch.zeros_like(scans[1].reference.kspace)))
    network = RECIPE.network.build(0, EXAMPLE)

    def score(scans):
        return validate(network, RECIPE.objective, scans, partial(Gamma().hold_out, draw=Draw(0)), Draw(0), torch.device("cpu"))

    assert score([scans[0], empty]).hidden_nmse == score(scans[:1]).hidden_nmse and score([empty]).hidden_nmse is None


def test_a_score_that_is_not_finite_names_the_scan(store):
    """What is unfit does not get here; if a scan does, its name is what one needs."""
    scan_id = store.headers[1].scan_id
    good, bad = store.load(store.headers[0].scan_id), store.load(scan_id)
    bad = replace(bad, scan=replace(bad.scan, kspace=torch.zeros_like(bad.scan.kspace), noise_std=None))
    network = RECIPE.network.build(0, EXAMPLE)
    with pytest.raises(TrainingDiverged, match=rf"scan {scan_id}: the Gamma score is not finite"):
        validate(network, RECIPE.objective, [good, bad], partial(Gamma().hold_out, draw=Draw(0)), Draw(0), torch.device("cpu"))
