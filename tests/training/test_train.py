"""`ssrecon.train`: one recipe by itself, on a store or on scans in memory."""

from dataclasses import replace

import torch

import ssrecon
from ssrecon.archive import Assignment, BySubject
from ssrecon.store import ScansInMemory
from ssrecon.training.trainer import Trainer
from tests.training.small import assign, make_store, recipe


def test_it_trains_as_the_trainer_does_and_goes_on(tmp_path):
    store = make_store(tmp_path / "store")
    memory = ScansInMemory(store.load(header.scan_id, reference=True) for header in store.headers)
    Trainer(recipe(steps=4), store, assign(store), tmp_path / "trainer").run()
    checkpoints = [tmp_path / "trainer/checkpoints/last.safetensors"]
    for name, scans in (("store", store), ("memory", memory)):
        trained = ssrecon.train(recipe(steps=4), scans, tmp_path / name / "arm")
        assert trained.updates == 4
        checkpoints.append(trained.last)
    loaded = [ssrecon.load_checkpoint(path, trust=["tests.training.small"]).network.state_dict() for path in checkpoints]
    assert all(torch.equal(value, other[name]) for other in loaded[1:] for name, value in loaded[0].items())
    assert ssrecon.train(recipe(steps=4), memory, tmp_path / "memory/arm", resume=True).updates == 4


def test_nobody_need_be_left_to_test(tmp_path):
    store = make_store(tmp_path / "store")
    untested = recipe(steps=1)
    untested = replace(untested, data=replace(untested.data, split=BySubject(validation=1, test=0)))
    assert ssrecon.train(untested, store, tmp_path / "arm").updates == 1


def test_who_trains_may_be_said(tmp_path):
    store = make_store(tmp_path / "store")
    (wide, narrow) = (next(h.scan_id for h in store.headers if store.shape(h.scan_id)[3:] == shape) for shape in ((24, 24), (24, 20)))
    for scan_id, matrix in ((wide, (24, 24)), (narrow, (24, 20))):
        trained = ssrecon.train(recipe(steps=1), store, tmp_path / scan_id, assignment=Assignment((scan_id,), (scan_id,), ()))
        assert ssrecon.load_checkpoint(trained.last, trust=["tests.training.small"]).domain.matrices == (matrix,)
