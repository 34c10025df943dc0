"""fastMRI 174: k-space of a file without a header looks stretched, because its readout is oversampled."""

import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.inspect.audit import audit
from tests.cases.common import fastmri, fft, ifft, maps, noise, obj, xml

NY = 96


@pytest.fixture(scope="module")
def kspace():
    """An object that fills the middle half of an oversampled readout, which comes first in fastMRI's files."""
    slices = []
    for seed in range(2):
        wide = np.zeros((2 * NY, NY), complex)
        wide[NY // 2 : NY // 2 + NY] = obj(NY, NY, seed)
        slices.append((fft(maps(6, 2 * NY, NY) * wide) + 0.01 * noise((6, 2 * NY, NY), seed)).astype(np.complex64))
    return np.stack(slices)


def test_with_a_header_the_oversampling_is_removed(tmp_path, kspace):
    header = xml((2 * NY, NY, 1), (NY, NY, 1), (440, 220, 5), (220, 220, 5))
    scan = next(iter(open_archive(fastmri(tmp_path / "head.h5", kspace, header))))
    image = np.linalg.norm(ifft(scan.kspace[0, 0].numpy()), axis=0)
    expected = np.linalg.norm(ifft(kspace[0]), axis=0)[NY // 2 : NY // 2 + NY].T
    assert image.shape == (NY, NY) and ((image - expected) ** 2).sum() / (expected**2).sum() < 1e-6


def test_without_one_the_reader_says_what_it_does_not_know(tmp_path, kspace):
    archive = open_archive(fastmri(tmp_path / "nohead.h5", kspace))
    scan = next(iter(archive))
    assert scan.kspace.shape[-2:] == (NY, 2 * NY)
    assert scan.header.notes["header"] == "none: padding, fields of view and oversampling are unknown"


def test_without_one_the_audit_warns(tmp_path, kspace):
    """Nothing was said of such a file but "train"."""
    found = audit(open_archive(fastmri(tmp_path / "nohead.h5", kspace)), tmp_path / "out")
    for seen in found.scans:
        said = " ".join(str(finding["reason"]) for finding in seen.findings)
        assert "the outer half of the field of view holds noise alone" in said and "oversampled?" in said
        assert seen.verdict == "train with a warning"
