"""Faults that damaged files brought to light, each with the file that shows it."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.core.errors import BadInput
from tests.archive import test_bart, test_cmrxrecon, test_m4raw, test_skm_tea
from tests.archive.fastmri import test_fastmri, test_prostate
from tests.archive.mrd import test_ismrmrd
from tests.archive.plain import test_plain
from tests.simulation import test_complex_images


def assert_refused(path, found):
    with pytest.raises(BadInput) as error:
        list(open_archive(path))
    assert found in error.value.found and path.name in str(error.value)


def replaced(path, name, **made):
    with h5py.File(path, "r+") as file:
        attrs = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, **made).attrs.update(attrs)
    return path


@pytest.mark.parametrize("module", [test_fastmri, test_prostate, test_plain, test_skm_tea])
def test_samples_that_were_never_written_are_no_zeros(tmp_path, module):
    path = module.example(tmp_path)
    with h5py.File(path) as file:
        data = file["kspace"][()]
    replaced(path, "kspace", shape=data.shape, dtype=data.dtype, chunks=(1, *data.shape[1:]))
    with h5py.File(path, "r+") as file:
        file["kspace"][: len(data) // 2 + 1] = data[: len(data) // 2 + 1]
    assert_refused(path, "were written")


def test_absurd_sizes_cost_nothing(tmp_path):
    path = replaced(test_complex_images.example(tmp_path), "image", shape=(1 << 20, 1 << 20, 20), dtype="c8", chunks=(1, 1, 20))
    assert_refused(path, "of which 0 bytes were written")


def test_a_header_that_is_no_text(tmp_path):
    path = replaced(test_fastmri.example(tmp_path), "ismrmrd_header", data=h5py.Empty("f4"))
    assert_refused(path, "no text")


def test_images_that_are_not_finite_name_their_file(tmp_path):
    path = test_complex_images.example(tmp_path)
    with h5py.File(path, "r+") as file:
        file["image"][1, 2, 3] = np.nan
    assert_refused(path, "1 values that are not finite")


def test_skm_tea_s_middle_slice_is_not_finite(tmp_path):
    path = test_skm_tea.example(tmp_path)
    with h5py.File(path, "r+") as file:
        file["kspace"][len(file["kspace"]) // 2, 3, 3, 0, 0] = np.inf
    assert_refused(path, "the middle slice with 1 values")


def test_numbers_of_a_file_that_cannot_be(tmp_path):
    path = test_fastmri.example(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["max"] = np.inf
    header = open_archive(path).headers[0]
    assert header.volume_max is None and "not used" in header.notes["max"]
    with h5py.File(path, "r+") as file:
        file.attrs["noise_bandwidth_ratio"] = "many"
    assert_refused(path, "noise_bandwidth_ratio 'many'")


@pytest.mark.parametrize("new", ["9223372036854775808", "1e300", "inf", "nan", "-3"])
def test_matrices_that_cannot_be(tmp_path, new):
    path = test_ismrmrd.example(tmp_path)
    with h5py.File(path, "r+") as file:
        text = file["dataset/xml"][0].decode()
        del file["dataset/xml"]
        before, after = text.split("<reconSpace><matrixSize><x>", 1)
        changed = f"{before}<reconSpace><matrixSize><x>{new}{after[after.index('<') :]}"
        file["dataset"].create_dataset("xml", data=np.array([changed.encode()], dtype=object), dtype=h5py.string_dtype())
    assert_refused(path, "cannot be")


def test_acquisitions_without_a_field_of_their_header(tmp_path):
    path = test_ismrmrd.example(tmp_path)
    data = path.read_bytes()
    assert data.count(b"center_sample") == 1
    path.write_bytes(data.replace(b"center_sample", b"centre_sample"))
    assert_refused(path, "acquisitions without center_sample")


@pytest.mark.parametrize("module", [test_ismrmrd, test_fastmri])
def test_objects_of_no_length_do_not_hang(tmp_path, module):
    """The library takes free space of no length for one object more, for ever."""
    path = module.example(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(b"GCOL")
    while place >= 0:
        data[place + 16 : place + 32] = bytes(16)
        place = data.find(b"GCOL", place + 16)
    path.write_bytes(bytes(data))
    assert_refused(path, "an object of 0 bytes")


def test_bart_s_samples_that_no_comparison_takes(tmp_path):
    """Signalling NaN: comparing with it warns, and warnings are errors here."""
    path = test_bart.example(tmp_path)
    samples = np.fromfile(path.with_suffix(".cfl"), np.uint32)
    samples[:64] = 0x7F800001
    samples.tofile(path.with_suffix(".cfl"))
    assert_refused(path, "not finite")


def test_a_name_that_is_no_text(tmp_path):
    """HDF5 gives such names as bytes, with which no text can be compared."""
    path = test_cmrxrecon.example(tmp_path)
    with h5py.File(path, "r+") as file:
        file[b"\xff\xfe"] = 1.0
    assert len(list(open_archive(path))) == len(open_archive(path)) > 0
    other = test_fastmri.example(tmp_path)
    with h5py.File(other, "r+") as file:
        file.move("kspace", b"kspac\xff")
    with pytest.raises(BadInput, match="v.h5"):
        open_archive(other)


def test_columns_of_the_prostate_that_are_partly_zero(tmp_path):
    """Acquired columns are told from zeros: a few numbers that damage put into the zeros do not make a column acquired."""
    path = test_prostate.example(tmp_path)
    with h5py.File(path, "r+") as file:
        kspace = file["kspace"][()]
        empty = int(np.flatnonzero(~(kspace[0, kspace.shape[1] // 2] != 0).any(axis=(0, 1)))[0])
        file["kspace"][0, kspace.shape[1] // 2, 0, 5, empty] = 1.0
    assert_refused(path, "1 columns of which fewer than half")


def test_fastmri_s_columns_outside_the_limits_with_values_that_no_comparison_takes(tmp_path):
    path = test_fastmri.example(tmp_path)
    with h5py.File(path, "r+") as file:
        kspace = file["kspace"][()]
        kspace[len(kspace) // 2, 0, 0, :1].view(np.uint32)[:] = 0x7F800001
        file["kspace"][...] = kspace
    assert "not used" in open_archive(path).headers[0].notes["encoding limits"]


def test_a_readout_of_which_nothing_is_kept_and_a_header_that_is_not_there(tmp_path):
    path = test_ismrmrd.example(tmp_path)
    with h5py.File(path, "r+") as file:
        before, after = file["dataset/xml"][0].decode().split("<reconSpace>", 1)
        start = after.index("<fieldOfView_mm><x>") + len("<fieldOfView_mm><x>")
        text = f"{before}<reconSpace>{after[:start]}1e-30{after[after.index('<', start) :]}"
    replaced(path, "dataset/xml", data=np.array([text.encode()], dtype=object), dtype=h5py.string_dtype())
    assert_refused(path, "a field of view 1e-30")
    replaced(path, "dataset/xml", shape=(0,), dtype=h5py.string_dtype())
    assert_refused(path, "a header that is no text")


def test_images_too_large_to_be_simulated(tmp_path):
    path = test_complex_images.example(tmp_path)
    with h5py.File(path, "r+") as file:
        file["image"][1] = 3e38
    assert_refused(path, "not finite")


@pytest.mark.parametrize("module", [test_ismrmrd, test_fastmri, test_prostate, test_m4raw])
def test_a_user_block_in_front_is_no_damage(tmp_path, module):
    path = module.example(tmp_path)
    before = list(open_archive(path))
    moved = tmp_path / "moved"
    with h5py.File(path) as old, h5py.File(moved, "w", userblock_size=1024) as new:
        for key in old:
            old.copy(key, new)
        new.attrs.update(old.attrs)
    moved.replace(path)
    for scan, read in zip(before, open_archive(path), strict=True):
        assert torch.equal(scan.kspace, read.kspace) and torch.equal(scan.mask, read.mask)


def test_noise_readouts_of_compressed_samples(tmp_path):
    path = test_ismrmrd.example(tmp_path)
    with h5py.File(path, "r+") as file:
        rows = file["dataset/data"][()]
        rows["head"]["flags"][3] = 2**64 - 1
        file["dataset/data"][...] = rows
    assert_refused(path, "1 lines of compressed samples")


def test_repetitions_of_different_sizes(tmp_path):
    path = test_m4raw.example(tmp_path)
    other = next(file for file in path.parent.iterdir() if file != path)
    with h5py.File(other, "r+") as file:
        text = file["ismrmrd_header"].asstr()[()]
        wider = text.replace("<reconSpace>", "<reconSpace>", 1)
        start = wider.index("<encodedSpace>")
        x = wider.index("<x>", wider.index("<fieldOfView_mm>", start)) + 3
        wider = wider[:x] + "255" + wider[wider.index("</x>", x) :]
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = wider
    assert_refused(path, "repetitions of")


def test_a_type_that_numpy_does_not_have(tmp_path):
    path = test_plain.example(tmp_path)
    with h5py.File(path, "r+") as file:
        kind = h5py.h5t.UNIX_D32LE
        h5py.h5a.create(file.id, b"odd", kind, h5py.h5s.create(h5py.h5s.SCALAR))
        del file.attrs["protocol"]
        h5py.h5a.create(file.id, b"protocol", kind, h5py.h5s.create(h5py.h5s.SCALAR))
    with pytest.raises(BadInput) as error:
        list(open_archive(path))
    assert path.name in str(error.value)


def test_a_mask_of_other_bytes_than_0_and_1(tmp_path):
    path = test_plain.example(tmp_path)
    with h5py.File(path) as file:
        place = file["mask"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[place : place + 4] = b"\x57\x01\x00\x01"
    path.write_bytes(data)
    assert_refused(path, "a mask with a byte of 87")


def test_noise_that_is_not_complex(tmp_path):
    path = test_plain.example(tmp_path)
    with h5py.File(path, "r+") as file:
        shape = file["noise"].shape
        attrs = dict(file["noise"].attrs)
        del file["noise"]
        file.create_dataset("noise", data=np.ones(shape, np.int64)).attrs.update(attrs)
    assert_refused(path, "noise of type int64")
