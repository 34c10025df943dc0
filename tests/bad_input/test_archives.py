"""Every error names the file, what was found and what was expected."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.fastmri import FastMRI
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.mrd.ismrmrd import ISMRMRD
from ssrecon.core.errors import BadInput
from tests.archive.mrd import lines as mrd

COILS, Y, X = 3, 16, 20


def assert_refused(action, path, found: str, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        action()
    error = caught.value
    assert str(path) in error.where and found in error.found and expected in error.expected
    assert all(text in str(error) for text in (str(path), found, expected))


def volume(path, **options):
    return write_fastmri(path, mrd.complex_noise(2, COILS, Y, X), **options)


# Files of no known format


def test_not_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    path.write_text("DICM or something else")
    assert_refused(lambda: open_archive(path), path, "not an HDF5 file", "a fastMRI file")


def test_empty_file(tmp_path):
    path = tmp_path / "a.h5"
    path.touch()
    assert_refused(lambda: open_archive(path), path, "an empty file", "an ISMRMRD file")


def test_truncated(tmp_path):
    path = volume(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert_refused(lambda: open_archive(path), path, "truncated", "a fastMRI file")


def test_unknown_layout(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["pictures"] = np.zeros(3)
    assert_refused(lambda: open_archive(path), path, "unknown layout, with pictures", "kspace")


def test_empty_folder(tmp_path):
    assert_refused(lambda: open_archive(tmp_path), tmp_path, "no scan", "a fastMRI file")


def test_folder_of_bad_files_gives_the_reasons(tmp_path):
    (tmp_path / "a.h5").write_text("no")
    assert_refused(lambda: open_archive(tmp_path), tmp_path, "a.h5: found not an HDF5 file", "a fastMRI file")


def test_two_files_of_one_name(tmp_path):
    volume(tmp_path / "a.h5")
    volume(tmp_path / "a.hdf5")
    assert_refused(lambda: open_archive(tmp_path), tmp_path / "a.hdf5", "which is also in", "different names")


# fastMRI


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fastmri_non_finite(tmp_path, value):
    path = volume(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["kspace"][1, 0, 3, 4] = value
    archive = open_archive(path)
    archive.read("a/slice-000")
    assert_refused(lambda: archive.read("a/slice-001"), path, "1 acquired samples of a/slice-001 that are not finite", "finite")


def put(path, name, value):
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        file[name] = value
    return path


def test_fastmri_mask_that_samples_nothing(tmp_path):
    path = put(volume(tmp_path / "a.h5"), "mask", np.zeros(Y, np.float32))
    assert_refused(lambda: open_archive(path).headers, path, "samples nothing", "at least one")


@pytest.mark.parametrize("shape", [(Y + 1,), (Y, X), (2, X, Y)])
def test_fastmri_mask_of_the_wrong_shape(tmp_path, shape):
    path = put(volume(tmp_path / "a.h5"), "mask", np.ones(shape, bool))
    assert_refused(lambda: open_archive(path).headers, path, f"a mask of shape {shape}", f"({Y},) or ({X}, {Y})")


def test_fastmri_header_that_is_no_xml(tmp_path):
    path = put(volume(tmp_path / "a.h5"), "ismrmrd_header", "<open")
    assert_refused(lambda: open_archive(path).headers, path, "no XML", "ISMRMRD header")


def test_fastmri_noise_of_other_coils(tmp_path):
    path = put(volume(tmp_path / "a.h5"), "noise", mrd.complex_noise(4, COILS + 1, 8))
    assert_refused(lambda: FastMRI(path).read("a/slice-000"), path, "noise (4, 4, 8)", f"{COILS} coils")


def test_fastmri_truth_of_another_shape(tmp_path):
    path = put(volume(tmp_path / "a.h5"), "truth", mrd.complex_noise(2, COILS, X, Y + 1))
    assert_refused(lambda: FastMRI(path).headers, path, "truth", "the shape of kspace")


def test_fastmri_writer_refuses_and_keeps_what_is_there(tmp_path):
    path = volume(tmp_path / "a.h5")
    before = path.read_bytes()
    assert_refused(lambda: volume(path, mask=torch.ones(Y + 2, dtype=torch.bool)), path, "shape (18,) of bool", "phase = 16")
    assert_refused(
        lambda: volume(path, truth=np.zeros((1, 2, 3, 4))), path, "shape (1, 2, 3, 4)", "slices = 2, coils = 3, phase = 16, readout = 20"
    )
    assert_refused(lambda: write_fastmri(path, np.zeros((3, 4))), path, "shape (3, 4)", "(slices coils phase readout)")
    assert path.read_bytes() == before


# ISMRMRD


def acquisitions(tmp_path, xml=None, rows=None, samples=X, kspace=None, **fields):
    rows = np.arange(Y) if rows is None else np.asarray(rows)
    header = mrd.heads(len(rows), COILS, samples, kspace_encode_step_1=rows, **fields)
    lines = mrd.complex_noise(len(rows), COILS, samples) if kspace is None else kspace
    return mrd.write(tmp_path / "a.h5", xml or mrd.header_xml((1, Y, X)), (header, lines))


def assert_file_refused(path, found, expected):
    assert_refused(lambda: list(ISMRMRD(path)), path, found, expected)


def test_mrd_non_finite(tmp_path):
    lines = mrd.complex_noise(Y, COILS, X)
    lines[3, 1, 2] = np.nan
    assert_file_refused(acquisitions(tmp_path, kspace=lines), "1 lines of a/slice-000 with samples that are not finite", "finite")


def test_mrd_lines_beyond_the_matrix(tmp_path):
    assert_file_refused(acquisitions(tmp_path, rows=[0, Y + 1, Y + 2]), "lines at 0 to 18 along encoding step 1", "0 to 15")


def test_mrd_centre_that_pushes_lines_out(tmp_path):
    assert_file_refused(acquisitions(tmp_path, xml=mrd.header_xml((1, Y, X), centre=0)), "lines at 8 to 23", "0 to 15")


def test_mrd_duplicate_lines(tmp_path):
    path = acquisitions(tmp_path, rows=[0, 1, 2, 2, 5])
    assert_file_refused(path, "1 lines acquired more than once, first slice 0, frame 0, steps (0, 2)", "averages or repetitions")


def test_mrd_coils_that_differ(tmp_path):
    parts = [(mrd.heads(2, c, X, kspace_encode_step_1=[2 * c, 2 * c + 1]), mrd.complex_noise(2, c, X)) for c in (3, 4)]
    assert_file_refused(mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, X)), *parts), "acquisitions of 3 and 4 coils", "one number")


def test_mrd_line_that_is_not_as_long_as_its_header_says(tmp_path):
    assert_file_refused(acquisitions(tmp_path, kspace=mrd.complex_noise(Y, COILS, X - 1)), "a line of 114 numbers", "2 x 3 coils x 20")


def test_mrd_only_noise(tmp_path):
    assert_file_refused(acquisitions(tmp_path, flags=mrd.flag(mrd.NOISE)), "16 acquisitions, none of which is an imaging", "imaging lines")


def test_mrd_reversed_lines(tmp_path):
    flags = np.zeros(Y, np.uint64)
    flags[1::2] = mrd.flag(mrd.REVERSE)
    assert_file_refused(acquisitions(tmp_path, flags=flags), "8 reversed lines", "one direction")


def test_mrd_compressed(tmp_path):
    assert_file_refused(acquisitions(tmp_path, flags=mrd.flag(mrd.COMPRESSED)), "16 lines of compressed samples", "plain")


@pytest.mark.parametrize("trajectory", ["radial", "spiral", "epi"])
def test_mrd_other_trajectories(tmp_path, trajectory):
    path = acquisitions(tmp_path, xml=mrd.header_xml((1, Y, X), trajectory=trajectory))
    assert_file_refused(path, f"a trajectory that is {trajectory}", "Cartesian")


def test_mrd_encoding_that_the_header_lacks(tmp_path):
    assert_file_refused(acquisitions(tmp_path, encoding_space_ref=1), "encodings [1]", "header's 1")


def test_mrd_readouts_too_long(tmp_path):
    assert_file_refused(acquisitions(tmp_path, samples=X + 2), f"16 of 16 readouts of up to {X + 2} samples", f"encoded matrix, {X}")


def test_mrd_echo_that_does_not_fit(tmp_path):
    assert_file_refused(acquisitions(tmp_path, samples=X - 4, center_sample=2), "echo at 2", "within the encoded 20")


def test_mrd_header_without_encoding(tmp_path):
    path = acquisitions(tmp_path, xml="<ismrmrdHeader/>")
    assert_file_refused(path, "without an encoding", "ISMRMRD header")
