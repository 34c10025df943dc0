"""MagneticResonanceImaging/MRIReco.jl 227: noise readouts that are surface-coil correction too, and those of the body coil."""

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from tests.cases.common import mrd, noise, scan, xml

N = 64


def readout(channels, samples, seed):
    return (0.01 * noise((channels, samples), seed)).astype(np.complex64)


CASES = {
    "both_flags": ([dict(data=readout(4, 256, 1), step=0, flags=[19, 29])], 0, ""),
    "body_coil_29": ([dict(data=readout(2, 64, 1), step=0, flags=[29]), dict(data=readout(4, 256, 2), step=0, flags=[19])], 1, ""),
    "body_coil_19_29": (
        [dict(data=readout(2, 256, 1), step=0, flags=[19, 29]), dict(data=readout(4, 256, 2), step=0, flags=[19])],
        1,
        "1 noise readouts of other channels",
    ),
    "noise_2ch": ([dict(data=readout(2, 256, 1), step=0, flags=[19])], None, "1 noise readouts of other channels"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_noise_of_other_channels_is_left_out(tmp_path, name):
    kspace, _, _ = scan(4, N, N, 3)
    extra, used, said = CASES[name]
    image = [dict(data=kspace[:, y], step=y, flags=[25] if y == N - 1 else []) for y in range(N)]
    read = open_archive(mrd(tmp_path / "a.mrd", xml((N, N, 1), (N, N, 1)), extra + image)).read("a/slice-000")
    torch.testing.assert_close(read.kspace[0, 0], torch.from_numpy(kspace))
    if used is None:
        assert read.noise is None and "no noise readouts of these channels" in read.header.notes["noise"]
    else:
        torch.testing.assert_close(read.noise, torch.from_numpy(extra[used]["data"])[None])
    assert said in read.header.notes.get("noise scan", "nothing") if said else "noise scan" not in read.header.notes
    assert ("surface-coil correction lines" in read.header.notes) is (name == "body_coil_29")
