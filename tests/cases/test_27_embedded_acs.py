"""ismrmrd 51, gadgetron 332 and 791: calibration lines between those of the lattice, whose mode the header tells, or does not."""

import numpy as np
import pytest

from ssrecon.archive import open_archive
from tests.cases.common import mrd, scan, xml

N = 64
LATTICE, REGION = np.arange(0, N, 2), np.arange(N // 2 - 12, N // 2 + 12)


def flags(y):
    return [21] if y in REGION and y in LATTICE else [20] if y in REGION else []


@pytest.mark.parametrize("mode", ["embedded", "interleaved", "other", ""])
def test_in_place_and_not_twice_they_are_samples_of_the_scan(tmp_path, mode):
    kspace, _, _ = scan(6, N, N, 3)
    lines = [dict(data=kspace[:, y], step=int(y), flags=flags(y)) for y in np.union1d(LATTICE, REGION)]
    read = open_archive(mrd(tmp_path / "m.mrd", xml((N, N, 1), (N, N, 1), mode=mode), lines)).read("m/slice-000")
    assert len(lines) == 44 and int(read.mask[0, 0, 0, :, 0].sum()) == 44 and read.calibration is None
    assert "12" in read.header.notes["calibration"]


def test_the_headers_word_for_a_separate_calibration_stands(tmp_path):
    kspace, _, _ = scan(6, N, N, 3)
    lines = [dict(data=kspace[:, y], step=int(y), flags=flags(y)) for y in np.union1d(LATTICE, REGION)]
    read = open_archive(mrd(tmp_path / "m.mrd", xml((N, N, 1), (N, N, 1), mode="separate"), lines)).read("m/slice-000")
    assert int(read.mask[0, 0, 0, :, 0].sum()) == 32 and int(read.calibration.mask[0, 0, 0, :, 0].sum()) == 24


@pytest.mark.parametrize("mode", ["other", ""])
def test_a_calibration_apart_has_its_own_copy_of_the_lattice(tmp_path, mode):
    """24 lines before the scan, 12 of which the scan acquires again."""
    kspace, _, _ = scan(6, N, N, 3)
    lines = [dict(data=kspace[:, y], step=int(y), flags=[20]) for y in REGION] + [dict(data=kspace[:, y], step=int(y)) for y in LATTICE]
    read = open_archive(mrd(tmp_path / "m.mrd", xml((N, N, 1), (N, N, 1), mode=mode), lines)).read("m/slice-000")
    assert int(read.mask[0, 0, 0, :, 0].sum()) == 32 and int(read.calibration.mask[0, 0, 0, :, 0].sum()) == 24


@pytest.mark.parametrize("other", [{"dwell": 10.0}, {"rep": 1}])
def test_lines_of_another_dwell_time_or_counter_are_apart(tmp_path, other):
    kspace, _, _ = scan(6, N, N, 3)
    lines = [dict(data=kspace[:, y], step=int(y), flags=[20], **other) for y in REGION if y % 2]
    lines += [dict(data=kspace[:, y], step=int(y)) for y in LATTICE]
    read = open_archive(mrd(tmp_path / "m.mrd", xml((N, N, 1), (N, N, 1)), lines)).read("m/slice-000")
    assert int(read.mask[0, 0, 0, :, 0].sum()) == 32 and int(read.calibration.mask[0, 0, 0, :, 0].sum()) == 12
