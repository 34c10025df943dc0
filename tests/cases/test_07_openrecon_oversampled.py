"""neurodesk/neurocontainers PR 3206: an inline header tells the base resolution, and the readouts keep their factor of two."""

import numpy as np
import pytest

from ssrecon.archive import open_archive
from tests.cases.common import fft, ifft, maps, mrd, noise, obj, xml

NX, NY = 128, 64


@pytest.fixture
def kspace():
    wide = np.zeros((NY, NX), complex)
    wide[:, 32:96] = obj(NY, 64, 3)
    return (fft(maps(4, NY, NX) * wide) + 0.01 * noise((4, NY, NX))).astype(np.complex64)


def lines(kspace):
    return [dict(data=kspace[:, y], step=y, flags=[25] if y == NY - 1 else []) for y in range(NY)]


@pytest.mark.parametrize("name", ["inline", "offline"])
def test_oversampling_by_a_whole_factor_is_removed(tmp_path, kspace, name):
    headers = {
        "inline": xml((64, 64, 1), (64, 64, 1), (192, 192, 3), (192, 192, 3)),
        "offline": xml((128, 64, 1), (64, 64, 1), (384, 192, 3), (192, 192, 3)),
    }
    scan = open_archive(mrd(tmp_path / "a.mrd", headers[name], lines(kspace))).read("a/slice-000")
    image, expected = np.linalg.norm(ifft(scan.kspace[0, 0].numpy()), axis=0), np.linalg.norm(ifft(kspace)[:, :, 32:96], axis=0)
    assert image.shape == (64, 64) and ((image - expected) ** 2).sum() / (expected**2).sum() < 1e-6
    assert scan.header.encoded_matrix == (64, 64) and scan.header.encoded_fov == (192, 192)
    assert ("2 times what the header says" in scan.header.notes.get("readout oversampling", "")) is (name == "inline")


def test_without_fields_of_view(tmp_path, kspace):
    """The lines alone tell it."""
    header = xml((64, 64, 1), (64, 64, 1), (0, 0, 0), (0, 0, 0))
    assert open_archive(mrd(tmp_path / "a.mrd", header, lines(kspace))).read("a/slice-000").kspace.shape[-2:] == (64, 64)


def test_a_factor_that_is_not_whole_is_refused(tmp_path, kspace):
    header = xml((60, 64, 1), (60, 64, 1), (180, 192, 3), (180, 192, 3))
    with pytest.raises(Exception, match="64 of 64 readouts of up to 128 samples; expected at most the encoded matrix, 60"):
        _ = open_archive(mrd(tmp_path / "a.mrd", header, lines(kspace))).headers
