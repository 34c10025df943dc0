"""What a run says of its test scans' sampling is what their masks say."""

from dataclasses import replace

import pytest
import torch

from ssrecon.core.scan import Prepared
from ssrecon.sampling.describe import describe_mask
from ssrecon.store.store import Store
from ssrecon.store.volume_file import write_volume
from ssrecon.study.acquisition import acquisition_facts, acquisition_record, acquisition_text
from tests.scans import column_mask, make_scan

SHAPE = (48, 24)


@pytest.fixture
def store(tmp_path):
    """Two scans of an undersampled protocol, and one whose calibration was measured apart."""
    for index, (lines, apart) in enumerate([(8, False), (12, False), (8, True)]):
        mask = column_mask(SHAPE, acceleration=4, lines=lines)
        scan = make_scan(SHAPE, seed=index, scan_id=f"subject{index}/slice-000", mask=mask)
        region = torch.zeros_like(mask[:, :1]) if apart else mask[:, :1]
        write_volume(tmp_path, [Prepared(replace(scan, calibration=region))], {})
    return Store(tmp_path)


def test_the_record_is_of_the_masks_and_of_the_chosen_scans_alone(store):
    ids = [header.scan_id for header in store.headers]
    masks = [store.load(scan_id).scan for scan_id in ids]
    described = [describe_mask(scan.mask[0, :, 0], scan.padding[0, :, 0], True) for scan in masks]
    first = acquisition_record(store, ids[:1])
    assert first == {
        "scans": 1,
        "patterns": {described[0].words: 1},
        "acceleration": [pytest.approx(described[0].acceleration)] * 2,
        "calibration": [list(described[0].calibration)],
    }
    both = acquisition_record(store, ids[:2])
    low, high = sorted(one.acceleration for one in described[:2])
    assert both["acceleration"] == [pytest.approx(low), pytest.approx(high)] and low < high < 4
    assert [region[0] for region in both["calibration"]] == [described[0].calibration[0], described[1].calibration[0]]


def test_a_calibration_that_was_measured_apart_is_said_to_be(store):
    ids = [header.scan_id for header in store.headers]
    assert acquisition_facts(acquisition_record(store, ids[2:]))["calibration region"] == "measured apart"
    assert acquisition_facts(acquisition_record(store, ids))["calibration region"].endswith(" or measured apart")


def test_the_acceleration_is_counted_as_the_header_says_it(store, monkeypatch):
    scan_id = store.headers[0].scan_id
    entry = store._entries[scan_id]
    monkeypatch.setitem(store._entries, scan_id, replace(entry, header=replace(entry.header, acceleration=3.25)))
    assert acquisition_record(store, [scan_id])["acceleration"] == [3.25, 3.25]


def test_without_scans_or_a_record_nothing_is_said(store):
    assert acquisition_record(store, []) == {} and acquisition_text({}) == "" and acquisition_facts({}) == {}
