"""CMRxRecon: MATLAB's axes and compound numbers, masks in other files and folders, three years."""

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from ssrecon.archive import open_archive
from ssrecon.archive.cmrxrecon import CMRxRecon
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.encoding import GridPoints, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.privacy.identifying import identity_of
from tests.archive.mrd.lines import complex_noise

T, Z, COILS, Y, X = 3, 2, 4, 32, 24
COMPOUND = np.dtype([("real", "<f4"), ("imag", "<f4")])


def write_mat(path, **variables):
    """MATLAB 7.3: 512 bytes before the HDF5, complex numbers as compounds, axes reversed (given here as HDF5 has them)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("#refs#")
        for name, array in variables.items():
            data = np.ascontiguousarray(array, np.complex64).view(COMPOUND).reshape(array.shape) if np.iscomplexobj(array) else array
            file[name] = data
            file[name].attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def uniform(y=Y, x=X, step=4):
    mask = np.zeros((y, x))
    mask[::step] = mask[y // 2 - 8 : y // 2 + 8] = 1
    return mask


def test_marked_sample_keeps_its_place(tmp_path):
    kspace = np.zeros((T, Z, COILS, Y, X), np.complex64)
    kspace[2, 1, 3, 5, 11] = 7 + 1j
    archive = open_archive(write_mat(tmp_path / "cine_sax.mat", kspace_full=kspace))
    assert isinstance(archive.reader, CMRxRecon)
    scan = archive.read("cine_sax/slice-001")
    assert scan.kspace.shape == (1, T, COILS, Y, X)
    assert scan.kspace[0, 2, 3, 5, 11] == 7 + 1j and scan.kspace.count_nonzero() == 1
    assert scan.mask.all() and not scan.padding.any()


@pytest.mark.parametrize(
    ("name", "shape", "scans", "frames", "coils"),
    [
        ("kspace_full", (Z, COILS, Y, X), Z, 1, COILS),  # black blood: no frames
        ("kspace", (COILS, Y, X), 1, 1, COILS),
        ("kspace_single_full", (T, Z, Y, X), Z, T, 1),
        ("kspace_single_full", (Z, Y, X), Z, 1, 1),
        ("kspace_single_full", (Y, X), 1, 1, 1),
    ],
)
def test_missing_axes(tmp_path, name, shape, scans, frames, coils):
    kspace = complex_noise(*shape)
    archive = CMRxRecon(write_mat(tmp_path / "a.mat", **{name: kspace}))
    assert len(archive) == scans
    read = archive.read(archive.headers[-1].scan_id).kspace
    assert read.shape == (1, frames, coils, Y, X)
    assert read[0, -1, -1, 5, 11] == complex(kspace[..., 5, 11].ravel()[-1])


@pytest.mark.parametrize("factor", ["04", "08"])
def test_2023(tmp_path, factor):
    folder = tmp_path / "MultiCoil" / "Cine" / "ValidationSet" / f"AccFactor{factor}" / "P007"
    mask = uniform(step=int(factor))
    write_mat(folder / "cine_lax.mat", **{f"kspace_sub{factor}": complex_noise(T, Z, COILS, Y, X) * mask})
    write_mat(folder / "cine_lax_mask.mat", mask04=uniform(step=4), mask08=uniform(step=8))
    archive = open_archive(tmp_path)
    assert len(archive) == Z and archive.skipped == {}
    header = archive.headers[0]
    assert (header.subject, header.contrast) == ("ValidationSet-P007", "Cine")
    scan = archive.read(header.scan_id)
    assert torch.equal(scan.mask[0, 1, 0], torch.from_numpy(mask != 0))
    assert verdict(scan).may_train and verdict(scan).calibration[0] >= 16


def test_2024_masks_by_frame_in_another_folder(tmp_path):
    root = tmp_path / "ChallengeData" / "MultiCoil" / "Mapping" / "ValidationSet"
    mask = np.stack([np.roll(uniform(), frame, axis=0) for frame in range(T)])
    kspace = complex_noise(T, Z, COILS, Y, X)
    write_mat(root / "UnderSample_Task2" / "P001" / "T1map_kus_ktUniform4.mat", kus=kspace * mask[:, None, None])
    write_mat(root / "Mask_Task2" / "P001" / "T1map_mask_ktUniform4.mat", mask=mask)
    archive = open_archive(tmp_path)
    assert len(archive) == Z and archive.skipped == {}  # the mask lies before its k-space, and is no fault
    scan = archive.read(archive.headers[1].scan_id)
    assert torch.equal(scan.mask[0, :, 0], torch.from_numpy(mask != 0))
    np.testing.assert_allclose(scan.kspace[0].numpy(), kspace[:, 1] * mask[:, None])


def test_2025_centres_and_scanners(tmp_path):
    for centre, scanner in (("Center001", "UIH_30T_umr780"), ("Center002", "Siemens_15T_Avanto")):
        folder = tmp_path / "Cine" / "TrainingSet" / "FullSample" / centre / scanner / "P007"
        write_mat(folder / "cine_lax.mat", kspace=complex_noise(T, Z, COILS, Y, X))
    headers = open_archive(tmp_path).headers[::Z]
    assert [header.subject for header in headers] == [
        "Center001-UIH_30T_umr780-TrainingSet-P007",
        "Center002-Siemens_15T_Avanto-TrainingSet-P007",
    ]
    assert [(header.vendor, header.field_strength) for header in headers] == [("UIH", 3.0), ("Siemens", 1.5)]


def test_one_number_in_two_sets_is_two_people(tmp_path):
    for name in ("TrainingSet", "ValidationSet"):
        write_mat(tmp_path / name / "FullSample" / "P001" / "cine_lax.mat", kspace_full=complex_noise(T, Z, COILS, Y, X))
    assert len({header.subject for header in open_archive(tmp_path).headers}) == 2


def test_nothing_else_of_the_path_gets_through(tmp_path):
    path = write_mat(tmp_path / "Doe^Jane" / "19700101" / "P001" / "a.mat", kspace_full=complex_noise(COILS, Y, X), patient_name=np.ones(3))
    archive = open_archive(path)
    assert not any(secret in repr(archive.headers) for secret in ("Doe", "1970"))


def test_nan_outside_the_mask_is_harmless_and_inside_is_not(tmp_path):
    kspace, mask = complex_noise(COILS, Y, X), uniform()
    kspace[0, 1, 0] = np.nan
    write_mat(tmp_path / "a_mask.mat", mask04=mask)
    CMRxRecon(write_mat(tmp_path / "a.mat", kspace_sub04=kspace)).read("a/slice-000")
    kspace[0, 0, 0] = np.nan
    with pytest.raises(BadInput, match="a.mat: found 1 acquired samples"):
        CMRxRecon(write_mat(tmp_path / "a.mat", kspace_sub04=kspace)).read("a/slice-000")


def test_undersampled_without_its_mask_is_refused(tmp_path):
    path = write_mat(tmp_path / "UnderSample_Task1" / "cine_kus_Uniform4.mat", kus=complex_noise(COILS, Y, X))
    with pytest.raises(BadInput, match="undersampled k-space \\(kus\\) without its mask; expected its mask in .*cine_mask_Uniform4.mat"):
        _ = open_archive(path).headers


@pytest.mark.parametrize(
    ("masks", "found", "expected"),
    [
        ({"mask04": uniform(X, Y)}, "a mask (24, 32)", "(32, 24) or (1, 32, 24)"),
        ({"mask08": uniform()}, "0 masks for kspace_sub04", "mask04"),
        ({"mask04": uniform() * 0}, "samples nothing", "acquired"),
    ],
)
def test_masks_that_do_not_fit(tmp_path, masks, found, expected):
    path = write_mat(tmp_path / "a.mat", kspace_sub04=complex_noise(COILS, Y, X))
    write_mat(tmp_path / "a_mask.mat", **masks)
    with pytest.raises(BadInput) as caught:
        open_archive(path).read("a/slice-000")
    assert found in caught.value.found and expected in caught.value.expected


def test_shapes_masks_alone_and_truncation(tmp_path):
    with pytest.raises(BadInput, match=r"kspace_full \(32, 24\); expected \(t, z, coil, y, x\)"):
        _ = open_archive(write_mat(tmp_path / "a.mat", kspace_full=complex_noise(Y, X))).headers
    with pytest.raises(BadInput, match="a sampling mask, which is read with its k-space"):
        _ = open_archive(write_mat(tmp_path / "b.mat", mask04=uniform())).headers
    with pytest.raises(BadInput, match="with #refs#, kspace_full at its top; expected .* a CMRxRecon file"):  # real numbers are no k-space
        open_archive(write_mat(tmp_path / "c.mat", kspace_full=np.ones((COILS, Y, X))))
    path = write_mat(tmp_path / "d.mat", kspace_full=complex_noise(T, Z, COILS, Y, X))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(BadInput, match="truncated"):
        _ = CMRxRecon(path).headers


def write_mat5(path, **variables):
    """Without ``-v7.3``, as `scipy.io.savemat` writes: MATLAB's own order of axes (given here as HDF5 has them)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {name: array.T for name, array in variables.items()}, do_compression=True)
    return path


def test_matlab_5_gives_the_same_scans(tmp_path):
    kspace, mask = complex_noise(T, Z, COILS, Y, X) * uniform(), uniform()
    archives = []
    for name, write in (("new", write_mat), ("old", write_mat5)):
        write(tmp_path / name / "P001" / "cine_lax_mask.mat", mask04=mask)
        write(tmp_path / name / "P001" / "cine_lax.mat", kspace_sub04=kspace.astype(np.complex64))
        archives.append(open_archive(tmp_path / name))
    for new, old in zip(*archives, strict=True):
        assert new.header == old.header
        assert torch.equal(new.kspace, old.kspace) and torch.equal(new.mask, old.mask)


def test_other_matlab_5_files_name_the_option(tmp_path):
    path = write_mat5(tmp_path / "a.mat", pictures=np.ones((4, 5)))
    with pytest.raises(BadInput, match=r"saved without -v7.3\) with pictures in it; expected .*a CMRxRecon file"):
        open_archive(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match="damaged MATLAB 5 file"):
        open_archive(path)
    with pytest.raises(BadInput, match="kspace_full of .*; expected numbers|a file with kspace_full at its top"):
        savemat(tmp_path / "b.mat", {"kspace_full": np.array(["text"], object)})
        _ = CMRxRecon(tmp_path / "b.mat").headers


def test_identity_of_matlab_5_files(tmp_path):
    assert identity_of(write_mat5(tmp_path / "cine_lax.mat", kspace_full=complex_noise(COILS, Y, X))) == ()
    savemat(tmp_path / "cine.mat", {"kspace_full": complex_noise(COILS, Y, X), "Doe_Jane": np.ones(3), "patient_name": "Doe"})
    assert identity_of(tmp_path / "cine.mat") == ("the name of a part of the file", "patient_name")


def test_matlab_s_own_order_of_axes_is_questioned(tmp_path):
    """As h5py writes an array whose axes are those that MATLAB shows: 48 scans of 2x3 samples."""
    path = write_mat(tmp_path / "a.mat", kspace_full=complex_noise(64, 48, 4, 2, 3))
    with pytest.raises(BadInput, match="3072 images of 2x3: are the axes in MATLAB's order") as caught:
        _ = open_archive(path).headers
    assert "(t, z, coil, y, x) in HDF5's order" in caught.value.expected


@pytest.mark.parametrize("points", [False, True])
def test_the_mask_decides_the_encoding(tmp_path, points):
    mask = np.stack([uniform()] * T)
    if points:
        mask = np.maximum(mask, np.random.default_rng(0).random(mask.shape) < 0.2)
    write_mat(tmp_path / "a_mask.mat", mask04=mask)
    archive = open_archive(write_mat(tmp_path / "a.mat", kspace_sub04=complex_noise(T, Z, COILS, Y, X)))
    assert archive.headers[0].encoding == (GridPoints() if points else WholeLines())
    assert archive.read("a/slice-001").header == archive.headers[1]


def example(folder):
    """For the contract of every archive."""
    write_mat(folder / "cine_lax_mask.mat", mask04=uniform())
    return write_mat(folder / "cine_lax.mat", kspace_sub04=complex_noise(T, Z, COILS, Y, X) * uniform())
