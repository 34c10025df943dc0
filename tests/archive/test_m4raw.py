"""M4Raw: repetitions as frames, told from fastMRI by content."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.fastmri import FastMRI
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.archive.m4raw import M4Raw
from ssrecon.core.errors import BadInput
from ssrecon.privacy.pseudonyms import pseudonym
from tests.archive.mrd.lines import complex_noise, header_xml

SLICES, COILS, PHASE, READOUT = 3, 4, 24, 20
SIBLINGS = "<repetitionInformation><repetitionLabel>1</repetitionLabel></repetitionInformation>"
SECRETS = ("Doe^Jane", "19700101", "A123", "S456")


def write(path, kspace=None, contrast="AXT2", header=None, seed=0, patient="88448eec"):
    """The keys, attributes and axes of the published files: the readout second to last."""
    kspace = complex_noise(SLICES, COILS, PHASE, READOUT, seed=seed) if kspace is None else kspace
    xml = header_xml((1, PHASE, READOUT)).replace("</ismrmrdHeader>", SIBLINGS + "</ismrmrdHeader>") if header is None else header
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ascontiguousarray(kspace.swapaxes(-1, -2))
        file["ismrmrd_header"] = xml
        file["reconstruction_rss"] = np.ones((kspace.shape[0], READOUT, PHASE), np.float32)
        file.attrs.update({"acquisition": contrast, "max": 121.5, "patient_id": patient})
    return path


def test_marked_sample_keeps_its_place(tmp_path):
    for repetition in (1, 2, 3):
        kspace = np.zeros((SLICES, COILS, PHASE, READOUT), np.complex64)
        kspace[1, 2, 5, 13] = repetition + 1j
        write(tmp_path / f"2022061003_T2{repetition:02d}.h5", kspace)
    archive = open_archive(tmp_path / "2022061003_T202.h5")
    assert isinstance(archive.reader, M4Raw)
    scan = archive.read(f"{pseudonym('2022061003_T2', 'v')}/slice-001")
    assert scan.kspace.shape == (1, 3, COILS, PHASE, READOUT)
    assert scan.kspace[0, :, 2, 5, 13].tolist() == [1 + 1j, 2 + 1j, 3 + 1j] and scan.kspace.count_nonzero() == 3
    assert scan.mask.all() and not scan.padding.any() and scan.mask.shape == (1, 3, 1, PHASE, READOUT)
    assert "3 repetitions" in scan.header.notes["frames"]


def test_any_repetition_opens_the_same(tmp_path):
    for repetition in (1, 2):
        write(tmp_path / f"s_FLAIR0{repetition}.h5", seed=repetition)
    one, two = (open_archive(tmp_path / f"s_FLAIR0{repetition}.h5") for repetition in (1, 2))
    assert one.headers == two.headers and one.companions == {two.path} and two.companions == {one.path}
    assert torch.equal(one.read("s_FLAIR/slice-002").kspace, two.read("s_FLAIR/slice-002").kspace)
    assert one.headers[0].contrast == "AXT2" and one.headers[0].volume_max == 121.5


def test_folder_groups_repetitions_and_subjects(tmp_path):
    for study in ("a", "b"):
        for contrast, repetitions in (("T1", 3), ("FLAIR", 2)):
            for repetition in range(1, repetitions + 1):
                write(tmp_path / f"{study}_{contrast}0{repetition}.h5", contrast=contrast, patient=f"{contrast}{repetition}")
    write_fastmri(tmp_path / "z.h5", complex_noise(1, COILS, PHASE, READOUT), field_strength=3.0)
    archive = open_archive(tmp_path)
    assert list(archive.volumes()) == ["a_FLAIR", "a_T1", "b_FLAIR", "b_T1", "z"] and archive.skipped == {}
    assert archive.read("a_T1/slice-000").kspace.shape[1] == 3 and archive.read("b_FLAIR/slice-000").kspace.shape[1] == 2
    subjects = {header.volume_id: header.subject for header in archive.headers}
    assert subjects["a_T1"] == subjects["a_FLAIR"] != subjects["b_T1"] and subjects["z"] == "z"


def test_files_that_are_not_alike_are_no_repetitions(tmp_path):
    write(tmp_path / "s_T101.h5")
    write(tmp_path / "s_T102.h5", complex_noise(2, COILS, PHASE, READOUT))
    (tmp_path / "s_T103.h5").write_text("no")
    assert open_archive(tmp_path / "s_T101.h5").read("s_T1/slice-000").kspace.shape[1] == 1
    archive = open_archive(tmp_path)
    assert [len(ids) for ids in archive.volumes().values()] == [SLICES, 2] and list(archive.volumes()) == ["s_T1", "s_T102"]
    assert len({header.subject for header in archive.headers}) == 1 and list(archive.skipped) == ["s_T103.h5"]


def test_told_from_fastmri_by_content(tmp_path):
    low = header_xml((1, PHASE, READOUT)).replace(">3.0<", ">0.3<")
    assert isinstance(open_archive(write(tmp_path / "renamed.h5", header=low)).reader, M4Raw)
    assert open_archive(tmp_path / "renamed.h5").headers[0].subject == pseudonym("88448eec")
    assert isinstance(open_archive(write(tmp_path / "s_T101.h5", header=header_xml((1, PHASE, READOUT)))).reader, FastMRI)


def test_nothing_else_gets_through(tmp_path):
    xml = header_xml((1, PHASE, READOUT), patient=SECRETS[0]).replace(
        "</ismrmrdHeader>", f"{SIBLINGS}<studyInformation><studyDate>{SECRETS[1]}</studyDate></studyInformation></ismrmrdHeader>"
    )
    path = write(tmp_path / "2022061003_T201.h5", header=xml)
    with h5py.File(path, "a") as file:
        file.attrs.update({"accession": SECRETS[2], "serial": SECRETS[3]})
    archive = open_archive(path)
    text = archive.describe() + repr(archive.headers)
    assert not any(secret in text for secret in SECRETS) and archive.headers[0].subject != "2022061003"


def test_refused(tmp_path):
    first, second = write(tmp_path / "s_T201.h5"), write(tmp_path / "s_T202.h5")
    with h5py.File(second, "a") as file:
        file["kspace"][1, 0, 3, 4] = np.nan
    with pytest.raises(BadInput, match="s_T202.h5: found 1 acquired samples"):
        open_archive(first).read("s_T2/slice-001")
    first.write_bytes(first.read_bytes()[:3000])
    with pytest.raises(BadInput, match="s_T201.h5: found a truncated"):
        _ = M4Raw(first).headers
    with pytest.raises(BadInput, match="with kspace at its top; expected an M4Raw file"):
        _ = M4Raw(_other(tmp_path / "x.h5")).headers
    with pytest.raises(BadInput, match="no XML"):
        _ = open_archive(write(tmp_path / "y.h5", header="<a>repetitionInformation")).headers


def _other(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones(3)
    return path


def example(folder):
    """For the contract of every archive."""
    write(folder / "2022061003_T202.h5", seed=1)
    return write(folder / "2022061003_T201.h5")
