"""Identity does not get past what wraps a reader, whatever the reader gives."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from ssrecon.archive import Archive, formats, open_archive
from ssrecon.archive.deidentified import Deidentified, without_names
from ssrecon.archive.folder import Folder
from ssrecon.archive.plain import write_plain
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, NoCalibration
from ssrecon.core.scan import Header
from ssrecon.privacy.identifying import deidentified
from ssrecon.privacy.pseudonyms import KEEP_NAMES, pseudonym
from ssrecon.sampling import RandomColumns, undersample
from ssrecon.simulation import PhantomArchive
from tests.calibrate.raw import raw_scan

NAME, BIRTH = "Musterfrau", "19470312"
SAID = Header(f"{NAME}/0", NAME, BIRTH, notes={"scanner": f"Skyra of {NAME}", f"{NAME}": "averaged"}, protocol=f"t1 {NAME}", site=NAME)


class Named(Archive):
    """A reader that does nothing against names: headers are a plain attribute, and errors quote the file."""

    headers = (SAID,)
    recognises = None

    def __init__(self, path=Path("/nowhere")):
        self.path = path

    def read(self, scan_id):
        assert scan_id == f"{NAME}/0", "a reader is asked by its own ids"
        return replace(raw_scan(), header=replace(SAID, notes={**SAID.notes, "more": f"of {NAME}"}, scanner=f"{NAME} 2"))

    def partitions(self, scan_id):
        yield 0, self.read(scan_id)
        raise NoCalibration(self.path, found=f"3 acquired samples of {scan_id} that are not finite", expected="finite k-space")


class Later(Named):
    """A format that is added to the package later."""

    layout = "a format of tomorrow"

    @classmethod
    def recognises(cls, path):
        return path.suffix == ".later"


def test_what_a_reader_says_loses_its_names_wherever_it_says_it():
    archive = Deidentified(Named())
    (header,) = archive.headers
    read = archive.read(header.scan_id).header
    assert header == deidentified(SAID) and header.notes == {"scanner": "Skyra of …", "…": "averaged"}
    assert read == replace(header, notes={**header.notes, "more": "of …"}, scanner=pseudonym(f"{NAME} 2", "t"))
    assert not any(text in str(said) for text in (NAME, BIRTH) for said in (header, read, archive.describe(), archive.volumes()))
    assert Named().headers == (SAID,) and archive.describe().startswith("/nowhere: Named, 1 scans")


def test_errors_call_scans_by_the_ids_that_are_listed():
    archive = Deidentified(Named())
    (scan_id,) = (header.scan_id for header in archive.headers)
    with pytest.raises(NoCalibration) as error:
        list(archive.partitions(scan_id))
    assert error.value.found == f"3 acquired samples of {scan_id} that are not finite" and NAME not in str(error.value)
    with pytest.raises(BadInput, match=f"no scan '{NAME}/0'; expected one of {scan_id}"):
        archive.read(f"{NAME}/0")


class CalledOf(Named):
    """A file that is called ``of``, as a word of the sentence about it."""

    headers = (replace(SAID, scan_id="of/0", volume_id="of"),)

    def read(self, scan_id):
        raise BadInput(self.path, found=f"3 acquired samples of {scan_id} that are not finite", expected="finite k-space")


def test_a_file_that_is_called_like_a_word_leaves_the_sentence_as_it_is():
    with pytest.raises(BadInput) as error:
        Deidentified(CalledOf()).read(f"{pseudonym('of', 'v')}/0")
    assert error.value.found in [f"3 acquired samples of {name}/0 that are not finite" for name in ("of", pseudonym("of", "v"))]


def test_a_format_of_tomorrow_is_opened_without_names(tmp_path, monkeypatch):
    (tmp_path / "one.later").write_text("text")
    known = formats.formats()
    monkeypatch.setattr(formats, "formats", lambda: (*known, Later))
    for archive in (open_archive(tmp_path / "one.later"), open_archive(tmp_path)):
        (scan,) = archive
        assert scan.header.volume_id == pseudonym(NAME, "v") and NAME not in str(archive.headers) + str(scan.header)
        assert isinstance(archive, (Deidentified, Folder))


def test_whatever_is_prepared_or_looked_at_is_wrapped_once():
    phantom, wrapped = PhantomArchive(subjects=1, slices=1, matrix=(32, 32), coils=2), Deidentified(Named())
    assert without_names(phantom) is phantom and without_names(wrapped) is wrapped
    assert isinstance(without_names(Named()), Deidentified)


def test_another_process_needs_no_key(tmp_path, monkeypatch):
    path = write_plain(tmp_path / f"{NAME}.h5", [replace(raw_scan(), header=replace(raw_scan().header, site=NAME, subject=BIRTH))])
    archive = open_archive(path)
    (header,) = archive.headers
    sent = pickle.dumps(archive)
    monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / "nowhere" / "key"))
    assert pickle.loads(sent).read(header.scan_id).header == header
    assert not (tmp_path / "nowhere").exists()


def test_neither_key_nor_name_changes_a_draw(tmp_path, monkeypatch):
    """Two keys gave two masks for one file."""
    pattern, masks = RandomColumns(2, 8), []
    scans = [raw_scan(index) for index in range(2)]
    for key, name in (("a", NAME), ("b", NAME), ("b", "brain1"), ("b", f"{BIRTH} {NAME}")):
        monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / key))
        folder = tmp_path / f"{key}{len(masks)}" / NAME
        folder.mkdir(parents=True)
        path = write_plain(folder / f"{name}.h5", scans)
        for archive in (open_archive(path), open_archive(folder.parent)):
            masks.append([undersample(scan, pattern, Draw(0), per_slice=True).mask for scan in archive])
            assert archive.headers[0].draw_key == "", "nothing but reading reads whole files"
    monkeypatch.setenv(KEEP_NAMES, "1")
    masks.append([undersample(scan, pattern, Draw(0), per_slice=True).mask for scan in open_archive(path)])
    assert all(one.equal(other) for others in masks for one, other in zip(masks[0], others, strict=True))
    assert not masks[0][0].equal(masks[0][1])
