"""The files of a folder as one archive."""

import pickle

import pytest

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.folder import Folder
from ssrecon.core.errors import BadInput
from ssrecon.privacy.pseudonyms import pseudonym
from tests.archive.fastmri import test_fastmri
from tests.archive.mrd import test_ismrmrd
from tests.archive.mrd.lines import complex_noise
from tests.archive.siemens import twix


def test_folder_of_several_formats(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    write_fastmri(tmp_path / "train" / "vol.h5", complex_noise(2, 3, 16, 16), subject="someone")
    write_fastmri(tmp_path / "val" / "vol.h5", complex_noise(1, 5, 20, 16))
    test_ismrmrd.example(tmp_path)
    (tmp_path / "README.md").write_text("beside the data")
    (tmp_path / ".hidden.h5").write_text("left by an interrupted writer")
    archive = open_archive(tmp_path)
    assert isinstance(archive, Folder)
    assert [header.scan_id for header in archive.headers] == [
        "a/slice-000", "a/slice-001", "train/vol/slice-000", "train/vol/slice-001", "val/vol/slice-000",
    ]  # fmt: skip
    # A subject with a name is one person wherever their files lie; one that is only a volume's name is not.
    assert [header.subject for header in archive.headers] == ["a", "a", pseudonym("someone"), pseudonym("someone"), "val/vol"]
    scan = archive.read("val/vol/slice-000")
    assert scan.scan_id == "val/vol/slice-000" and scan.kspace.shape[2] == 5
    assert archive.skipped == {}


def test_one_bad_file_does_not_stop_a_folder(tmp_path):
    write_fastmri(tmp_path / "good.h5", complex_noise(1, 3, 16, 16))
    (tmp_path / "bad.h5").write_text("no")
    archive = open_archive(tmp_path)
    assert len(archive) == 1
    assert "not an HDF5 file" in archive.skipped["bad.h5"]
    assert "not read: bad.h5" in archive.describe()


def test_flat_folder_and_single_file_agree_on_ids(tmp_path):
    path = test_fastmri.example(tmp_path)
    assert open_archive(path).headers == open_archive(tmp_path).headers


def test_a_folder_passes_on_what_its_files_left_out(tmp_path):
    """A twix file of two measurements, of which one cannot be used."""
    (tmp_path / "inner").mkdir()
    kspace = complex_noise(2, 16, 16)
    made = [(twix.protocol((1, 16, 16), sKSpace__ucTrajectory=1 + (n == 1)), twix.lines(kspace, range(16))) for n in range(3)]
    twix.write(tmp_path / "inner" / "a.dat", *made)
    folder = open_archive(tmp_path)
    alone = open_archive(tmp_path / "inner" / "a.dat")
    assert len(folder) == len(alone) == 2 and len(alone.skipped) == 1
    assert dict(folder.skipped) == {f"inner/a.dat, {part}": reason for part, reason in alone.skipped.items()}
    assert "not read: inner/a.dat, measurement 1: found" in folder.describe()


def test_a_part_of_a_folder_holds_one_volume_and_reads_the_same(tmp_path):
    (tmp_path / "train").mkdir()
    for folder, slices in ((tmp_path, 1), (tmp_path / "train", 2)):
        write_fastmri(folder / "vol.h5", complex_noise(slices, 3, 16, 16))
    whole = open_archive(tmp_path)
    part = pickle.loads(pickle.dumps(whole.part("train/vol")))
    assert part.volumes() == {"train/vol": ("train/vol/slice-000", "train/vol/slice-001")} and part.skipped == {}
    assert part.files("train/vol") == whole.files("train/vol") == (tmp_path / "train" / "vol.h5",)
    for scan in part:
        assert scan.kspace.equal(whole.read(scan.scan_id).kspace)
        assert scan.header == whole.read(scan.scan_id).header and scan.header.draw_key == whole.read(scan.scan_id).header.draw_key
    # Sent to another process it may be divided further.
    assert pickle.loads(pickle.dumps(whole)).part("vol").volumes() == {"vol": ("vol/slice-000",)}
    with pytest.raises(BadInput, match="no scan 'vol/slice-000'"):
        part.read("vol/slice-000")
