"""Archives written to a folder, and multi-coil scans from coil-combined images."""

import sys
from dataclasses import replace

import h5py
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.mrd.header import parse_header
from ssrecon.core.errors import BadInput, OutputInUse
from ssrecon.core.scan import Header
from ssrecon.operators import Fourier
from ssrecon.simulation import PhantomArchive, T1Weighted, T2Weighted, simulate, simulate_coils
from tests.scans import smooth_image

ARCHIVE = PhantomArchive(subjects=2, slices=2, matrix=(48, 32), coils=3, contrasts=(T1Weighted(), T2Weighted()), noise_bandwidth_ratio=1.5)


def test_what_is_written_is_what_is_read(tmp_path):
    files = simulate(tmp_path / "archive", ARCHIVE)
    assert [path.name for path in files] == [f"phantom-000{s}-{c}.h5" for s in range(2) for c in ("T1", "T2")]
    read = open_archive(tmp_path / "archive")
    assert len(read) == len(ARCHIVE)
    made, found = ARCHIVE.read("phantom-0001-T2-001"), read.read("phantom-0001-T2/slice-001")
    for name in ("kspace", "mask", "padding", "noise", "truth"):
        assert torch.equal(getattr(made, name), getattr(found, name)), name
    assert found.noise_bandwidth_ratio == 1.5 and found.reference is None
    for name in (
        "subject",
        "volume_id",
        "slice",
        "contrast",
        "field_strength",
        "encoded_matrix",
        "encoded_fov",
        "recon_matrix",
        "vendor",
        "timing",
    ):
        assert getattr(made.header, name) == getattr(found.header, name), name


def test_an_interrupted_call_is_continued(tmp_path, monkeypatch):
    module = sys.modules[simulate.__module__]
    whole = module.write_fastmri
    written = []

    def fails_at_the_third(path, *args, **options):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)
        return whole(path, *args, **options)

    monkeypatch.setattr(module, "write_fastmri", fails_at_the_third)
    with pytest.raises(OSError):
        simulate(tmp_path, ARCHIVE)
    kept = {path: path.stat().st_mtime_ns for path in written}
    damaged = written[1]
    damaged.write_bytes(damaged.read_bytes()[:2000])
    monkeypatch.setattr(module, "write_fastmri", whole)
    files = simulate(tmp_path, ARCHIVE)
    assert written[0].stat().st_mtime_ns == kept[written[0]], "what was whole is left alone"
    with h5py.File(damaged) as file:
        assert file["kspace"].shape == (2, 3, 32, 48)
    assert len(files) == 4 and len(open_archive(tmp_path)) == 8


def test_a_folder_in_use_is_left_as_it_was(tmp_path):
    simulate(tmp_path / "one", replace(ARCHIVE, subjects=1))
    before = {path: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    with pytest.raises(OutputInUse, match="ssrecon.json"):
        simulate(tmp_path / "one", replace(ARCHIVE, subjects=1, seed=5))
    assert {path: path.read_bytes() for path in (tmp_path / "one").iterdir()} == before
    (tmp_path / "one" / ".ssrecon.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(OutputInUse, match="ssrecon.json"):
        simulate(tmp_path / "one", replace(ARCHIVE, subjects=1))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("all there is")
    with pytest.raises(OutputInUse, match="thesis.tex"):
        simulate(tmp_path / "other", ARCHIVE)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]
    # A volume of the right name, but nothing to say that it is of this archive.
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "phantom-0000-T1.h5").write_bytes(b"measured")
    with pytest.raises(OutputInUse):
        simulate(tmp_path / "foreign", ARCHIVE)
    assert (tmp_path / "foreign" / "phantom-0000-T1.h5").read_bytes() == b"measured"
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="found a file"):
        simulate(tmp_path / "file", ARCHIVE)


def slices_as_others_list_them(folder):
    """As fastMRI's `SliceDataset` does: whatever is not hidden is opened as HDF5 with a header and k-space; one entry a slice."""
    found = []
    for path in sorted(item for item in folder.iterdir() if not item.name.startswith(".")):
        with h5py.File(path) as file:
            assert parse_header(file["ismrmrd_header"][()], path).encodings
            found += [(path.name, index, file["kspace"][index].shape) for index in range(file["kspace"].shape[0])]
    return found


def test_other_programs_list_the_folder(tmp_path):
    simulate(tmp_path, ARCHIVE)
    assert len(slices_as_others_list_them(tmp_path)) == len(ARCHIVE)
    assert {shape for _, _, shape in slices_as_others_list_them(tmp_path)} == {(3, 32, 48)}


def test_a_folder_from_before_descriptions_were_hidden_is_continued(tmp_path):
    files = simulate(tmp_path, ARCHIVE)
    (tmp_path / ".ssrecon.json").rename(tmp_path / "archive.json")
    files[-1].unlink()
    assert len(open_archive(tmp_path)) == 6
    with pytest.raises(OutputInUse, match="archive.json"):
        simulate(tmp_path, replace(ARCHIVE, seed=5))
    simulate(tmp_path, ARCHIVE)
    assert len(slices_as_others_list_them(tmp_path)) == len(ARCHIVE) and (tmp_path / ".ssrecon.json").exists()


def header(name: str) -> Header:
    return Header(scan_id=name, volume_id=name, subject=name)


def test_coils_around_an_image():
    image = smooth_image((64, 48))[0, 0, 0]
    scan = simulate_coils(image, coils=6, noise_std=0.0)
    assert scan.kspace.shape == (1, 1, 6, 64, 48) and scan.noise is None and torch.equal(scan.kspace, scan.truth)
    rss = torch.linalg.vector_norm(Fourier(2).adjoint(scan.truth)[0, 0], dim=0)
    assert (rss - image.abs()).abs().max() < 0.03 * image.abs().max(), "the maps have unit norm"
    single = simulate_coils(image, coils=1, noise_std=0.0)
    assert torch.allclose(torch.linalg.vector_norm(single.truth), torch.linalg.vector_norm(image), rtol=0.01)


def test_noise_of_simulated_coils():
    image = smooth_image((64, 64))[0, 0, 0]
    scan = simulate_coils(image, coils=5, noise_std=0.05, seed=2, header=header("a"))
    readouts = scan.noise.permute(1, 0, 2).flatten(1)
    covariance = readouts @ readouts.conj().T / readouts.shape[1]
    white = torch.linalg.solve(torch.linalg.cholesky(covariance), (scan.kspace - scan.truth)[0, 0].flatten(1))
    assert torch.allclose(white @ white.conj().T / white.shape[1], torch.eye(5, dtype=white.dtype), atol=0.08)
    # c^H Psi^-1 c with the maps themselves, from images of the truth where there is signal
    images = Fourier(2).adjoint(scan.truth)[0, 0]
    maps = (images / torch.linalg.vector_norm(images, dim=0)).flatten(1)
    combined = (maps.conj() * torch.linalg.solve(covariance, maps)).sum(0).real ** -0.5
    inside = image.abs().flatten() > 0.3
    assert float(combined[inside].median()) == pytest.approx(0.05 * float(torch.quantile(image.abs(), 0.99)), rel=0.25)
    same, other = (simulate_coils(image, coils=5, noise_std=0.05, seed=2, header=header(name)) for name in "ab")
    assert torch.equal(same.kspace, scan.kspace)
    assert torch.equal(other.truth, scan.truth) and not torch.equal(other.kspace, scan.kspace)


def test_bad_images():
    with pytest.raises(BadInput, match=r"shape \(2, 8, 8\)"):
        simulate_coils(torch.zeros(2, 8, 8, dtype=torch.complex64))
    with pytest.raises(BadInput, match="knee: found"):
        simulate_coils(torch.full((8, 8), float("nan"), dtype=torch.complex64), header=header("knee"))
    with pytest.raises(BadInput, match="noise_std=-1"):
        simulate_coils(torch.ones(8, 8, dtype=torch.complex64), noise_std=-1)
