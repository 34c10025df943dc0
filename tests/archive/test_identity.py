"""Names, dates and numbers of people do not get past the readers into what `prepare` writes."""

import h5py
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri import write_fastmri
from ssrecon.archive.identity import harmless, pseudonym, safe_subject, safe_text
from ssrecon.archive.phantom import PhantomArchive
from ssrecon.archive.plain import write_plain
from ssrecon.calibrate import Calibrator
from ssrecon.errors import BadInput
from ssrecon.prepare import prepare

NAME, BIRTH, ACCESSION, SERIAL = "Musterfrau", "19470312", "ACC8812345", "45193"


def test_what_is_harmless():
    for name in ("file1000001", "file_brain_AXT2_200_2000057", "P007", "phantom-0001-axt1", "cine_sax", "meas_MID00026_FID25484_gre"):
        assert harmless(name), name
    for name in (NAME, BIRTH, "brain-1947-03-12", ACCESSION, SERIAL, "t1_Müller", "O'Brien", "knee_2022061003"):
        assert not harmless(name), name
    assert safe_subject("1234") == pseudonym("1234") != "1234"
    assert safe_text(f"t1 {NAME}") == safe_text(f"t1 {NAME}") != safe_text("t1 Other")


def test_another_key_gives_other_pseudonyms_and_a_damaged_one_none(tmp_path, monkeypatch):
    before = pseudonym(NAME)
    monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / "deep" / "key"))
    assert pseudonym(NAME) == pseudonym(NAME) != before
    key = tmp_path / "deep" / "key"
    assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_bytes()) == 32
    key.chmod(0o644)
    with pytest.raises(BadInput, match="others may read"):
        pseudonym(NAME)
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(BadInput, match="5 bytes"):
        pseudonym(NAME)


def test_planted_identity_is_in_no_byte_of_a_store(tmp_path):
    folder = tmp_path / "in" / f"{NAME}_{BIRTH}"
    scans = list(PhantomArchive(subjects=1, slices=2, matrix=(32, 32), coils=2))[:2]
    kspace = [scan.kspace[0, 0] for scan in scans]
    fast = folder / f"{ACCESSION}.h5"
    write_fastmri(fast, torch.stack(kspace), subject=NAME, acquisition=f"T2 {NAME}", protocol=f"t2 {NAME}", vendor=SERIAL)
    plain = write_plain(folder / f"plain {NAME} {SERIAL}.h5", scans)
    with h5py.File(plain, "a") as file:
        file.attrs["subject"], file.attrs["protocol"], file.attrs["StudyDate"] = f"{NAME} {BIRTH}", ACCESSION, BIRTH
    (folder / f"broken {NAME}.h5").write_text("no")
    with pytest.warns(UserWarning, match="left out"):
        prepare(open_archive(tmp_path / "in"), tmp_path / "out", Calibrator())
    written = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len(written) == 3
    for file in written:
        told = file.name.encode() + file.read_bytes()
        for planted in (NAME, BIRTH, ACCESSION, SERIAL):
            assert planted.lower().encode() not in told.lower(), (file.name, planted)
