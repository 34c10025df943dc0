"""What every archive format owes its callers. A new format is found by walking the package; its files come from the function
`example(folder) -> path` of its own test file (`tests/archive/test_FORMAT.py`)."""

import inspect
import pickle

import h5py
import pytest
import torch

from ssrecon.archive import Archive, open_archive
from ssrecon.archive.deidentified import Deidentified
from ssrecon.archive.folder import Folder
from ssrecon.core.errors import BadInput
from tests.contracts.classes import archives, mirrored

FORMATS = [kind for kind in archives() if kind.layout]
MADE = [kind for kind in archives() if not kind.from_files]
"""Archives that are made and not read."""


def example(kind, folder):
    """A file of a format, written by its own test file."""
    module = mirrored(kind.__module__)
    if not hasattr(module, "example"):
        pytest.fail(f"{module.__name__} has no example(folder) -> path, an archive of {kind.__name__} to test")
    return module.example(folder)


def test_a_format_that_recognises_files_says_which():
    """Without `layout` it would neither be found nor be tested here."""
    readers = [kind for kind in archives() if kind.from_files and kind is not Folder and kind.__module__.startswith("ssrecon.archive")]
    assert [kind.__name__ for kind in readers if not kind.layout and "path" in inspect.signature(kind).parameters] == []


@pytest.fixture(params=[*FORMATS, *MADE, Folder], ids=lambda kind: kind.__name__)
def archive(request, tmp_path):
    kind = request.param
    if kind is Folder:
        (tmp_path / "inner").mkdir()
        for place, name in ((tmp_path, "fastmri.fastmri"), (tmp_path / "inner", "mrd.ismrmrd")):
            mirrored(f"ssrecon.archive.{name}").example(place)
        return open_archive(tmp_path)
    if kind in MADE:
        small = {"subjects": 1, "slices": 2, "matrix": (48, 40), "coils": 3}
        return kind(**{name: value for name, value in small.items() if name in inspect.signature(kind).parameters})
    opened = open_archive(example(kind, tmp_path))
    assert type(opened) is Deidentified and type(opened.reader) is kind
    return opened


def test_listing(archive):
    ids = [header.scan_id for header in archive.headers]
    assert len(ids) == len(set(ids)) == len(archive) > 0
    assert [scan_id for members in archive.volumes().values() for scan_id in members] == ids
    assert all(header.subject and header.volume_id for header in archive.headers)


def test_scans_follow_the_conventions(archive):
    scans = list(archive)
    assert [scan.header for scan in scans] == list(archive.headers)
    for scan in scans:
        frames, coils, *shape = scan.kspace.shape[1:]
        assert scan.kspace.shape[0] == 1 and scan.kspace.dtype == torch.complex64 and scan.kspace.is_contiguous()
        for mask in (scan.mask, scan.padding):
            assert mask.shape == (1, frames, 1, *shape) and mask.dtype == torch.bool
        assert scan.mask.any() and not (scan.mask & scan.padding).any()
        assert not torch.where(scan.mask, 0, scan.kspace).any()
        assert torch.isfinite(torch.view_as_real(scan.kspace)).all()
        assert scan.header.encoded_matrix == tuple(shape)
        assert scan.noise is None or (scan.noise.ndim == 3 and scan.noise.shape[1] == coils)
        assert scan.noise_bandwidth_ratio > 0
        if scan.calibration is not None:
            assert scan.calibration.kspace.shape == (1, 1, coils, *shape) and scan.calibration.mask.shape == (1, 1, 1, *shape)


def test_reading_is_repeatable_and_survives_another_process(archive):
    scan_id = archive.headers[-1].scan_id
    copy = pickle.loads(pickle.dumps(archive))
    assert torch.equal(archive.read(scan_id).kspace, copy.read(scan_id).kspace)
    assert torch.equal(archive.read(scan_id).kspace, archive.read(scan_id).kspace)


def test_unknown_scan_is_an_error_that_says_which_there_are(archive):
    with pytest.raises(BadInput, match="nowhere") as error:
        archive.read("nowhere/slice-000")
    assert archive.headers[0].scan_id in str(error.value)


def test_description_names_every_volume_with_a_verdict(archive):
    text = archive.describe()
    for volume_id in archive.volumes():
        assert volume_id in text
    assert "train" in text


@pytest.mark.parametrize("kind", [*FORMATS, *MADE, Folder, Deidentified], ids=lambda kind: kind.__name__)
def test_recognising_never_raises(kind, tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text.h5").write_text("not HDF5 at all")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["something"] = [1, 2, 3]
    (tmp_path / "cut.h5").write_bytes((tmp_path / "other.h5").read_bytes()[:600])
    (tmp_path / "folder").mkdir()
    for name in ("empty", "text.h5", "other.h5", "cut.h5", "folder", "missing"):
        assert kind.recognises(tmp_path / name) is False


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.__name__)
def test_only_its_own_format_is_recognised(kind, tmp_path):
    for other in FORMATS:
        module = mirrored(other.__module__)
        folder = tmp_path / other.__name__
        folder.mkdir()
        assert kind.recognises(module.example(folder)) is (kind is other)


PIECES = [kind for kind in FORMATS if kind.partitions is not Archive.partitions]


def volume(kind, folder, bad=None):
    """A 3-D scan of a format that gives pieces: `example_volume(folder, bad)` of its own test file."""
    return kind(mirrored(kind.__module__).example_volume(folder, bad))


@pytest.mark.parametrize("kind", PIECES, ids=lambda kind: kind.__name__)
def test_pieces_joined_are_the_scan(kind, tmp_path):
    archive = volume(kind, tmp_path)
    (scan,) = archive
    pieces = list(archive.partitions(scan.scan_id))
    thick = [piece.kspace.shape[3] for _, piece in pieces]
    assert len(pieces) > 2 and [start for start, _ in pieces] == [sum(thick[:i]) for i in range(len(thick))]
    read = {
        "kspace": lambda item: item.kspace,
        "mask": lambda item: item.mask,
        "padding": lambda item: item.padding,
        "csm": lambda item: item.csm,
        "calibration": lambda item: item.calibration and item.calibration.kspace,
        "calibration mask": lambda item: item.calibration and item.calibration.mask,
    }
    for name, of in read.items():
        if of(scan) is None:
            assert all(of(piece) is None for _, piece in pieces), name
        else:
            assert torch.equal(torch.cat([of(piece) for _, piece in pieces], dim=3), of(scan)), name
    for _, piece in pieces:
        assert piece.header == scan.header and piece.noise_bandwidth_ratio == pytest.approx(scan.noise_bandwidth_ratio)
        assert (piece.noise is None) == (scan.noise is None) and (scan.noise is None or torch.equal(piece.noise, scan.noise))
    assert archive.not_transformable(scan.scan_id) == Archive.not_transformable(archive, scan.scan_id)


REFUSALS = {"not finite": "not finite", "empty": "samples nothing"}
OF_LINES = ("ISMRMRD", "Siemens")
"""What was acquired are the lines that are there: a file without any is refused when it is opened."""


@pytest.mark.parametrize(
    "kind, bad",
    [(kind, bad) for kind in PIECES for bad in REFUSALS if bad != "empty" or kind.__name__ not in OF_LINES],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_pieces_are_refused_as_the_scan_is(kind, bad, tmp_path):
    archive = volume(kind, tmp_path, bad)
    (scan_id,) = (header.scan_id for header in archive.headers)
    for call in (archive.read, lambda name: list(archive.partitions(name))):
        with pytest.raises(BadInput, match=REFUSALS[bad]) as error:
            call(scan_id)
        assert error.value.where == str(archive.path)
