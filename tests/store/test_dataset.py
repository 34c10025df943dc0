"""Scans in memory are read as those of a store are."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.errors import BadInput
from ssrecon.core.scan import CalibratedScan, Prepared
from ssrecon.store import ScanDataset, ScansInMemory, Store
from ssrecon.store.volume_file import write_volume
from tests.scans import make_scan


def scans() -> list[Prepared]:
    noisy = make_scan((24, 20), scan_id="a/slice-000")
    silent = replace(make_scan((24, 24), seed=1, scan_id="b/slice-000"), noise_std=None, noise_source="unknown")
    return [Prepared(noisy, reference=replace(noisy, mask=torch.ones_like(noisy.mask))), Prepared(silent)]


def test_both_say_the_same_of_every_scan(tmp_path):
    for prepared in scans():
        write_volume(tmp_path, [prepared], {})
    datasets: list[ScanDataset] = [ScansInMemory(scans()), Store(tmp_path)]
    memory, disk = datasets
    assert [header.scan_id for header in memory.headers] == [header.scan_id for header in disk.headers] == ["a/slice-000", "b/slice-000"]
    for header in memory.headers:
        for question in ("shape", "noise_known", "has_reference"):
            assert getattr(memory, question)(header.scan_id) == getattr(disk, question)(header.scan_id)
        for reference in (False, True):
            here, there = (dataset.load(header.scan_id, reference=reference) for dataset in datasets)
            assert torch.equal(here.scan.kspace, there.scan.kspace) and (here.reference is None) == (there.reference is None)
    assert memory.load("a/slice-000").reference is None


def test_scans_that_cannot_be_told_apart_are_refused():
    first, second = scans()
    with pytest.raises(BadInput, match="a/slice-000: found two scans of this id"):
        ScansInMemory([first, first])
    with pytest.raises(BadInput, match="found a batch of 2 scans; expected each scan by itself"):
        ScansInMemory([Prepared(CalibratedScan.batch([first.scan, first.scan]))])
    with pytest.raises(BadInput, match="found no scans"):
        ScansInMemory([])
    with pytest.raises(BadInput, match="found no scan 'c'; expected one of a/slice-000"):
        ScansInMemory([first, second]).load("c")
