"""BART pairs: dimensions, companions, and BART itself as the judge of what they mean."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.bart import Bart
from ssrecon.archive.fastmri.writer import write_fastmri
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.encoding import HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.operators import Fourier
from ssrecon.sampling.describe import describe_sampling
from tests.archive.mrd.lines import complex_noise

bart_is_there = pytest.mark.skipif(shutil.which("bart") is None, reason="BART is not installed")


def write_pair(folder, name, array, command="phantom for Doe^Jane"):
    """`array` has BART's dimensions, the readout first."""
    shape = (*array.shape, *(1,) * (16 - array.ndim))
    (folder / f"{name}.hdr").write_text(f"# Dimensions\n{' '.join(map(str, shape))} \n# Command\n{command}\n# Files\n >{name}\n")
    np.asarray(array, np.complex64).ravel(order="F").tofile(folder / f"{name}.cfl")
    return folder / f"{name}.cfl"


def read_pair(path):
    shape = [int(n) for n in path.with_suffix(".hdr").read_text().splitlines()[1].split()]
    return np.fromfile(path, np.complex64).reshape(shape, order="F")


def run_bart(folder, *arguments):
    subprocess.run(["bart", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def kspace(x=20, y=16, z=1, coils=3, seed=0):
    array = complex_noise(x, y, z, coils, seed=seed)
    array[x // 2, y // 2] = 100
    return array


def test_marked_sample_keeps_its_place(tmp_path):
    array = np.zeros((20, 16, 1, 3, 1, 2, 1, 1, 1, 1, 4, 1, 1, 5), np.complex64)
    array[7, 11, 0, 2, 0, 1, 0, 0, 0, 0, 3, 0, 0, 4] = 7 + 1j
    scan = Bart(write_pair(tmp_path, "k", array)).read("k/slice-004")
    assert scan.kspace.shape == (1, 8, 3, 16, 20)
    assert scan.kspace[0, 3 * 2 + 1, 2, 11, 7] == 7 + 1j and scan.kspace.count_nonzero() == 1


def test_volume_and_hybrid_slice(tmp_path):
    array = kspace(z=6)
    volume = Bart(write_pair(tmp_path, "k", array)).read("k/slice-000")
    assert volume.header.encoded_matrix == (6, 16, 20) and volume.header.encoding == WholeLines()
    assert volume.kspace[0, 0, 2, 4, 5, 9] == complex(array[9, 5, 4, 2])
    archive = Bart(write_pair(tmp_path, "h", array[:1]))
    assert archive.headers[0].encoded_matrix == (6, 16) and isinstance(archive.headers[0].encoding, HybridSlice)
    assert "taken for a slice of a 3-D scan" in archive.headers[0].notes["readout"]


@bart_is_there
def test_bart_s_own_files(tmp_path):
    """Its phantom, transformed by its unitary transform and by ours, is one image."""
    run_bart(tmp_path, "phantom", "-x", "32", "-s", "4", "-k", "k")
    run_bart(tmp_path, "fft", "-iu", "3", "k", "image")
    archive = open_archive(tmp_path / "k.hdr")
    assert isinstance(archive.reader, Bart) and "centre" not in archive.headers[0].notes
    image = Fourier(2).adjoint(archive.read("k/slice-000").kspace)[0, 0]
    expected = torch.from_numpy(read_pair(tmp_path / "image.cfl").reshape(32, 32, 4, order="F").T.copy())
    torch.testing.assert_close(image, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@bart_is_there
def test_bart_s_pattern_and_sensitivities(tmp_path):
    run_bart(tmp_path, "phantom", "-x", "32", "-s", "4", "-k", "full")
    run_bart(tmp_path, "upat", "-Y", "32", "-Z", "1", "-y", "2", "-c", "16", "lines")
    run_bart(tmp_path, "fmac", "full", "lines", "k")
    run_bart(tmp_path, "ecalib", "-m", "2", "k", "k_sens")
    run_bart(tmp_path, "pattern", "k", "k_pattern")
    scan = open_archive(tmp_path / "k.cfl").read("k/slice-000")
    lines = read_pair(tmp_path / "lines.cfl").reshape(1, 32)[0] != 0
    assert torch.equal(scan.mask[0, 0, 0], torch.from_numpy(lines)[:, None].expand(32, 32))
    assert scan.csm.shape == (1, 2, 4, 32, 32)
    assert torch.linalg.vector_norm(scan.csm[0, 0], dim=0).max() == pytest.approx(1, abs=1e-4)
    assert verdict(scan).may_train


def test_sampling_without_a_pattern_is_what_is_not_zero(tmp_path):
    array = kspace()
    array[:, ::3] = 0
    array[:, 8, :, 0] = 0  # one coil being zero does not make a line one that was not acquired
    scan = Bart(write_pair(tmp_path, "k", array)).read("k/slice-000")
    expected = torch.arange(16) % 3 != 0
    assert torch.equal(scan.mask[0, 0, 0], expected[:, None].expand(16, 20)) and not scan.padding.any()
    assert "zeros" in scan.header.notes["sampling"]


def test_partial_fourier_is_told(tmp_path):
    array = kspace(y=32)
    assert describe_sampling(Bart(write_pair(tmp_path, "k", array)).read("k/slice-000")).missing_side == ("", "")
    array[:, :8] = 0
    assert describe_sampling(Bart(write_pair(tmp_path, "k", array)).read("k/slice-000")).missing_side == ("low", "")


def test_pattern_decides_frame_by_frame(tmp_path):
    array = np.repeat(kspace()[..., None, None, None, None, None, None, None], 2, axis=10)
    pattern = np.zeros((1, 16, 1, 1, 1, 1, 1, 1, 1, 1, 2))
    pattern[:, 0::2, ..., 0] = pattern[:, 1::2, ..., 1] = 1
    array[3, 1, 0, 0, ..., 0] = np.nan  # outside the mask it is harmless
    write_pair(tmp_path, "k_pattern", pattern)
    scan = Bart(write_pair(tmp_path, "k", array)).read("k/slice-000")
    assert scan.mask.shape == (1, 2, 1, 16, 20) and "sampling" not in scan.header.notes
    assert scan.mask[0, 0, 0, 0::2].all() and not scan.mask[0, 0, 0, 1::2].any() and scan.mask[0, 1, 0, 1::2].all()


def test_noise_readouts(tmp_path):
    path = write_pair(tmp_path, "k", kspace())
    noise = complex_noise(64, 5, 1, 3, seed=1)
    write_pair(tmp_path, "k_noise", noise)
    scan = Bart(path).read("k/slice-000")
    assert scan.noise.shape == (5, 3, 64) and scan.noise[2, 1, 40] == complex(noise[40, 2, 0, 1])
    assert scan.noise_bandwidth_ratio == 1


def test_folder_reads_each_pair_once(tmp_path):
    write_pair(tmp_path, "k", kspace())
    write_pair(tmp_path, "k_sens", kspace())
    write_pair(tmp_path, "k_noise", kspace())
    write_pair(tmp_path, "scan", kspace())
    write_fastmri(tmp_path / "v.h5", complex_noise(1, 2, 8, 8))
    archive = open_archive(tmp_path)
    assert [header.scan_id for header in archive.headers] == ["k/slice-000", "scan/slice-000", "v/slice-000"]
    assert archive.skipped == {}


def test_what_is_far_from_centred_gets_a_note(tmp_path):
    array = complex_noise(20, 16, 1, 3)
    array[2, 3] = 1000
    assert "is this k-space" in Bart(write_pair(tmp_path, "k", array)).headers[0].notes["centre"]


def test_nothing_of_the_command_gets_through(tmp_path):
    archive = Bart(write_pair(tmp_path, "k", kspace(), command="twixread Doe^Jane_19700101.dat k"))
    assert "Doe" not in repr(archive.read("k/slice-000").header) + archive.describe()


def assert_refused(path, found, expected):
    with pytest.raises(BadInput) as caught:
        _ = open_archive(path).headers
    assert found in caught.value.found and expected in caught.value.expected and path.stem in caught.value.where


def test_truncated(tmp_path):
    path = write_pair(tmp_path, "k", kspace())
    path.write_bytes(path.read_bytes()[:-8])
    assert_refused(path, f"{20 * 16 * 3 * 8 - 8} bytes", f"{20 * 16 * 3 * 8} bytes")
    path.unlink()
    assert_refused(path.with_suffix(".hdr"), "no such file", "bytes")


@pytest.mark.parametrize("line", ["", "a b", "20 0 1 3", "-1 -1", "20 16 1 3 " + "1 " * 12 + "2"])
def test_bad_dimensions(tmp_path, line):
    path = write_pair(tmp_path, "k", kspace())
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{line}\n")
    assert_refused(path, "dimensions", "")


def test_absurd_dimensions_cost_nothing(tmp_path):
    path = write_pair(tmp_path, "k", kspace())
    path.with_suffix(".hdr").write_text("# Dimensions\n" + "999999999 " * 16 + "\n")
    assert_refused(path, "bytes", "as the dimensions")


@pytest.mark.parametrize(
    ("shape", "found"), [((20, 16, 1, 3, 2), "dimension 4 of 2"), ((20, 1, 1, 3), "(20, 1, 1)"), ((1, 16, 1, 3), "(1, 16, 1)")]
)
def test_shapes_that_are_no_cartesian_kspace(tmp_path, shape, found):
    assert_refused(write_pair(tmp_path, "k", complex_noise(*shape)), found, "")


def test_companions_that_do_not_fit(tmp_path):
    path = write_pair(tmp_path, "k", kspace())
    for name, shape, found in [
        ("k_pattern", (20, 15), "dimension 1 of 15"),
        ("k_sens", (20, 16, 1, 2), "dimension 3 of 2"),
        ("k_noise", (64, 5, 1, 4), "noise of 4 coils"),
    ]:
        other = write_pair(tmp_path, name, complex_noise(*shape))
        with pytest.raises(BadInput, match=found) as caught:
            Bart(path).read("k/slice-000")
        assert name in caught.value.where
        other.unlink(), other.with_suffix(".hdr").unlink()


def test_trajectories_are_refused(tmp_path):
    write_pair(tmp_path, "k_traj", complex_noise(3, 20, 16))
    assert_refused(write_pair(tmp_path, "k", complex_noise(1, 20, 16, 3)), "trajectory", "Cartesian")


def test_values_that_are_not_finite(tmp_path):
    array = kspace()
    array[3, 4, 0, 1] = np.nan
    with pytest.raises(BadInput, match="1 acquired samples of k/slice-000 that are not finite"):
        Bart(write_pair(tmp_path, "k", array)).read("k/slice-000")


def example_volume(folder, bad=None):
    """A 3-D scan with all companions, for the contract of every archive that gives pieces."""
    array, pattern = kspace(z=6), np.ones((1, 16, 6))
    pattern[:, 1::4, 2:] = pattern[:, :, 3] = 0
    if bad == "not finite":
        array[3, 4, 4, 1] = np.nan
    write_pair(folder, "k_pattern", pattern * (bad != "empty"))
    write_pair(folder, "k_sens", complex_noise(20, 16, 6, 3, 2))
    write_pair(folder, "k_noise", complex_noise(32, 4, 1, 3))
    return write_pair(folder, "k", array)


def example(folder):
    """For the contract of every archive."""
    array = np.repeat(kspace()[..., None, None, None, None, None, None, None, None, None, None], 2, axis=13)
    array[:, 1::4] = 0
    write_pair(folder, "k_noise", complex_noise(32, 4, 1, 3))
    return write_pair(folder, "k", array)
