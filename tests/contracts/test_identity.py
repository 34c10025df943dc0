"""A name, a birth date, an accession number and a serial number, planted in every place of every format, are in no output."""

import base64
import pickle
import re
import shutil
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.folder import Folder
from ssrecon.archive.plain import write_plain
from ssrecon.baselines import ZeroFilled
from ssrecon.calibrate import Calibrator
from ssrecon.core.errors import BadInput, SsreconError
from ssrecon.core.scan import CalibratedScan, Prepared
from ssrecon.inspect.audit import audit
from ssrecon.inspect.page import write_page
from ssrecon.inspect.summary import write_json
from ssrecon.privacy.pseudonyms import key_file
from ssrecon.reconstruction.reconstruct import reconstruct
from ssrecon.simulation import PhantomArchive
from ssrecon.store.prepare import prepare
from tests.contracts.test_archives import FORMATS, example

NAME, BIRTH, ACCESSION, SERIAL = "Musterfrau", "19470312", "ACC8812345", "SN45193"
PLANTED = (NAME, BIRTH, ACCESSION, SERIAL)
TOLD = f"{NAME}^Erika {BIRTH} {ACCESSION} {SERIAL}"
ENCODED = base64.b64encode(TOLD.encode()).decode()
XML = (
    f"<subjectInformation><patientName>{NAME}</patientName><patientID>{ACCESSION}</patientID><patientBirthdate>1947-03-12</patientBirthdate>"
    f"</subjectInformation><studyInformation><studyDate>1947-03-12</studyDate><accessionNumber>{ACCESSION}</accessionNumber>"
    f"<referringPhysicianName>{NAME}</referringPhysicianName></studyInformation>"
    f"<userParameters><userParameterString><name>note</name><value>{TOLD}</value></userParameterString>"
    f"<userParameterBase64><name>SiemensBuffer</name><value>{ENCODED}</value></userParameterBase64></userParameters></ismrmrdHeader>"
)


INSIDE = {
    "<acquisitionSystemInformation>": f"<institutionName>{NAME}</institutionName><stationName>{NAME}</stationName>"
    f"<deviceID>{SERIAL}</deviceID><deviceSerialNumber>{SERIAL}</deviceSerialNumber><systemModel>{TOLD}</systemModel>",
    "<measurementInformation>": f"<measurementID>{SERIAL}_{ACCESSION}_{BIRTH}_5</measurementID><seriesDate>1947-03-12</seriesDate>"
    f"<seriesDescription>{TOLD}</seriesDescription><seriesInstanceUIDRoot>{ACCESSION}</seriesInstanceUIDRoot>"
    f"<frameOfReferenceUID>{ACCESSION}</frameOfReferenceUID><measurementDependency><measurementID>{ACCESSION}</measurementID>"
    "</measurementDependency>",
}
"""Elements in front of those of the same name that an example's header has already."""


def planted(kind, folder: Path) -> Path:
    """The example of a format with identity in its file and folder names, attributes, headers, comments and user block."""
    inside = folder / f"{NAME}_{BIRTH}"
    inside.mkdir(parents=True)
    path = Path(example(kind, inside))
    for file in list(inside.iterdir()):
        if h5py.is_hdf5(file):
            _plant_hdf5(file)
        elif file.suffix == ".hdr":
            with file.open("a") as header:
                header.write(f"# Command\nfft 3 {TOLD}\n# Files\n >{NAME} {ACCESSION}\n")
        elif file.suffix == ".dat":
            _plant_twix(file)
    if len(list(inside.iterdir())) == 1:
        path = path.rename(inside / f"{NAME} {SERIAL}{path.suffix}")
    return path


def _plant_hdf5(path: Path) -> None:
    with h5py.File(path, "a") as file:
        nodes = [file]
        file.visititems(lambda name, node: nodes.append(node))
        for node in nodes:
            node.attrs["PatientName"], node.attrs["StudyDate"], node.attrs["comment"] = NAME, BIRTH, TOLD
            node.attrs["AccessionNumber"], node.attrs["DeviceSerialNumber"] = ACCESSION, SERIAL
            # Attributes that formats do read.
            for known in ("subject", "patient_id", "protocol", "contrast", "acquisition", "vendor", "site", "scanner"):
                node.attrs[known] = TOLD
            if isinstance(node, h5py.Dataset) and node.dtype.kind == "O" and (text := _xml(node)):
                text = text.replace("</ismrmrdHeader>", XML).replace("<protocolName>", f"<protocolName>{TOLD} ")
                text = text.replace("<systemVendor>", f"<systemVendor>{TOLD} ")
                for section, elements in INSIDE.items():
                    text = text.replace(section, section + elements)
                node[...] = text
        if "dataset" in file:
            file["dataset/waveforms"] = np.frombuffer(TOLD.encode(), np.uint8)
    # A user block lies in front of the file: copied behind one, as it cannot be given to a file that exists.
    moved = path.with_suffix(".moved")
    with h5py.File(path) as old, h5py.File(moved, "w", userblock_size=512) as new:
        for name in old:
            old.copy(name, new)
        for key, value in old.attrs.items():
            new.attrs[key] = value
    with moved.open("r+b") as file:
        file.write(TOLD.encode())
    moved.replace(path)


def _xml(node: h5py.Dataset) -> str:
    value = np.asarray(node[()]).reshape(-1)[0]
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text if "</ismrmrdHeader>" in text else ""


def _plant_twix(path: Path) -> None:
    """Identity in the place of harmless text of the same length, as the lengths of a protocol's parts are in the file."""
    data = path.read_bytes()
    told = ((b"DOE^JANE", NAME[:8]), (b"45385", SERIAL[2:]), (b'"a test"', f'"{NAME[:6]}"'), (b"syngo MR E11", f"of {NAME[:9]}"))
    for old, new in ((old, new.encode()) for old, new in told):
        assert data.count(old), old
        data = data.replace(old, new)
    path.write_bytes(data[:32] + NAME.encode().ljust(64, b"\0") + f"gre {NAME}".encode().ljust(64, b"\0") + data[160:])


def told(folder: Path) -> str:
    """Everything that lies in a folder: names, bytes, and what is inside HDF5 and zip files, which may be compressed."""
    parts: list[bytes] = []
    for file in sorted(folder.rglob("*")):
        parts.append(str(file.relative_to(folder)).encode())
        if not file.is_file():
            continue
        parts.append(file.read_bytes())
        if h5py.is_hdf5(file):
            with h5py.File(file) as opened:
                parts += _inside(opened)
        elif zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as opened:
                parts += [part for name in opened.namelist() for part in (name.encode(), opened.read(name))]
    return b"\n".join(parts).decode("latin-1").lower()


def _inside(file: h5py.File) -> list[bytes]:
    values: list[bytes] = []
    file.visititems(lambda name, node: values.append(_values(node)))
    return values


def _values(node) -> bytes:
    if not isinstance(node, h5py.Dataset):
        return b""
    values = node[()]
    if node.dtype.kind == "O":
        return b"\n".join(item if isinstance(item, bytes) else str(item).encode() for item in np.asarray(values).reshape(-1))
    return np.asarray(values).tobytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A volume that can be prepared, so that there is a store to look into whatever becomes of the format's noise."""
    folder = tmp_path_factory.mktemp("good")
    return write_plain(folder / "phantom1.h5", list(PhantomArchive(subjects=1, slices=1, matrix=(32, 32), coils=2))[:1])


def secrets() -> list[str]:
    # Of a name in a field of fixed length a part has to do.
    return [text.lower() for text in (*PLANTED, NAME[:6], "1947-03-12", ENCODED, "45193")]


def held(secret: str, text: str) -> bool:
    """Whether a text holds a secret; of a number, not as some of the digits of a longer one, which a plot's coordinates may have."""
    return re.search(rf"(?<![\d.]){secret}(?![\d.])", text) is not None if secret.isdecimal() else secret in text


@dataclass(frozen=True)
class AsItIs:
    """A calibrator that takes every scan, however small: the examples of most formats are too small for sensitivity maps."""

    def fit(self, scans):
        (coils,) = {scan.kspace.shape[2] for scan in scans}
        return Calibrated(torch.eye(coils, dtype=torch.complex64))


@dataclass(frozen=True)
class Calibrated:
    matrix: torch.Tensor
    scale: float = 1.0
    notes: tuple[str, ...] = ()

    def record(self):
        return {}

    def apply(self, scan):
        return next(self.each([scan]))

    def each(self, scans):
        for scan in scans:
            csm = torch.full((1, 1, *scan.kspace.shape[2:]), scan.kspace.shape[2] ** -0.5, dtype=torch.complex64)
            region = torch.zeros(1, 1, 1, *scan.kspace.shape[3:], dtype=torch.bool)
            yield Prepared(CalibratedScan((scan.header,), scan.kspace, scan.mask, scan.padding, csm, region, torch.ones(1)))


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.__name__)
def test_what_was_planted_is_in_no_output(kind, tmp_path, good):
    source = planted(kind, tmp_path / "in")
    shutil.copy(good, tmp_path / "in")
    (tmp_path / "in" / f"broken {NAME} {ACCESSION}.h5").write_text(TOLD)
    with h5py.File(tmp_path / "in" / "unknown.h5", "w") as file:
        file.create_group(NAME), file.create_group(f"{ACCESSION} of {BIRTH}")  # an error tells what is in a file of no known layout
    assert NAME.lower() in str(source).lower() and any(text in told(tmp_path / "in") for text in secrets())
    archive = open_archive(tmp_path / "in")
    assert isinstance(archive, Folder) and len(archive.volumes()) > 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepare(archive, tmp_path / "out" / "real", Calibrator())
        store = prepare(archive, tmp_path / "out" / "store", AsItIs(), keep_unfit=True)
        looked = audit(archive, tmp_path / "out" / "audit")
        write_json(looked, tmp_path / "out" / "audit" / "audit.json")
        write_page(looked, tmp_path / "out" / "audit" / "audit.html")
        images = reconstruct(ZeroFilled(), tmp_path / "in", tmp_path / "out" / "images", complex_images=True, calibrator=AsItIs())
    # Nothing was left out for another reason than that it was broken: the outputs looked into are those of this format.
    assert {header.volume_id for header in store.headers} == set(archive.volumes())
    assert len([image for image in images if image.path is not None]) == len(archive.volumes())
    found = told(tmp_path / "out")
    assert ".catalogue.sqlite" in found and "phantom1" in found
    for text in secrets():
        assert not held(text, found), text
    assert "at its top" in found and key_file().read_bytes().decode("latin-1").lower() not in found
    assert any(text in found for text in ("/v-", "v-"))  # the folder's pseudonym


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.__name__)
def test_nothing_gets_past_open_archive(kind, tmp_path):
    """Headers, scans, descriptions and errors, of a file alone, from this process or another one."""
    path = planted(kind, tmp_path)
    archive = open_archive(path)
    scans = list(pickle.loads(pickle.dumps(archive)))
    said = [archive.headers, archive.volumes(), [scan.header for scan in scans], archive.describe().replace(str(archive.path), "")]
    with pytest.raises(BadInput) as unknown:
        archive.read("nowhere")
    text = f"{said} {unknown.value.expected}".lower()
    for secret in secrets():
        assert secret not in text, secret


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.__name__)
def test_what_bears_identity_is_refused_where_that_is_asked(kind, tmp_path, good):
    path = planted(kind, tmp_path)
    with pytest.raises(BadInput, match="de-identified") as caught:
        open_archive(path, require_deidentified=True)
    places = caught.value.found.lower()
    assert not any(text in places for text in secrets())
    shutil.copy(good, tmp_path)
    rest = open_archive(tmp_path, require_deidentified=True)
    assert [header.volume_id for header in rest.headers] == ["phantom1"]
    assert any("may bear identity" in reason for reason in rest.skipped.values())


@pytest.mark.parametrize(
    "kind",
    [kind for kind in FORMATS if kind.__name__ in ("FastMRI", "ISMRMRD", "CMRxRecon", "ComplexImages")],
    ids=lambda kind: kind.__name__,
)
def test_what_bears_none_is_not(kind, tmp_path):
    """Files without a word of anybody. The examples of the other formats say a subject, as the published files do."""
    archive = open_archive(example(kind, tmp_path))
    assert archive.identity == ()
    assert [h.scan_id for h in open_archive(archive.path, require_deidentified=True).headers] == [h.scan_id for h in archive.headers]
    with pytest.raises(SsreconError):
        open_archive(tmp_path / "nothing")
