"""What a file still bears is found in every place where it can be written, and only there."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.archive.plain import write_plain
from ssrecon.archive.siemens.protocol import identity_of_protocol
from ssrecon.privacy.identifying import identity_of
from ssrecon.privacy.identifying_text import is_known, may_identify
from ssrecon.simulation import PhantomArchive
from tests.archive.siemens import test_siemens

NAME = "Musterfrau"
RECORD = [("a", "S20"), ("b", "i4")]


def a_compound(file):
    file.create_dataset("data", (1,), dtype=np.dtype([("a", h5py.string_dtype()), ("b", "i4")]))[0] = (NAME, 1)


def a_source(file):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(f"{NAME}.h5", "x", shape=(3,))
    file.create_virtual_dataset("data", layout)


PLACES = {
    "group": lambda file: file.create_group(NAME),
    "data set": lambda file: file.__setitem__(NAME, np.zeros(3)),
    "group inside": lambda file: file.create_group(f"data/{NAME}"),
    "attribute's name": lambda file: file.attrs.__setitem__(NAME, 1),
    "attribute": lambda file: file["kspace"].attrs.__setitem__("data", NAME),
    "name of a link": lambda file: file.__setitem__(NAME, h5py.SoftLink("/kspace")),
    "target of a link": lambda file: file.__setitem__("data", h5py.SoftLink(f"/{NAME}")),
    "link to a file": lambda file: file.__setitem__("data", h5py.ExternalLink(f"/data/{NAME}.h5", "/")),
    "second name": lambda file: file.__setitem__(NAME, file["kspace"]),
    "record": lambda file: file.create_dataset("data", data=np.array([(NAME.encode(), 1)], RECORD)),
    "record of texts": a_compound,
    "record in an attribute": lambda file: file.attrs.__setitem__("data", np.array([(NAME.encode(), 1)], RECORD)),
    "bytes": lambda file: file.__setitem__("data", np.frombuffer(NAME.encode(), np.uint8)),
    "text among bytes": lambda file: file.__setitem__("data", np.frombuffer(b"\1\2\xff" + NAME.encode() + b"\3", np.uint8)),
    "MATLAB's characters": lambda file: file.__setitem__("data", np.frombuffer(NAME.encode("utf-16-le"), np.uint16)[:, None]),
    "characters": lambda file: file.attrs.__setitem__("data", np.frombuffer(NAME.encode("utf-32-le"), np.int32)),
    "opaque": lambda file: file.__setitem__("data", np.void(NAME.encode())),
    "opaque attribute": lambda file: file.attrs.__setitem__("data", np.void(NAME.encode())),
    "last of many texts": lambda file: file.__setitem__("data", np.array([b"0"] * 10_001 + [NAME.encode()])),
    "list of bytes": lambda file: file.create_dataset("data", (1,), h5py.vlen_dtype(np.uint8)).__setitem__(0, list(NAME.encode())),
    "date": lambda file: file.attrs.__setitem__("value", "1947-03-12"),
    "date as a number": lambda file: file.attrs.__setitem__("value", 19470312),
    "date as a decimal": lambda file: file.attrs.__setitem__("value", 19470312.0),
    "UID": lambda file: file.attrs.__setitem__("value", "1.2.840.113619.2.55"),
    "accession number": lambda file: file.attrs.__setitem__("value", "8812345"),
    "date in a data set": lambda file: file.__setitem__("StudyDate", 19470312),
    "patient": lambda file: file.attrs.__setitem__("PatientID", 4711),
    "initials": lambda file: file.attrs.__setitem__("data", "E.M."),
    "comment": lambda file: h5py.h5o.set_comment(file.id, NAME.encode()),
    "comment of a data set": lambda file: h5py.h5o.set_comment(file["kspace"].id, NAME.encode()),
    "words for numbers": lambda file: file.create_dataset("data", (1,), h5py.enum_dtype({NAME: 1, "b": 2}, "i")),
    "type": lambda file: file.__setitem__(NAME, np.dtype("f8")),
    "label of a dimension": lambda file: setattr(file["kspace"].dims[0], "label", NAME),
    "source of a view": a_source,
}


@pytest.fixture
def file(tmp_path):
    return write_plain(tmp_path / "phantom1.h5", list(PhantomArchive(subjects=1, slices=1, matrix=(32, 32), coils=2))[:1])


def test_nothing_is_found_where_nothing_is(file):
    """Samples, their noise and sensitivities, and whatever numbers measure, are no text."""
    with h5py.File(file, "a") as opened:
        opened.attrs["max"], opened.attrs["frequency"], opened.attrs["value"] = 123456.0, 123194000, [0.5, 1e-12, 300]
        opened["maps"], opened["data/lines"] = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), np.arange(9)
        opened["header"] = "T1 axial 2 mm, 320x320"[:2]
    assert identity_of(file) == ()


@pytest.mark.parametrize("place", PLACES)
def test_it_is_found(place, file):
    with h5py.File(file, "a") as opened:
        PLACES[place](opened)
    found = identity_of(file)
    assert found and not any(text in str(found) for text in (NAME, "1947", "8812345", "113619", "4711"))


def test_a_raw_file_beside_it_is_named_by_its_name(file, tmp_path):
    with h5py.File(file, "a") as opened:
        opened.create_dataset("data", (3,), "f4", external=[(str(tmp_path / f"{NAME}.raw"), 0, 12)])
    assert identity_of(file) == ("data: the name of the file that holds it",)


def test_a_folder_may_bear_it_too(file, tmp_path):
    inside = tmp_path / "archive" / f"{NAME} 1947"
    inside.mkdir(parents=True)
    shutil.copy(file, inside)
    shutil.copy(file, tmp_path / "archive" / "phantom2.h5")
    archive = open_archive(tmp_path / "archive", require_deidentified=True)
    assert [header.volume_id for header in archive.headers] == ["phantom2"]
    assert all("the name of its folder" in reason for reason in archive.skipped.values()) and len(archive.skipped) == 1


def test_names_before_a_twix_measurement(tmp_path):
    path = Path(test_siemens.example(tmp_path))
    data = path.read_bytes()
    path.write_bytes(data[:32] + bytes(64) + b"gre".ljust(64, b"\0") + data[160:])
    before = open_archive(path).identity
    path.write_bytes(data[:32] + NAME.encode().ljust(64, b"\0") + f"gre {NAME}".encode().ljust(64, b"\0") + data[160:])
    more = set(open_archive(path).identity) - set(before)
    assert more == {f"the name of the {what} before a measurement" for what in ("patient", "protocol")}


def test_parameters_of_a_twix_protocol():
    def found(name, value):
        return list(identity_of_protocol({"Meas": f'<ParamString."{name}"> {{ "{value}" }}'}))

    told = (("tPatientName", NAME), ("tFree", "MUSTERFRAU^E"), ("tFree", "19470312"), ("tProtocolName", f"gre {NAME}"), ("PatientID", "47"))
    for name, value in told:
        assert found(name, value) == [f"{name} of Meas"], (name, value)
    for name, value in (("tPatientName", "xxxx"), ("tFree", "1.3.12.2.1107"), ("tFree", "123194000"), ("tProtocolName", "gre")):
        assert not found(name, value), (name, value)


def test_words_and_numbers():
    for field, text in (
        ("value", "0.793"),
        ("value", "-0.5, 0.25 1e-05"),
        ("H1resonanceFrequency_Hz", "123194000"),
        ("a", "t1 tse"),
        ("PatientName", "xxxx"),
    ):
        assert not may_identify(field, text), text
    for field, text in (
        ("value", "123194000"),
        ("value", "12.03.1947"),
        ("a", NAME),
        ("PatientName", "1"),
        ("subject", "1234"),
    ):
        assert may_identify(field, text), text
    assert is_known("reconstruction_rss") and is_known("kspace_full") and not is_known(NAME) and not is_known("19470312")
