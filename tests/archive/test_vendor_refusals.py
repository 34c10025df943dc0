"""GE and Philips raw data: recognised by what is in them, refused with the converter's name, and nothing of them repeated."""

import struct

import h5py
import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.vendor_refusals import refusal
from ssrecon.core.errors import BadInput
from tests.archive.mrd.lines import complex_noise

PATIENT = b"Doe^Jane 19700101"


def p_file(folder, logo=b"GE_MED_NMR", at=34):
    head = bytearray(struct.pack("<f", 24.0) + bytes(4096))
    head[at : at + len(logo)] = logo
    head[200 : 200 + len(PATIENT)] = PATIENT
    path = folder / "P12345.7"
    path.write_bytes(head)
    return path


def scan_archive(folder, name="anything.h5", group="DownloadMetaData"):
    path = folder / name
    with h5py.File(path, "w") as file:
        file.create_group(group)
    return path


def labels(folder, count=6, kind=0x7F01):
    rows = b"".join(struct.pack("<I10xH48x", 512, kind) for _ in range(count))
    (folder / "scan.lab").write_bytes(rows)
    (folder / "scan.raw").write_bytes(bytes(512) + b"\1" * 512)
    return folder / "scan.lab"


def sin(folder):
    path = folder / "other.sin"
    lines = (b"location_matrices : 1.0", b"nr_echoes : 1", b"max_encoding_numbers : 3 4")
    path.write_bytes(b"Patient name : " + PATIENT + b"".join(b"\n 01 00 00: " + line for line in lines))
    return path


def list_data(folder):
    (folder / "raw_001.list").write_bytes(
        b"# === DATA DESCRIPTION FILE ====\n# Patient: " + PATIENT + b"\n.    0    0    0  number_of_mixes   :     1\n"
        b"# === START OF DATA VECTOR INDEX ===\n  STD  0\n"
    )
    (folder / "raw_001.data").write_bytes(b"\2" * 999)
    return folder / "raw_001.list"


@pytest.mark.parametrize(
    ("write", "found", "expected"),
    [
        (p_file, "GE P-file", "ge_to_ismrmrd"),
        (lambda folder: p_file(folder, b"INVALIDNMR", at=92), "GE P-file", "Orchestra"),
        (scan_archive, "GE ScanArchive", "ge_to_ismrmrd"),
        (lambda folder: scan_archive(folder, "ScanArchive_1.h5", "unheard_of"), "GE ScanArchive", "ge_to_ismrmrd"),
        (labels, "Philips lab/raw/sin", "philips_to_ismrmrd"),
        (lambda folder: labels(folder).with_suffix(".raw"), "samples of a Philips lab/raw/sin", "philips_to_ismrmrd"),
        (sin, "Philips lab/raw/sin", "philips_to_ismrmrd"),
        (list_data, "Philips list/data", "MRecon"),
        (lambda folder: list_data(folder).with_suffix(".data"), "samples of a Philips list/data", "MRecon"),
    ],
)
def test_refused_with_its_converter(tmp_path, write, found, expected):
    path = write(tmp_path)
    with pytest.raises(BadInput) as caught:
        open_archive(path)
    assert caught.value.where == str(path) and found in caught.value.found and expected in caught.value.expected
    assert "Doe" not in str(caught.value) and "1970" not in str(caught.value)


def test_images_are_told_from_raw_data(tmp_path):
    path = tmp_path / "scan.par"
    path.write_text("# === DATA DESCRIPTION FILE ===\n# === IMAGE INFORMATION ===\n")
    with pytest.raises(BadInput, match="of images; expected k-space"):
        open_archive(path)


def test_a_name_is_not_enough(tmp_path):
    for name in ("P12345.7", "scan.lab", "scan.raw", "scan.data", "scan.list", "scan.sin"):
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(4096))
    (tmp_path / "empty.lab").touch()
    assert all(refusal(path) is None for path in [*tmp_path.iterdir(), tmp_path, tmp_path / "missing"])


def test_other_formats_are_not_refused(tmp_path):
    assert refusal(write_fastmri(tmp_path / "a.h5", complex_noise(1, 2, 8, 8))) is None


def test_in_a_folder_the_others_are_read(tmp_path):
    p_file(tmp_path)
    write_fastmri(tmp_path / "a.h5", complex_noise(1, 2, 8, 8))
    archive = open_archive(tmp_path)
    assert len(archive) == 1
    assert "ge_to_ismrmrd" in archive.skipped["P12345.7"]


def test_a_folder_of_nothing_else_says_why(tmp_path):
    labels(tmp_path)
    with pytest.raises(BadInput, match="philips_to_ismrmrd"):
        open_archive(tmp_path)
