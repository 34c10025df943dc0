"""PTB-MR/mrpro 217: sequences acquire whole shots, so that some lines lie outside the encoded matrix."""

import numpy as np
import torch

from ssrecon.archive import open_archive
from tests.cases.common import mrd, scan, xml


def test_lines_beyond_the_matrix_are_dropped_and_counted(tmp_path):
    kspace, _, _ = scan(4, 64, 64, 2)
    lines = [dict(data=kspace[:, y], step=y, flags=[25] if y == 63 else []) for y in range(64)]
    path = mrd(tmp_path / "a.mrd", xml((64, 60, 1), (64, 60, 1), limits=(0, 63), centre=32), lines)
    read = open_archive(path).read("a/slice-000")
    torch.testing.assert_close(read.kspace[0, 0], torch.from_numpy(np.ascontiguousarray(kspace[:, 2:62])))
    assert read.mask.all() and read.header.notes["lines beyond the matrix"].startswith("4 of 64 left out: lines at -2 to 61")


def test_and_so_are_calibration_lines(tmp_path):
    kspace, _, _ = scan(4, 64, 64, 2)
    lines = [dict(data=kspace[:, y], step=y, flags=[] if y % 2 else [20]) for y in range(64)]
    path = mrd(tmp_path / "a.mrd", xml((64, 60, 1), (64, 60, 1), limits=(0, 63), centre=32, mode="embedded"), lines)
    read = open_archive(path).read("a/slice-000")
    assert read.mask.all() and read.header.notes["lines beyond the matrix"].startswith("4 of 64 left out")
