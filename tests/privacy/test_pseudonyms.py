"""Names, dates and numbers of people do not get past the readers into what `prepare` writes."""

import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from ssrecon.archive import open_archive
from ssrecon.archive.mrd.header import parse_header
from ssrecon.archive.plain import write_plain
from ssrecon.archive.splits import ByList
from ssrecon.baselines import ZeroFilled
from ssrecon.calibrate import Calibrator
from ssrecon.cli.main import main
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.scan import Header
from ssrecon.evaluation.evaluate_folder import evaluate_folder
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU
from ssrecon.privacy.identifying import deidentified
from ssrecon.privacy.pseudonyms import KEEP_NAMES, harmless, own_words, pseudonym, safe_place, safe_reason, safe_subject, safe_text
from ssrecon.recipe.recipe import Recipe, Training
from ssrecon.reconstruction.reconstruct import reconstruct
from ssrecon.simulation import PhantomArchive
from ssrecon.store.data import Data
from ssrecon.store.prepare import prepare
from tests.archive.mrd import lines as mrd

NAME, BIRTH, ACCESSION, SERIAL = "Musterfrau", "19470312", "ACC8812345", "45193"


def test_what_is_harmless():
    for name in ("file1000001", "file_brain_AXT2_200_2000057", "P007", "phantom-0001-axt1", "cine_sax", "meas_MID00026_FID25484_gre"):
        assert harmless(name), name
    for name in (NAME, BIRTH, "brain-1947-03-12", ACCESSION, SERIAL, "t1_Müller", "O'Brien", "knee_2022061003"):
        assert not harmless(name), name
    # Dates that begin in a word, initials with a year, numbers of a hospital.
    for name in ("brain1947-03-12", "knee1203_1947", "1947 a 03 b 12", "E_M_1947", "A-1234", "K 4711", "MID194703_12"):
        assert not harmless(name), name
    for subject in ("1234", "A-1234"):
        assert safe_subject(subject) == pseudonym(subject) != subject
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


def test_places_and_reasons():
    assert safe_place(f"/mnt/data/{NAME}/store") == f"/mnt/data/{pseudonym(NAME, 'v')}/store"
    file = Path(f"/mnt/{NAME} {BIRTH}/scan1.h5")
    reason = safe_reason(f"found {file} beside {NAME} {BIRTH} and scan1.h5", file)
    assert NAME not in reason and BIRTH not in reason and reason.endswith("and scan1.h5") and pseudonym(f"{NAME} {BIRTH}", "v") in reason
    # Folders that are called as words of ours, or as parts of them.
    said = "found no imaging lines in the file; expected lines without noise"
    assert safe_reason(said, Path("/in/out/ag/lines/the/x.h5")) == said


def test_a_file_s_text_does_not_come_out_in_a_sentence_of_ours():
    for text in (
        "found an HDF5 file of an unknown layout, with kspace at its top; expected a fastMRI file",
        "relative receiver noise bandwidth 0.793 taken into account",
        "a matrix of 320x320x16, samples (1, 16, 640, 372), complex64",
        "v-0123456789abcdef/slice-003, file1000001 and file_brain_AXT2_200_2000057: 32 calibration lines of a 3-D scan",
        "a truncated or damaged HDF5 file (Unable to synchronously open file (truncated file: eof = 96, stored_eof = 2048))",
        "Skyra, syngo MR E11",
    ):
        assert own_words(text) == text
    for told in (
        NAME,
        BIRTH,
        ACCESSION,
        SERIAL,
        "1947-03-12",
        "12.03.1947",
        "12 03 1947",
        "12.03.1947b",
        "1.2.840.113619.2.55",
        f"x{BIRTH}",
        f"{NAME}'s",
    ):
        found = own_words(f"with {told} at its top")
        assert found.startswith("with …") and found.endswith("at its top") and not any(part in found for part in (NAME, "1947", "113619"))
        assert own_words(found) == found


def test_descriptions_name_no_place():
    """A recipe's description is written into run folders and checkpoints."""
    recipe = Recipe(Data(f"/mnt/{NAME}/store"), Unrolled(ResNet()), SSDU())
    assert NAME not in str(recipe.description) and "/store" in recipe.description["data"]["source"]
    assert recipe.data.source == f"/mnt/{NAME}/store"
    assert recipe.hash == replace(recipe, data=Data("elsewhere")).hash
    lists = ByList(f"/mnt/{NAME}/train.lst", f"{NAME}.lst", f"/mnt/{BIRTH}/test.lst")
    recipe = Recipe(Data("store", split=lists), Unrolled(ResNet()), SSDU(), Training(start=f"/mnt/{NAME}/gamma.safetensors"))
    assert NAME not in str(recipe.description) and BIRTH not in str(recipe.description)


def volume(folder, name, seed=0):
    scans = list(PhantomArchive(subjects=1, slices=1, matrix=(32, 32), coils=2, seed=seed))[:1]
    return write_plain(folder / f"{name}.h5", scans)


def test_a_volume_of_a_pseudonym_is_known_by_its_own_file_only(tmp_path):
    """Another file that comes into the folder changes nothing of what was prepared."""
    (tmp_path / "in").mkdir()
    volume(tmp_path / "in", NAME)
    calibrator = Calibrator(coils=2)
    first = prepare(open_archive(tmp_path / "in"), tmp_path / "out", calibrator)
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("*.h5")}
    volume(tmp_path / "in", "Beispielmann", seed=1)
    second = prepare(open_archive(tmp_path / "in"), tmp_path / "out", calibrator)
    assert len(first.headers) == 1 and len(second.headers) == 2
    assert before.items() <= {file.name: file.stat().st_mtime_ns for file in (tmp_path / "out").glob("*.h5")}.items()


def test_a_process_with_another_key_reads_what_was_listed(tmp_path, monkeypatch):
    """A worker on another machine is sent the archive."""
    (tmp_path / "in" / f"{NAME} {BIRTH}").mkdir(parents=True)
    volume(tmp_path / "in" / f"{NAME} {BIRTH}", NAME)
    archive = open_archive(tmp_path / "in")
    (header,) = archive.headers
    sent = pickle.dumps(archive)
    monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / "key"))
    assert pickle.loads(sent).read(header.scan_id).header == header
    assert open_archive(tmp_path / "in").headers != (header,)


def test_images_are_scored_against_the_file_behind_the_pseudonym(tmp_path):
    for name in ("in", "full"):
        (tmp_path / name).mkdir()
    volume(tmp_path / "in", NAME)
    reconstruct(ZeroFilled(), tmp_path / "in", tmp_path / "images")
    (made,) = (tmp_path / "images").glob("*.h5")
    with h5py.File(made) as file, h5py.File(tmp_path / "full" / f"{NAME}.h5", "w") as full:
        full["reconstruction_rss"], full.attrs["patient_id"] = file["reconstruction"][()], NAME
    assert NAME not in made.name and evaluate_folder(tmp_path / "images", tmp_path / "full", tmp_path / "scores").startswith("1 volume")
    assert NAME not in (tmp_path / "scores" / "metrics.csv").read_text()


def test_names_leads_back_to_the_file_and_keep_names_keeps_them(tmp_path, capsys, monkeypatch):
    file = volume(tmp_path, NAME)
    monkeypatch.setenv(KEEP_NAMES, "0")  # so that it is put back afterwards
    assert main(["names", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{pseudonym(NAME, 'v')}\t{file}\n"
    assert main(["prepare", str(tmp_path), str(tmp_path / "store"), "--keep-names"]) == 0
    assert [path.stem for path in (tmp_path / "store").glob("*.h5")] == [NAME]


def test_require_deidentified_from_the_command_line(tmp_path, capsys):
    file = volume(tmp_path, NAME)
    assert main(["prepare", str(file), str(tmp_path / "store"), "--require-deidentified"]) == 2
    assert "may bear identity: the file's name" in capsys.readouterr().err and not (tmp_path / "store").exists()


def test_site_and_device_are_pseudonyms(tmp_path):
    xml = mrd.header_xml((1, 8, 8)).replace(
        "<systemVendor>",
        f"<institutionName>{NAME} Hospital</institutionName><deviceSerialNumber>{SERIAL}</deviceSerialNumber><systemVendor>",
    )
    header = parse_header(xml, "here")
    assert (header.site, header.scanner) == (pseudonym(f"{NAME} Hospital", "i"), pseudonym(SERIAL, "d"))
    assert parse_header(mrd.header_xml((1, 8, 8)), "here").site == ""


def test_geometry_keeps_its_numbers_and_loses_what_is_no_known_word():
    kept = Geometry((1.0, 2.0, 3.0), (1.0, 0.0, 0.0), patient_position="HFS")
    header = Header("a", "a", "a", geometry=kept, echo_time=(2.5, 5.0), repetition_time=30.0, inversion_time=100.0, flip_angle=15.0)
    assert deidentified(header) == header
    named = replace(header, geometry=replace(kept, patient_position="Jane Doe", axes=("phase", "Doe")))
    assert deidentified(named).geometry == replace(kept, patient_position=None, axes=("phase",))
