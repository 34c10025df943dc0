"""ismrmrd/mrd PR 69: fastMRI's layout with the phase before the readout, which the header's matrix contradicts."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.core.encoding import GridPoints, WholeLines
from tests.cases.common import columns, fastmri, fft, maps, noise, obj, xml

NX, NY = 128, 64
"""An oversampled readout, of which 64 samples are kept, and the lines."""
HEADER = xml((NX, NY, 1), (64, 64, 1), (400, 200, 5), (200, 200, 5), (0, NY - 1), NY // 2)


@pytest.fixture(scope="module")
def kspace():
    slices = []
    for seed in range(2):
        wide = np.zeros((NX, NY), complex)
        wide[32:96] = obj(64, 64, seed)
        slices.append((fft(maps(6, NX, NY) * wide) + 0.01 * noise((6, NX, NY), seed)).astype(np.complex64))
    return np.stack(slices)


def exchanged(array):
    return np.ascontiguousarray(np.swapaxes(array, -1, -2))


def read(path):
    return list(open_archive(path))[1]


@pytest.mark.parametrize("undersampled", [False, True])
def test_exchanged_axes_are_turned_and_said(tmp_path, kspace, undersampled):
    mask = columns(NY, 3, 16) if undersampled else None
    data = kspace * mask if undersampled else kspace
    right = read(fastmri(tmp_path / "right.h5", data, HEADER, mask))
    turned = read(fastmri(tmp_path / "turned.h5", exchanged(data), HEADER, mask))
    assert torch.equal(turned.kspace, right.kspace) and torch.equal(turned.mask, right.mask) and turned.kspace.shape[-2:] == (NY, 64)
    assert turned.header.encoded_matrix == right.header.encoded_matrix and turned.header.encoding == WholeLines()
    assert "axes" not in right.header.notes
    assert "its header says 64x128 (phase, readout), and k-space 64x128 was read so" in turned.header.notes["axes"]


def test_padding_and_points_of_exchanged_axes(tmp_path, kspace):
    data, points = kspace.copy(), np.random.default_rng(0).random((NX, NY)) < 0.4
    data[..., :4] = 0
    header = xml((NX, NY, 1), (64, 64, 1), (400, 200, 5), (200, 200, 5), (0, NY - 5), NY // 2 - 4)
    right = read(fastmri(tmp_path / "right.h5", data, header))
    turned = read(fastmri(tmp_path / "turned.h5", exchanged(data), header))
    assert torch.equal(turned.padding, right.padding) and bool(turned.padding[0, 0, 0, :4].all())
    masked = read(fastmri(tmp_path / "masked.h5", exchanged(data * points), HEADER, exchanged(points)))
    assert masked.header.encoding == GridPoints() and torch.equal(masked.mask[0, 0, 0], torch.from_numpy(points.T))


def test_a_mask_knows_better_than_a_header(tmp_path, kspace):
    """It has as many columns as the file has phases: then it is the header that is wrong."""
    header = xml((NY, NX, 1), (64, 64, 1), (200, 400, 5), (200, 200, 5), (0, NX - 1), NX // 2)
    scan = read(fastmri(tmp_path / "a.h5", kspace, header, columns(NY, 3, 16)))
    assert scan.kspace.shape[-2:] == (NY, NX) and "is exchanged: the mask has 64 columns" in scan.header.notes["encoded matrix"]


def test_another_matrix_is_said(tmp_path, kspace):
    scan = read(fastmri(tmp_path / "a.h5", kspace[:, :, :100], HEADER))
    assert "64x128 (phase, readout), does not describe k-space of 64x100" in scan.header.notes["encoded matrix"]


def test_simulated_truth_is_turned_with_it(tmp_path, kspace):
    path = fastmri(tmp_path / "a.h5", exchanged(kspace), HEADER)
    with h5py.File(path, "a") as file:
        file["truth"] = exchanged(kspace)
    scan = read(path)
    assert torch.equal(scan.truth, scan.kspace)
