"""Every format is damaged fifty times, and ends in an error that names the file or in a right read. A format is found by walking the
package; `python -m tests.fuzz --count 1000` does more of the same."""

import math
import os
import signal
import time
from dataclasses import replace

import pytest
import torch

from ssrecon.archive.fastmri.fastmri import FastMRI
from tests.archive.judged import EQUAL, REFUSED, TOLD, WRONG, Whole, judge
from tests.fuzz import apart, damaged, example, formats, fuzz


@pytest.mark.parametrize("name", sorted(formats()))
def test_damage_ends_in_an_error_or_a_right_read(name):
    counts, wrong = fuzz(name, range(50))
    assert not wrong, "\n".join(wrong)
    assert counts.total() == 50 and counts[REFUSED] > 0 and counts[EQUAL] < 50


def test_damage_depends_on_the_seed_alone(tmp_path):
    path = example("bart", tmp_path)
    first, again, other = (damaged(path, seed, tmp_path.parent / f"{tmp_path.name}-{n}") for n, seed in enumerate((3, 3, 4)))
    assert first[1:] == again[1:] != other[1:]
    assert [file.read_bytes() for file in sorted(first[0].parent.iterdir())] == [
        file.read_bytes() for file in sorted(again[0].parent.iterdir())
    ]


def test_the_judge_knows_a_wrong_scan(tmp_path, monkeypatch):
    """A reader that scales its samples, fills in zeros, puts lines elsewhere, or claims what was not acquired."""
    path = example("fastmri", tmp_path)
    whole, read = Whole.read(path), FastMRI.read
    assert judge(path, whole, 0) == (EQUAL, "")

    def outcome(change, touched=0):
        monkeypatch.setattr(FastMRI, "read", lambda self, scan_id: change(read(self, scan_id)))
        return judge(path, whole, touched)[0]

    assert outcome(lambda scan: replace(scan, kspace=scan.kspace * 1.5)) == WRONG
    assert outcome(lambda scan: replace(scan, kspace=scan.kspace * 1.5), touched=3) == WRONG
    assert outcome(lambda scan: replace(scan, kspace=scan.kspace + 1)) == WRONG  # not zero where it was not acquired
    assert outcome(lambda scan: replace(scan, kspace=scan.kspace * (torch.arange(scan.kspace.shape[-1]) > 2))) == WRONG
    assert outcome(lambda scan: replace(scan, kspace=scan.kspace.roll(1, -2), mask=scan.mask.roll(1, -2))) in (TOLD, WRONG)
    assert outcome(lambda scan: replace(scan, header=replace(scan.header, field_strength=math.nan))) == WRONG
    assert outcome(lambda scan: scan) == EQUAL


def test_a_crash_a_hang_and_gigabytes_are_wrong(tmp_path, monkeypatch):
    path = example("fastmri", tmp_path)
    whole = Whole.read(path)
    monkeypatch.setattr("tests.fuzz.SECONDS", 2)

    def ends(does):
        monkeypatch.setattr(FastMRI, "read", does)
        return apart(path, whole, 0)

    assert ends(FastMRI.read)[0] == EQUAL
    assert ends(lambda *_: os.kill(os.getpid(), signal.SIGUSR1))[1].startswith("a crash")
    assert ends(lambda *_: time.sleep(60))[1].startswith("a hang")
    assert "MemoryError" in ends(lambda *_: bytearray(8 << 30))[1]
    assert "ZeroDivisionError" in ends(lambda *_: 1 / 0)[1]
