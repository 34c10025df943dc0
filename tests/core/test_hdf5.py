"""HDF5 files that are locked, unfinished, or made of other files: the true reason, and never zeros in place of what is missing."""

import errno
import os

import h5py
import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.core.errors import BadInput
from ssrecon.core.hdf5 import CannotOpen, attribute, element, opened, sources_of, stored, unreadable
from ssrecon.privacy.pseudonyms import own_words, safe_reason
from ssrecon.store import Store, prepare
from tests.archive import test_cmrxrecon, test_skm_tea
from tests.archive.fastmri import test_fastmri, test_prostate
from tests.archive.mrd import test_ismrmrd
from tests.archive.plain import test_plain
from tests.simulation import test_complex_images

MODULES = [test_fastmri, test_prostate, test_plain, test_skm_tea, test_cmrxrecon, test_ismrmrd, test_complex_images]
LOCKED = "Unable to synchronously open file (unable to lock file, errno = 11, error message = 'Resource temporarily unavailable')"


def refused(action, kind=BadInput) -> BadInput:
    with pytest.raises(kind) as caught:
        action()
    return caught.value


def locked(monkeypatch, message=LOCKED, code=errno.EAGAIN):
    """As if another process held the lock, which HDF5 does not notice of its own process."""

    def file(path, *_, **__):
        raise OSError(code, message)

    monkeypatch.setattr(h5py, "File", file)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition("_")[2])
def test_a_locked_file_is_called_locked(tmp_path, monkeypatch, module):
    path = module.example(tmp_path)
    with monkeypatch.context() as patch:
        locked(patch)
        error = refused(lambda: open_archive(path), CannotOpen)
    assert str(path) == error.where and "a locked file" in error.found and "damaged" not in str(error)
    # What is written for other eyes still says so.
    for text in (error.found, error.expected):
        assert "…" not in safe_reason(text, path)
    assert len(open_archive(path)) > 0


def test_a_locked_volume_of_a_store_is_called_locked(tmp_path, monkeypatch):
    archive = open_archive(test_cmrxrecon.example(tmp_path))
    store = prepare(archive, tmp_path / "store", Calibrator())
    locked(monkeypatch)
    scan_id = store.headers[0].scan_id
    for action in (lambda: store.load(scan_id), lambda: store.has_reference(scan_id)):
        assert "a locked file" in refused(action, CannotOpen).found
    for catalogue in (tmp_path / "store").rglob("*.sqlite"):
        catalogue.unlink()
    assert "a locked file" in refused(lambda: Store(tmp_path / "store"), CannotOpen).found
    # It is not taken for somebody else's file, nor for none.
    assert "a locked file" in refused(lambda: prepare(archive, tmp_path / "store", Calibrator()), CannotOpen).found


@pytest.mark.parametrize(
    ("message", "code", "found"),
    [
        ("(unable to lock file, errno = 38, error message = 'Function not implemented')", errno.ENOSYS, "cannot lock files"),
        ("(file is already open for write (may use <h5clear file> to clear file consistency flags))", None, "was left so by a program"),
        ("(unable to open file: name = 'Doe.h5', errno = 13, error message = 'Permission denied')", errno.EACCES, "Permission denied"),
        ("Can't synchronously read data (required filter is not registered)", None, "a filter that is not installed"),
        ("(truncated file: eof = 96, sblock->base_addr = 0, stored_eof = 2048)", None, "truncated or damaged"),
    ],
)
def test_other_reasons(message, code, found):
    error = unreadable("x.h5", OSError(message) if code is None else OSError(code, message), "a file")
    assert found in error.found and "Doe" not in str(error)
    assert "…" not in own_words(error.found)
    assert isinstance(error, CannotOpen) is ("truncated" not in message)


def virtual(path, data, sources):
    """A virtual `kspace` whose slices come from `sources`, one file each."""
    for number, source in enumerate(sources):
        with h5py.File(path.parent / source, "w") as file:
            file["part"] = data[number : number + 1]
    layout = h5py.VirtualLayout(data.shape, data.dtype)
    for number, source in enumerate(sources):
        layout[number] = h5py.VirtualSource(source, "part", (1, *data.shape[1:]))[0]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("kspace", layout)
    return path


def kspace(slices=2):
    generator = np.random.default_rng(0)
    return (generator.standard_normal((slices, 3, 20, 16)) + 1j * generator.standard_normal((slices, 3, 20, 16))).astype(np.complex64)


def test_a_virtual_dataset_is_read_where_its_sources_are_there(tmp_path):
    data = kspace()
    archive = open_archive(virtual(tmp_path / "v.h5", data, ["one.raw", "two.raw"]))
    for scan, whole in zip(archive, data, strict=True):
        assert np.array_equal(scan.kspace[0, 0].numpy(), whole.swapaxes(-1, -2))


def test_sources_are_files_of_the_archive(tmp_path):
    """What they hold is in the fingerprint of a volume, as what any other of its files holds."""
    path = virtual(tmp_path / "v.h5", kspace(), ["one.raw", "two.raw"])
    archive = open_archive(path)
    (volume,) = archive.volumes()
    assert archive.files(volume) == tuple(tmp_path / name for name in ("one.raw", "two.raw", "v.h5"))
    before = archive.content(volume)
    with h5py.File(tmp_path / "two.raw", "r+") as file:
        file["part"][0, 0, 0, 0] = 7
    assert open_archive(path).content(volume) != before
    assert sources_of(tmp_path / "one.raw") == sources_of(tmp_path / "none") == frozenset()


@pytest.mark.parametrize("what", ["gone", "emptied", "short"])
def test_a_missing_source_is_named_and_no_zeros(tmp_path, what):
    path = virtual(tmp_path / "v.h5", kspace(), ["one.raw", "two.raw"])
    source = tmp_path / "two.raw"
    if what == "gone":
        source.unlink()
    elif what == "emptied":
        with h5py.File(source, "a") as file:
            del file["part"]
    else:
        with h5py.File(source, "w") as file:
            file.create_dataset("part", (1, 3, 20, 16), np.complex64, chunks=(1, 1, 20, 16))
    error = refused(lambda: open_archive(path).headers)
    assert "two.raw" in str(error)
    assert {"gone": "is not there", "emptied": "has no part", "short": "0 bytes were written"}[what] in error.found


def test_virtual_datasets_of_one_file_and_in_a_circle(tmp_path):
    data = kspace()
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["part"] = data
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[:] = h5py.VirtualSource(".", "part", data.shape)[:]
        file.create_virtual_dataset("kspace", layout)
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[:] = h5py.VirtualSource(".", "circle", data.shape)[:]
        file.create_virtual_dataset("circle", layout)
    with opened(tmp_path / "v.h5", "") as file:
        assert np.array_equal(stored(file["kspace"], tmp_path / "v.h5")[()], data)
        stored(file["circle"], tmp_path / "v.h5")  # HDF5 reads what it reads; looking ends


def laid(path, shape, *parts):
    """A virtual `kspace` of which these parts are mapped to the same parts of a source of the same shape."""
    layout = h5py.VirtualLayout(shape, np.complex64)
    for part in parts:
        layout[part] = h5py.VirtualSource("part.raw", "part", shape)[part]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("kspace", layout)
    return path


@pytest.mark.parametrize("parts", [[np.s_[:, :2]], [np.s_[[0, 2]], np.s_[1, :2]], [np.s_[0], np.s_[0]], [np.s_[:, :, ::2], np.s_[:2]]])
def test_what_is_mapped_to_nothing_is_no_zeros(tmp_path, parts):
    """Coils without a source would pass for dead ones. Values that are mapped twice count once."""
    data, mapped = kspace(3), np.zeros((3, 3, 20, 16), bool)
    for part in parts:
        mapped[part] = True
    with h5py.File(tmp_path / "part.raw", "w") as file:
        file["part"] = data
    path = laid(tmp_path / "v.h5", data.shape, *parts)
    error = refused(lambda: open_archive(path).headers)
    assert error.where.endswith("v.h5") and "kspace" in error.found and error.expected == "sources for all of it"
    assert f"{(~mapped).sum()} of {mapped.size} values" in error.found


def test_parts_that_make_up_the_whole(tmp_path):
    data = kspace(3)
    with h5py.File(tmp_path / "part.raw", "w") as file:
        file["part"] = data
    path = laid(tmp_path / "v.h5", data.shape, np.s_[[0, 2]], np.s_[1, :2], np.s_[:, 1:])
    with opened(path, "") as file:
        assert np.array_equal(stored(file["kspace"], path)[()], data)


def patterned(path, pattern, coils):
    """A virtual `kspace` that grows by a slice with each file of the pattern; its last coil grows with another's, ``last%b.raw``."""
    shape, greatest = (1, coils, 20, 16), (h5py.h5s.UNLIMITED, coils, 20, 16)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    for name, first, number in ((pattern, 0, coils - 1), (b"last%b.raw", coils - 1, 1)):
        space, block = h5py.h5s.create_simple(shape, greatest), (1, number, 20, 16)
        space.select_hyperslab((0, first, 0, 0), (h5py.h5s.UNLIMITED, 1, 1, 1), (1, 1, 1, 1), block)
        creation.set_virtual(space, name, b"part", h5py.h5s.create_simple(block))
    with h5py.File(path, "w") as file:
        kind = h5py.h5t.py_create(np.dtype(np.complex64))
        h5py.h5d.create(file.id, b"kspace", kind, h5py.h5s.create_simple(shape, greatest), creation)
    return path


def test_every_file_of_a_pattern_is_there(tmp_path):
    data = kspace(2)
    for number in range(2):
        for name, part in ((f"100%-{number}.raw", data[number : number + 1, :2]), (f"last{number}.raw", data[number : number + 1, 2:])):
            with h5py.File(tmp_path / name, "w") as file:
                file["part"] = part
    path = patterned(tmp_path / "v.h5", b"100%%-%b.raw", 3)
    with opened(path, "") as file:
        assert np.array_equal(stored(file["kspace"], path)[()], data)
    assert {place.name for place in sources_of(path)} == {"100%-0.raw", "100%-1.raw", "last0.raw", "last1.raw"}
    os.remove(tmp_path / "100%-1.raw")
    assert "100%-1.raw is not there" in refused(lambda: open_archive(path).headers).found


def test_a_source_of_too_few_values(tmp_path):
    with h5py.File(tmp_path / "part.raw", "w") as file:
        file["part"] = kspace(2)
    path = laid(tmp_path / "v.h5", (3, 3, 20, 16), np.s_[:])
    assert "part.raw has part of shape (2, 3, 20, 16)" in refused(lambda: open_archive(path).headers).found


def test_what_a_link_leads_to_names_its_files_from_where_it_lies(tmp_path, monkeypatch):
    """As HDF5 does: not from the file that the link is in, whatever lies beside that one, or where the process runs."""
    monkeypatch.chdir(tmp_path)
    data, deep, path = kspace(), tmp_path / "deep", tmp_path / "v.h5"
    deep.mkdir()
    virtual(deep / "w.h5", data, ["one.raw", "two.raw"])
    (tmp_path / "one.raw").write_text("another file")
    with h5py.File(path, "w") as file:
        file["kspace"] = h5py.ExternalLink("deep/w.h5", "kspace")
    assert np.array_equal(next(iter(open_archive(path))).kspace[0, 0].numpy(), data[0].swapaxes(-1, -2))
    assert sources_of(path) == {deep / "one.raw", deep / "two.raw"}
    (deep / "one.raw").unlink()
    assert "one.raw" in str(refused(lambda: open_archive(path).headers))


def test_values_in_a_raw_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = kspace()
    data.tofile("values.raw")
    with h5py.File("v.h5", "w") as file:
        file.create_dataset("kspace", data.shape, data.dtype, external=[("values.raw", 0, h5py.h5f.UNLIMITED)])
    assert np.array_equal(next(iter(open_archive("v.h5"))).kspace[0, 0].numpy(), data[0].swapaxes(-1, -2))
    os.truncate("values.raw", data.nbytes // 2)
    assert f"values.raw, which has {data.nbytes // 2} bytes" in refused(lambda: open_archive("v.h5").headers).found
    os.remove("values.raw")
    assert "values.raw, which is not there" in refused(lambda: open_archive("v.h5").headers).found


def test_a_link_to_a_file_that_is_gone(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["kspace"] = h5py.ExternalLink("gone.h5", "kspace")
    assert "kspace, a link to kspace in the file gone.h5, which is not there" in refused(lambda: open_archive(tmp_path / "v.h5")).found


TEXTS = ["text", b"text", np.bytes_("text"), np.array([b"text"]), np.array(["text"], object), np.array([[b"text"]])]


@pytest.mark.parametrize("value", TEXTS)
def test_one_element_is_that_element(tmp_path, value):
    assert element(value) == "text"
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["name"] = value
        assert attribute(file, "name") == "text"


def test_elements_that_are_no_text():
    assert element(np.array([1.5])) == 1.5
    assert element(np.array([1, 2])).tolist() == [1, 2]
