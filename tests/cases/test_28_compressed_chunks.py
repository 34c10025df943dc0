"""MC-DDPM 7: a volume in one compressed chunk was decompressed once a slice, 22 times slower; virtual datasets."""

import h5py
import numpy as np
import pytest

from ssrecon.archive import open_archive, slices
from ssrecon.core.errors import BadInput
from tests.cases.common import fastmri, scan

SLICES = 6


@pytest.fixture(scope="module")
def kspace():
    return np.stack([scan(3, 32, 40, seed)[0] for seed in range(SLICES)])


def chunked(path, kspace, thick, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=kspace, chunks=(thick, *kspace.shape[1:]), **options)
    return path


def assert_right(archive, kspace):
    for found, whole in zip(archive, kspace, strict=True):
        assert np.array_equal(found.kspace[0, 0].numpy(), whole.swapaxes(-1, -2))


@pytest.mark.parametrize(("thick", "once", "twice"), [(SLICES, 1, 1), (4, 2, 2), (1, SLICES, 2 * SLICES)])
def test_a_chunk_is_decompressed_once(tmp_path, kspace, kspace_reads, thick, once, twice):
    path = chunked(tmp_path / "v.h5", kspace, thick, compression="gzip", compression_opts=1, shuffle=True)
    assert_right(open_archive(path), kspace)
    assert len(kspace_reads) == once
    assert_right(open_archive(path), kspace)  # what a chunk has several slices of is still held, whoever reads
    assert len(kspace_reads) == twice


def test_plain_chunks_are_read_slice_by_slice(tmp_path, kspace, kspace_reads):
    assert_right(open_archive(chunked(tmp_path / "v.h5", kspace, SLICES)), kspace)
    assert len(kspace_reads) == SLICES


def test_what_is_kept_is_bounded_and_what_is_too_large_is_said(tmp_path, kspace, kspace_reads, monkeypatch):
    path = chunked(tmp_path / "v.h5", kspace, SLICES, compression="gzip")
    monkeypatch.setattr(slices, "KEPT", kspace.nbytes - 1)
    archive = open_archive(path)
    assert_right(archive, kspace)
    assert len(kspace_reads) == SLICES and "compressed chunks of 6 slices" in archive.headers[0].notes["storage"]
    monkeypatch.setattr(slices, "KEPT", 2 * kspace.nbytes)
    for number in range(4):
        assert_right(open_archive(chunked(tmp_path / f"{number}.h5", kspace, SLICES, compression="gzip")), kspace)
    assert sum(block.nbytes for block in slices._kept.values()) <= 2 * kspace.nbytes


def test_a_file_that_changed_is_read_again(tmp_path, kspace):
    path = chunked(tmp_path / "v.h5", kspace, SLICES, compression="gzip")
    assert_right(open_archive(path), kspace)
    assert_right(open_archive(chunked(path, 2 * kspace[:, ::-1], SLICES, compression="gzip")), 2 * kspace[:, ::-1])


def virtual(path, kspace, second):
    layout = h5py.VirtualLayout(kspace.shape, kspace.dtype)
    half = SLICES // 2
    layout[:half] = h5py.VirtualSource(path.parent / "plain.h5", "kspace", kspace.shape)[:half]
    layout[half:] = h5py.VirtualSource(path.parent / second, "kspace", kspace.shape)[half:]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("kspace", layout)
    return path


def test_virtual_datasets(tmp_path, kspace):
    fastmri(tmp_path / "plain.h5", kspace)
    assert_right(open_archive(virtual(tmp_path / "virt.h5", kspace, "plain.h5")), kspace)
    with pytest.raises(BadInput, match="nowhere.h5 is not there"):
        list(open_archive(virtual(tmp_path / "gone.h5", kspace, "nowhere.h5")))
