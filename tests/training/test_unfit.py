"""Training with scans that the verdict says may not train, where they were kept on request."""

import csv
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
import torch

from ssrecon.archive import Archive
from ssrecon.archive.splits import Assignment
from ssrecon.calibrate import Calibrator
from ssrecon.store.prepare import LeftOut, prepare
from ssrecon.training.trainer import Trainer
from tests.calibrate.raw import raw_scan
from tests.training.small import recipe

UNFIT = "a/slice-000"


@dataclass(frozen=True)
class OneUnfit(Archive):
    """Two scans; of one, some of the lines that are said to be acquired are exactly zero in every coil."""

    path: Path = Path("made-here")

    @classmethod
    def recognises(cls, path):
        return False

    @cached_property
    def headers(self):
        return tuple(self.read(f"{name}/slice-000").header for name in "ab")

    def read(self, scan_id):
        scan = raw_scan("ab".index(scan_id[0]), (48, 40), 4, volume_id=scan_id[0], mask=torch.ones(1, 1, 1, 48, 40).bool(), readouts=8)
        scan = replace(scan, header=replace(scan.header, slice=0, scan_id=scan_id), reference=None, truth=None)
        if scan_id == UNFIT:
            scan.kspace[..., :6, :] = 0
        return scan


def test_an_unfit_scan_that_is_kept_is_trained_on(tmp_path):
    store = prepare(OneUnfit(), tmp_path / "store", Calibrator(), keep_unfit=True)
    assert {header.scan_id for header in store.headers} == {UNFIT, "b/slice-000"} and store.skipped == {}
    assignment = Assignment(train=(UNFIT,), validation=("b/slice-000",), test=("b/slice-000",))
    trainer = Trainer(recipe(steps=2, validate_every=2, batch_size=1), store, assignment, tmp_path / "arm")
    before = [parameter.clone() for parameter in trainer.parameters.values()]
    assert trainer.run().updates == 2
    with open(tmp_path / "arm" / "history.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert last["step"] == "2" and math.isfinite(float(last["loss"])) and math.isfinite(float(last["gamma"]))
    assert any(not torch.equal(old, new) for old, new in zip(before, trainer.parameters.values(), strict=True))


def test_without_the_request_it_is_not_there_to_train_on(tmp_path):
    with pytest.warns(LeftOut, match="exactly zero in every coil"):
        store = prepare(OneUnfit(), tmp_path / "store", Calibrator())
    assert [header.scan_id for header in store.headers] == ["b/slice-000"] and list(store.skipped) == ["a"]
