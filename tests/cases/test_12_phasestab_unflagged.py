"""ismrmrd/siemens_to_ismrmrd 32 and PR 84: converters that leave out the flag of phase-stabilisation lines."""

import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.core.errors import BadInput
from tests.cases.common import mrd, scan, xml

N = 64


@pytest.fixture
def kspace():
    return scan(4, N, N, 3)[0]


def test_lines_twice_without_a_flag(tmp_path, kspace):
    lines = []
    for y in range(N):
        lines += [dict(data=kspace[:, N // 2] * 0.3, step=y), dict(data=kspace[:, y], step=y, flags=[25] if y == N - 1 else [])]
    with pytest.raises(
        BadInput, match="64 lines acquired more than once.*phase-stabilisation, navigator and feedback lines with their flag"
    ):
        _ = open_archive(mrd(tmp_path / "stab.mrd", xml((N, N, 1), (N, N, 1)), lines)).headers


def test_some_lines_far_longer_than_the_others(tmp_path, kspace):
    """Four times as long, a whole factor: but not all of them, and so it is no oversampling."""
    lines = [dict(data=np.tile(kspace[:, 0], (1, 4)), step=0, center=0)] * 3 + [dict(data=kspace[:, y], step=y) for y in range(N)]
    with pytest.raises(BadInput, match="3 of 67 readouts of up to 256 samples.*at most the encoded matrix, 64; phase-stabilisation"):
        _ = open_archive(mrd(tmp_path / "long.mrd", xml((N, N, 1), (N, N, 1)), lines)).headers
