"""SKM-TEA: hybrid axes, and lines that were interpolated told from those that were acquired."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.skm_tea import SKMTEA, interpolated_lines
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.encoding import HybridSlice
from ssrecon.core.errors import BadInput
from tests.archive.mrd.lines import complex_noise

X, Y, Z, ECHOES, COILS, PADDING = 3, 72, 40, 2, 4, 4
NOISE = 0.01


def transform(image, axes=(-2, -1), inverse=False):
    move = np.fft.ifftn if inverse else np.fft.fftn
    return np.fft.fftshift(move(np.fft.ifftshift(image, axes=axes), axes=axes, norm="ortho"), axes=axes)


def scan(seed=0):
    """Fully sampled (coil, kz, ky) of an object before smooth coils, with noise."""
    z, y = np.meshgrid(np.linspace(-1, 1, Z), np.linspace(-1, 1, Y), indexing="ij")
    image = ((z / 0.7) ** 2 + (y / 0.8) ** 2 < 1) * (1 + 0.5 * np.sin(9 * y) * np.cos(7 * z))
    centres = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    coils = np.stack([np.exp(-((z - a) ** 2 + (y - b) ** 2) / 2 + 1j * (a * y - b * z)) for a, b in centres])
    return transform(coils * image) + NOISE * complex_noise(COILS, Z, Y, seed=seed)


def filled(kspace, parity=0, width=16, support=True):
    """What a 2 x 1 scan and parallel imaging make of it: lines of `parity` that are not in the central `width` from their neighbours, by a
    kernel of 2 x 3 fitted to the calibration region. Returns the k-space and what was acquired."""
    lines = np.arange(Y)
    acquired = (lines % 2 != parity) | (np.abs(lines - Y // 2) <= width // 2)
    kspace = kspace * support
    padded = np.pad(kspace, ((0, 0), (1, 1), (1, 1)))
    sources = np.concatenate([padded[:, s : s + Z, 1 + o : 1 + o + Y] for o in (-1, 1) for s in range(3)])
    inside = np.zeros((Z, Y), bool)
    inside[4:-4, np.abs(lines - Y // 2) < width // 2] = True
    weights = np.linalg.lstsq(sources[:, inside].T, kspace[:, inside].T, rcond=None)[0]
    made = np.moveaxis(np.moveaxis(sources, 0, -1) @ weights, -1, 0)
    return np.where(acquired, kspace, made) * support, np.broadcast_to(acquired, (Z, Y))


def ellipse():
    z, y = np.meshgrid((np.arange(Z) - Z // 2) / (Z / 2 - PADDING), (np.arange(Y) - Y // 2) / (Y / 2), indexing="ij")
    return (z**2 + y**2) < 1


def write(path, kspace, maps=None):
    """`kspace` (x, echo, coil, kz, ky) in the file's axes."""
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ascontiguousarray(kspace.transpose(0, 4, 3, 1, 2).astype(np.complex64))
        shape = file["kspace"].shape
        file["maps"] = complex_noise(*shape[:3], shape[4], 1) if maps is None else maps
        file["target"] = complex_noise(*shape[:3], shape[3], 1)
        file.attrs["patient_name"] = "Doe^Jane"
    return path


def published(path, parity=0):
    made = [[filled(scan(seed=10 * x + echo), parity, support=ellipse()) for echo in range(ECHOES)] for x in range(X)]
    return write(path, np.stack([[one[0] for one in echoes] for echoes in made])), made[0][0][1]


def test_marked_sample_keeps_its_place(tmp_path):
    kspace = np.full((X, ECHOES, COILS, Z, Y), 1e-6, np.complex64)
    kspace[1, 1, 2, 7, 11] = 7 + 1j
    maps = np.zeros((X, Y, Z, COILS, 1), np.complex64)
    maps[1, 11, 7, 2, 0] = 3j
    path = write(tmp_path / "MTR_005.h5", kspace, maps)
    with h5py.File(path) as file:
        assert file["kspace"][1, 11, 7, 1, 2] == 7 + 1j
    read = SKMTEA(path, acquired=np.ones((Z, Y), bool)).read("MTR_005/slice-001")
    assert read.kspace.shape == (1, ECHOES, COILS, Z, Y) and read.kspace[0, 1, 2, 7, 11] == 7 + 1j
    assert read.csm.shape == (1, 1, COILS, Z, Y) and read.csm[0, 0, 2, 7, 11] == 3j and read.csm.count_nonzero() == 1
    assert isinstance(read.header.encoding, HybridSlice) and read.header.encoded_matrix == (Z, Y)


@pytest.mark.parametrize("parity", [0, 1])
def test_interpolated_lines_are_not_acquired(tmp_path, parity):
    path, acquired = published(tmp_path / "v.h5", parity)
    archive = open_archive(path)
    assert isinstance(archive.reader, SKMTEA) and len(archive) == X
    read = archive.read("v/slice-002")
    mask, padding = read.mask[0, 0, 0].numpy(), read.padding[0, 0, 0].numpy()
    assert np.array_equal(padding, ~ellipse())
    assert not (mask & ~acquired).any()  # nothing that was interpolated
    lattice = np.broadcast_to(np.arange(Y) % 2 != parity, (Z, Y))
    assert mask[lattice & ellipse()].all()  # every line of the lattice
    assert mask[Z // 2, Y // 2 - 4 : Y // 2 + 5].all()  # and the calibration region, but for its border
    found = verdict(read)
    assert found.may_train and 1.5 < found.acceleration < 2.5  # of the box about the ellipse
    assert not read.kspace[:, :, :, torch.from_numpy(~mask)].any()


def test_along_the_other_axis():
    kspace = scan().swapaxes(1, 2)[:, :, :]
    lines = np.arange(Y)
    data, acquired = filled(kspace.swapaxes(1, 2))
    found = interpolated_lines(np.ascontiguousarray(data.swapaxes(1, 2)), np.zeros((Y, Z), bool))
    assert found is not None and found[lines % 2 == 0][:8].all() and not found[lines % 2 == 1].any()
    assert not (~found & ~acquired.T).any()


def test_what_was_really_sampled_in_full_is_not_taken_for_interpolated():
    assert interpolated_lines(scan(), np.zeros((Z, Y), bool)) is None
    assert interpolated_lines(complex_noise(COILS, Z, Y), np.zeros((Z, Y), bool)) is None
    assert interpolated_lines(np.zeros((COILS, Z, Y), complex), np.ones((Z, Y), bool)) is None
    assert interpolated_lines(complex_noise(COILS, 5, 6), np.zeros((5, 6), bool)) is None


def test_refused_where_acquired_lines_cannot_be_told(tmp_path):
    path = write(tmp_path / "v.h5", complex_noise(X, ECHOES, COILS, Z, Y))
    archive = open_archive(path)
    with pytest.raises(BadInput, match="v.h5: found k-space filled by ARC, whose acquired lines.*expected SKMTEA\\(path, acquired="):
        archive.read("v/slice-000")
    mask = np.zeros((Z, Y), bool)
    mask[:, ::2] = True
    read = SKMTEA(path, acquired=mask).read("v/slice-000")
    assert torch.equal(read.mask[0, 1, 0], torch.from_numpy(mask)) and read.header.notes["sampling"] == "as the user gave it"
    with pytest.raises(BadInput, match=r"acquired \(72, 40\); expected \(40, 72\)"):
        SKMTEA(path, acquired=mask.T).read("v/slice-000")


def test_nothing_else_gets_through(tmp_path):
    archive = open_archive(published(tmp_path / "v.h5")[0])
    assert "Doe" not in archive.describe() + repr(archive.headers)


def test_wrong_shapes_and_truncation(tmp_path):
    path = write(tmp_path / "v.h5", complex_noise(X, ECHOES, COILS, Z, Y), complex_noise(X, Y, Z, COILS - 1, 1))
    with pytest.raises(BadInput, match=r"v.h5: found kspace \(3, 72, 40, 2, 4\) and maps \(3, 72, 40, 3, 1\)"):
        _ = open_archive(path).headers
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(BadInput, match="truncated"):
        _ = SKMTEA(path).headers
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["kspace"] = complex_noise(2, 2, 2, 2, 2)
    with pytest.raises(BadInput, match="with kspace at its top; expected a SKM-TEA file"):
        _ = SKMTEA(tmp_path / "w.h5").headers


def test_values_that_are_not_finite(tmp_path):
    path, _ = published(tmp_path / "v.h5")
    with h5py.File(path, "a") as file:
        file["kspace"][0, Y // 2, Z // 2, 0, 0] = np.nan
    with pytest.raises(BadInput, match="1 acquired samples of v/slice-000 that are not finite"):
        SKMTEA(path).read("v/slice-000")


def example(folder):
    """For the contract of every archive."""
    return published(folder / "MTR_005.h5")[0]
