"""fastMRI files: axes, mask, padding, header, oversampling."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.fastmri import FastMRI, write_fastmri
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.privacy.pseudonyms import pseudonym
from ssrecon.sampling.describe import describe_sampling
from tests.archive.mrd.lines import complex_noise

SLICES, COILS, PHASE, READOUT = 3, 4, 24, 40


@pytest.fixture
def kspace():
    return torch.from_numpy(complex_noise(SLICES, COILS, PHASE, READOUT))


def test_marked_sample_goes_both_ways(tmp_path):
    """The readout is second to last in the file, last here."""
    kspace = torch.zeros(2, 3, PHASE, READOUT, dtype=torch.complex64)
    kspace[1, 2, 5, 33] = 7 + 1j
    path = write_fastmri(tmp_path / "volume.h5", kspace)
    with h5py.File(path) as file:
        assert file["kspace"].shape == (2, 3, READOUT, PHASE)
        assert file["kspace"][1, 2, 33, 5] == 7 + 1j
        assert file["reconstruction_rss"].shape == (2, READOUT, PHASE)
    read = FastMRI(path).read("volume/slice-001").kspace
    assert read.shape == (1, 1, 3, PHASE, READOUT)
    assert read[0, 0, 2, 5, 33] == 7 + 1j
    assert read.count_nonzero() == 1


def test_train_file_is_full(tmp_path, kspace):
    path = write_fastmri(tmp_path / "v.h5", kspace, subject="someone", acquisition="CORPD_FBK", field_strength=3.0, protocol="t1 < t2")
    archive = open_archive(path)
    assert isinstance(archive.reader, FastMRI)
    assert len(archive) == SLICES
    assert archive.volumes() == {"v": ("v/slice-000", "v/slice-001", "v/slice-002")}
    for index, scan in enumerate(archive):
        torch.testing.assert_close(scan.kspace[0, 0], kspace[index], rtol=0, atol=0)
        assert scan.mask.all() and not scan.padding.any()
        assert scan.reference is None and scan.noise is None
        assert scan.header.slice == index
    header = archive.headers[0]
    assert (header.subject, header.contrast, header.protocol) == (pseudonym("someone"), "CORPD_FBK", "t1 < t2")
    assert header.field_strength == 3.0
    assert header.encoded_matrix == (PHASE, READOUT)
    with h5py.File(path) as file:
        assert header.volume_max == pytest.approx(file["reconstruction_rss"][:].max())


def test_subject_is_the_volume_where_it_is_not_told(tmp_path, kspace):
    assert FastMRI(write_fastmri(tmp_path / "v.h5", kspace)).headers[0].subject == "v"


def test_masked_file(tmp_path, kspace):
    mask = torch.zeros(PHASE, dtype=torch.bool)
    mask[::3] = True
    mask[8:16] = True
    path = write_fastmri(tmp_path / "test.h5", kspace, mask=mask)
    scan = FastMRI(path).read("test/slice-000")
    assert torch.equal(scan.mask[0, 0, 0], mask[:, None].expand(PHASE, READOUT))
    torch.testing.assert_close(scan.kspace[0, 0], torch.where(mask[:, None], kspace[0], 0), rtol=0, atol=0)
    with h5py.File(path) as file:
        assert "reconstruction_rss" not in file
    assert FastMRI(path).headers[0].volume_max is None


def test_padding_by_the_header_s_limits(tmp_path, kspace):
    """The file's own arithmetic: first column N // 2 - center, maximum + 1 columns; a mask is applied within them."""
    path = write_fastmri(tmp_path / "v.h5", kspace, limits=(3, 21), mask=torch.ones(PHASE, dtype=torch.bool))
    scan = FastMRI(path).read("v/slice-001")
    padded = scan.padding[0, 0, 0]
    assert padded[:3].all() and padded[21:].all() and not padded[3:21].any()
    assert torch.equal(scan.mask, ~scan.padding)
    assert not scan.kspace[..., :3, :].any() and not scan.kspace[..., 21:, :].any()
    assert describe_sampling(scan).missing_side == ("", "")
    partial = FastMRI(write_fastmri(tmp_path / "p.h5", kspace, limits=(8, 24))).read("p/slice-001")
    assert describe_sampling(partial).missing_side == ("low", "")


def test_limits_that_contradict_the_samples_are_not_used(tmp_path, kspace):
    path = write_fastmri(tmp_path / "v.h5", kspace, limits=(3, 21))
    with h5py.File(path, "a") as file:
        file["kspace"][1, :, :, 0] = 1
    archive = FastMRI(path)
    assert not archive.read("v/slice-000").padding.any()
    assert "not used" in archive.headers[0].notes["encoding limits"]


def test_two_dimensional_mask_has_no_readout(tmp_path, kspace):
    mask = torch.rand(PHASE, READOUT, generator=torch.Generator().manual_seed(0)) < 0.4
    archive = FastMRI(write_fastmri(tmp_path / "v.h5", kspace, mask=mask))
    assert archive.headers[0].encoding == GridPoints()
    assert torch.equal(archive.read("v/slice-000").mask[0, 0, 0], mask)


def test_columns_written_as_a_two_dimensional_mask_keep_the_readout(tmp_path, kspace):
    mask = (torch.arange(PHASE) % 2 == 0)[:, None].expand(PHASE, READOUT)
    archive = FastMRI(write_fastmri(tmp_path / "v.h5", kspace, mask=mask))
    assert archive.headers[0].encoding == WholeLines()
    assert torch.equal(archive.read("v/slice-000").mask[0, 0, 0], mask)


def test_single_coil_is_one_coil(tmp_path, kspace):
    path = write_fastmri(tmp_path / "v.h5", kspace)
    with h5py.File(path, "a") as file:
        single = file["kspace"][:, 0]
        del file["kspace"]
        file["kspace"] = single
    scan = FastMRI(path).read("v/slice-002")
    assert scan.kspace.shape == (1, 1, 1, PHASE, READOUT)
    torch.testing.assert_close(scan.kspace[0, 0, 0], kspace[2, 0])


def test_readout_oversampling_is_removed(tmp_path):
    """What is left is the central field of view at its own resolution; white noise keeps its variance."""
    noise = torch.from_numpy(complex_noise(1, 8, 64, 128))
    image = torch.zeros(64, 64, dtype=torch.complex64)
    image[20:40, 10:50] = 1 + 0.5j
    wide = torch.zeros(64, 128, dtype=torch.complex64)
    wide[:, 32:96] = image

    def transform(x):
        return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(x), norm="ortho"))

    fov = {"encoded_fov": (64.0, 128.0), "recon_fov": (64.0, 64.0), "recon_matrix": (64, 64)}
    clean = FastMRI(write_fastmri(tmp_path / "a.h5", transform(wide)[None, None], **fov)).read("a/slice-000")
    torch.testing.assert_close(clean.kspace[0, 0, 0], transform(image), rtol=1e-4, atol=1e-4)
    assert clean.header.encoded_matrix == (64, 64)
    assert clean.header.encoded_fov == (64.0, 64.0)
    assert clean.mask.shape == (1, 1, 1, 64, 64)
    noisy = FastMRI(write_fastmri(tmp_path / "b.h5", noise, **fov)).read("b/slice-000")
    assert float(noisy.kspace.abs().square().mean()) == pytest.approx(1, abs=0.02)
    neighbours = (noisy.kspace[..., 1:] * noisy.kspace[..., :-1].conj()).mean().abs()
    assert float(neighbours) < 0.02


def test_times_and_sizes_of_the_header(tmp_path, kspace):
    """fastMRI's header has no directions: where a slice lies stays unknown. Its slices are as thick as the field of view along z."""
    timing = {"echo_time": (2.5, 5.0), "repetition_time": 2200.0, "inversion_time": None, "flip_angle": 140.0}
    header = FastMRI(write_fastmri(tmp_path / "v.h5", kspace, timing=timing, encoded_fov=(2.0 * PHASE, 1.5 * READOUT))).headers[0]
    assert header.timing == timing
    geometry = header.geometry
    assert geometry.voxel_size == (1.0, 2.0, 1.5) and geometry.field_of_view == (1.0, 2.0 * PHASE, 1.5 * READOUT)
    assert geometry.axes == ("phase", "read") and geometry.position is None and not geometry.known
    cut = FastMRI(write_fastmri(tmp_path / "w.h5", kspace, mask=torch.rand(PHASE, READOUT) < 0.4)).headers[0]
    assert cut.geometry.voxel_size is None and set(cut.timing.values()) == {None}


def test_noise_and_truth_survive(tmp_path, kspace):
    noise = complex_noise(5, COILS, 16, seed=1)
    path = write_fastmri(tmp_path / "v.h5", kspace, noise=noise, noise_bandwidth_ratio=2.5, truth=2 * kspace)
    scan = FastMRI(path).read("v/slice-001")
    torch.testing.assert_close(scan.noise, torch.from_numpy(noise))
    assert scan.noise_bandwidth_ratio == 2.5
    torch.testing.assert_close(scan.truth[0, 0], 2 * kspace[1])
    assert verdict(scan).noise == "noise scan"


def test_nan_outside_the_mask_is_dropped(tmp_path, kspace):
    mask = torch.arange(PHASE) % 2 == 0
    path = write_fastmri(tmp_path / "v.h5", kspace, mask=mask)
    with h5py.File(path, "a") as file:
        file["kspace"][0, :, :, 1] = np.nan
    assert torch.isfinite(torch.view_as_real(FastMRI(path).read("v/slice-000").kspace)).all()


def test_one_slice_is_read_at_a_time(tmp_path, kspace, kspace_reads):
    """Listing touches no samples, and a slice only its own."""
    archive = FastMRI(write_fastmri(tmp_path / "v.h5", kspace))
    assert len(archive.headers) == SLICES and kspace_reads == []
    archive.read("v/slice-002")
    assert kspace_reads == [(2,)]


def test_zero_lines_without_a_mask_may_not_train(tmp_path, kspace):
    """A file that was undersampled by writing zeros: its mask is not guessed, and it is not taken for fully sampled."""
    kspace[:, :, 1::2] = 0
    found = verdict(FastMRI(write_fastmri(tmp_path / "v.h5", kspace)).read("v/slice-000"))
    assert not found.may_train
    assert "50%" in found.reasons[0]


def test_real_files(test_data):
    """Poisson disc without a readout; two full scans. RSS of what is read is the file's own, the axes swapped."""
    archive = open_archive(test_data / "brain")
    assert len(archive) == 3
    poisson = archive.read("brain_a_poisson/slice-000")
    assert poisson.header.encoding == GridPoints()
    assert float(poisson.mask.float().mean()) == pytest.approx(0.124, abs=0.001)
    found = verdict(poisson)
    assert found.may_train and found.pattern == "Poisson disc" and min(found.calibration) >= 20
    for name in ("brain_d", "brain_f"):
        scan = archive.read(f"{name}/slice-000")
        assert verdict(scan).pattern == "full"
        image = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(scan.kspace, dim=(-2, -1)), norm="ortho"), dim=(-2, -1))
        rss = torch.linalg.vector_norm(image[0, 0], dim=0)
        with h5py.File(test_data / "brain" / f"{name}.h5") as file:
            stored = torch.from_numpy(file["reconstruction_rss"][0]).mT
        torch.testing.assert_close(rss / stored.max(), stored / stored.max(), rtol=0, atol=1e-4)


def example(folder):
    """For the contract of every archive."""
    mask = torch.arange(PHASE) % 2 == 0
    mask[8:16] = True
    return write_fastmri(folder / "v.h5", complex_noise(SLICES, COILS, PHASE, READOUT), mask=mask, limits=(2, 22))
