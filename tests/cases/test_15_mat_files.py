"""CMRxRecon 2 and 3: .mat files of MATLAB 5, and files that h5py wrote in MATLAB's own order of axes."""

import h5py
import numpy as np
import pytest
import scipy.io

from ssrecon.archive import open_archive
from ssrecon.core.errors import BadInput
from tests.cases.common import scan

NX, NY, COILS, SLICES, FRAMES = 64, 48, 4, 2, 3
COMPOUND = np.dtype([("real", "<f4"), ("imag", "<f4")])


@pytest.fixture(scope="module")
def kspace():
    """(t, z, coil, y, x)"""
    return np.stack([np.stack([scan(COILS, NY, NX, 10 * z + t)[0] for z in range(SLICES)]) for t in range(FRAMES)])


def write(path, array):
    path.parent.mkdir(parents=True)
    values = np.empty(array.shape, COMPOUND)
    values["real"], values["imag"] = array.real, array.imag
    with h5py.File(path, "w") as file:
        file["kspace_full"] = values
    return path


def test_matlab_5_is_read(tmp_path, kspace):
    path = tmp_path / "P001" / "cine_sax.mat"
    path.parent.mkdir()
    scipy.io.savemat(path, {"kspace_full": kspace.T})
    for archive in (open_archive(path), open_archive(tmp_path)):
        assert len(archive) == SLICES
        for index, header in enumerate(archive.headers):
            assert np.array_equal(archive.read(header.scan_id).kspace[0].numpy(), kspace[:, index])


def test_hdf5_in_the_right_order_is_read_and_in_the_other_questioned(tmp_path, kspace):
    right = open_archive(write(tmp_path / "right" / "cine_sax.mat", kspace))
    assert len(right) == SLICES and right.headers[0].encoded_matrix == (NY, NX)
    with pytest.raises(BadInput, match="3072 images of 2x3: are the axes in MATLAB's order") as caught:
        _ = open_archive(write(tmp_path / "wrong" / "cine_sax.mat", kspace.T)).headers
    assert "-v7.3" in caught.value.expected
    with h5py.File(tmp_path / "f.h5", "w") as file:  # the same mistake in fastMRI's layout
        file["kspace"] = kspace[:, 0].T
    with pytest.raises(BadInput, match="3072 images of 4x3"):
        _ = open_archive(tmp_path / "f.h5").headers
