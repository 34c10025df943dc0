"""Headers of lines from the bytes of their records: what HDF5 itself gives, without the samples."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.archive.hdf5_heap import check_heap, read_member
from tests.archive.mrd import lines as mrd

LINES, COILS, SAMPLES = 200, 4, 512


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A file of 3.3 MB, and its rows."""
    rng = np.random.default_rng(0)
    head = mrd.heads(LINES, COILS, SAMPLES, kspace_encode_step_1=np.arange(LINES))
    head["acquisition_time_stamp"] = rng.integers(0, 1 << 30, LINES)
    lines = rng.standard_normal((LINES, COILS, SAMPLES)).astype(np.complex64)
    path = mrd.write(tmp_path_factory.mktemp("heap") / "scan1.h5", mrd.header_xml((1, LINES, SAMPLES)), (head, lines))
    with h5py.File(path) as file:
        yield path, file["dataset/data"][:]


@pytest.mark.parametrize("chunks, compression", [(None, None), (1, None), (64, None), (1, "gzip"), (64, "gzip")])
@pytest.mark.parametrize("user_block", [0, 512])
def test_a_member_is_what_hdf5_gives(tmp_path, rows, chunks, user_block, compression):
    """Contiguous, a line a chunk as the standard's own library writes, and a last chunk that is not full."""
    # HDF5 compresses chunks only.
    with h5py.File(tmp_path / "scan.h5", "w", userblock_size=user_block) as file:
        more = {"chunks": (chunks,), "maxshape": (None,), "compression": compression} if chunks else {}
        file.create_dataset("data", data=rows[1], **more)
    with h5py.File(tmp_path / "scan.h5") as file:
        data = file["data"]
        check_heap(tmp_path / "scan.h5", data)
        found, expected = read_member(tmp_path / "scan.h5", data, "head"), data.fields("head")[:]
        assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
        assert np.array_equal(found["acquisition_time_stamp"], rows[1]["head"]["acquisition_time_stamp"])


def test_records_never_written_are_those_that_hdf5_fills_in(tmp_path, rows):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        data = file.create_dataset("data", (LINES + 70,), rows[1].dtype, chunks=(32,), maxshape=(None,))
        data[:LINES] = rows[1]
        file.create_dataset("none", (0,), rows[1].dtype, chunks=(32,), maxshape=(None,))
    with h5py.File(tmp_path / "scan.h5") as file:
        found = read_member(tmp_path / "scan.h5", file["data"], "head")
        assert np.array_equal(found["number_of_samples"], [SAMPLES] * LINES + [0] * 70)
        assert read_member(tmp_path / "scan.h5", file["none"], "head").shape == (0,)


def test_headers_are_had_without_the_samples(rows):
    """Of a file of 3.3 MB less than a fifth is read until the headers are there."""
    if not Path("/proc/self/io").exists():
        pytest.skip("bytes read are counted on Linux only")
    path = rows[0]
    assert len(open_archive(path).headers) == 1  # What is imported on the way is not counted.
    before = _bytes_read()
    assert len(open_archive(path).headers) == 1
    assert _bytes_read() - before < 0.2 * path.stat().st_size


def _bytes_read():
    """Bytes that this process has asked of files, those mapped into memory apart."""
    return int(Path("/proc/self/io").read_text().split()[1])
