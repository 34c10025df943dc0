"""Names, dates and numbers of people do not get past the readers into what `prepare` writes."""

from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from ssrecon.archive import Archive, open_archive
from ssrecon.archive.ismrmrd_header import parse_header
from ssrecon.archive.phantom import PhantomArchive
from ssrecon.archive.plain import write_plain
from ssrecon.baselines import ZeroFilled
from ssrecon.calibrate import Calibrator
from ssrecon.cli import main
from ssrecon.errors import BadInput
from ssrecon.evaluate_folder import evaluate_folder
from ssrecon.identity import KEEP_NAMES, harmless, pseudonym, safe_place, safe_reason, safe_subject, safe_text
from ssrecon.networks import ResNet, Unrolled
from ssrecon.objectives import SSDU
from ssrecon.prepare import prepare
from ssrecon.recipe import Data, Recipe
from ssrecon.reconstruct import reconstruct
from ssrecon.scan import Header
from tests.archive import mrd

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


def test_places_and_reasons():
    assert safe_place(f"/mnt/data/{NAME}/store") == f"/mnt/data/{pseudonym(NAME, 'v')}/store"
    file = Path(f"/mnt/{NAME} {BIRTH}/scan1.h5")
    reason = safe_reason(f"found {file} beside {NAME} {BIRTH} and scan1.h5", file)
    assert NAME not in reason and BIRTH not in reason and reason.endswith("and scan1.h5")


def test_descriptions_name_no_place():
    """A recipe's description is written into run folders and checkpoints."""
    recipe = Recipe(Data(f"/mnt/{NAME}/store"), Unrolled(ResNet()), SSDU())
    assert NAME not in str(recipe.description) and "/store" in recipe.description["data"]["source"]
    assert recipe.data.source == f"/mnt/{NAME}/store"
    assert recipe.hash == replace(recipe, data=Data("elsewhere")).hash


def test_a_format_that_hides_its_headers_is_refused():
    with pytest.raises(TypeError, match="headers has to be a property"):

        class Plain(Archive):
            headers = ()

    class Named(Archive):
        path = Path("/nowhere")
        recognises = read = None

        @property
        def headers(self):
            return (Header(f"{NAME}/0", NAME, BIRTH),)

    (header,) = Named().headers
    assert NAME not in str(header) and BIRTH not in str(header)


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


def test_images_are_scored_against_the_file_behind_the_pseudonym(tmp_path):
    for name in ("in", "full"):
        (tmp_path / name).mkdir()
    volume(tmp_path / "in", NAME)
    reconstruct(ZeroFilled(), tmp_path / "in", tmp_path / "images")
    (made,) = (tmp_path / "images").glob("*.h5")
    with h5py.File(made) as file, h5py.File(tmp_path / "full" / f"{NAME}.h5", "w") as full:
        full["reconstruction_rss"], full.attrs["patient_id"] = file["reconstruction"][()], NAME
    assert NAME not in made.name and evaluate_folder(tmp_path / "images", tmp_path / "full", tmp_path / "scores").startswith("1 volumes")
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
