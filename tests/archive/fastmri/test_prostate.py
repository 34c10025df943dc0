"""fastMRI prostate: averages as frames, interleaved columns, calibration apart; diffusion refused."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.fastmri.prostate import FastMRIProstate
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.errors import BadInput
from tests.archive.mrd.lines import complex_noise, header_xml

AVERAGES, SLICES, COILS, PHASE, READOUT, LINES, MATRIX = 3, 2, 4, 31, 40, 12, 44
CENTRE = 15


def write(path, kspace=None, calibration=None, centre=CENTRE, matrix=MATRIX, kept=READOUT // 2, drop=(), **extra):
    """`kspace` (average, slice, coil, phase, readout) is turned to the file's axes; columns alternate between the averages."""
    if kspace is None:
        kspace = complex_noise(AVERAGES, SLICES, COILS, PHASE, READOUT)
        kspace[0::2, ..., 1::2, :] = kspace[1::2, ..., 0::2, :] = 0
    calibration = complex_noise(SLICES, COILS, LINES, READOUT, seed=1) if calibration is None else calibration
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ascontiguousarray(kspace.swapaxes(-1, -2))
        file["calibration_data"] = np.ascontiguousarray(calibration.swapaxes(-1, -2))
        file["ismrmrd_header"] = header_xml((1, matrix, READOUT), kept, limits=(0, PHASE - 1), centre=centre, vendor="SIEMENS")
        file["reconstruction_rss"] = np.ones((SLICES, 20, 20), np.float32)
        file.attrs.update({"acquisition": "AXT2", "max": 3.5, "norm": 1.0, "patient_id": "0f0f"})
        for name, array in extra.items():
            file[name] = array
        for name in drop:
            del file[name]
    return path


def test_marked_sample_keeps_its_place(tmp_path):
    """Column 5 of the file, whose DC is at column 15, is column 44 // 2 - 15 + 5 of the matrix."""
    kspace = np.zeros((AVERAGES, SLICES, COILS, PHASE, READOUT), np.complex64)
    kspace[0::2, :, :, 0::2] = kspace[1::2, :, :, 1::2] = 1e-3
    kspace[1, 1, 2, 5, 33] = 7 + 1j
    calibration = np.zeros((SLICES, COILS, LINES, READOUT), np.complex64)
    calibration[1, 3, 2, 4] = 5j
    archive = open_archive(write(tmp_path / "v.h5", kspace, calibration, kept=READOUT))
    assert isinstance(archive.reader, FastMRIProstate)
    scan = archive.read("v/slice-001")
    assert scan.kspace.shape == (1, AVERAGES, COILS, MATRIX, READOUT)
    assert scan.kspace[0, 1, 2, MATRIX // 2 - CENTRE + 5, 33] == 7 + 1j
    assert (scan.kspace.abs() > 1).sum() == 1
    assert scan.calibration.kspace[0, 0, 3, MATRIX // 2 - LINES // 2 + 2, 4] == 5j
    assert scan.calibration.kspace.count_nonzero() == 1


def test_masks_alternate_and_the_rest_is_padding(tmp_path):
    scan = FastMRIProstate(write(tmp_path / "v.h5")).read("v/slice-000")
    first = MATRIX // 2 - CENTRE
    assert scan.header.encoded_matrix == (MATRIX, READOUT // 2) and scan.kspace.shape[3:] == (MATRIX, READOUT // 2)
    lines = scan.mask[0, :, 0, :, 0]
    assert torch.equal(lines[0], lines[2]) and lines[0, first::2][:16].all() and lines[1, first + 1 :: 2][:15].all()
    assert not (lines[0] & lines[1]).any()
    padding = scan.padding[0, 0, 0, :, 0]
    assert torch.equal(lines[0] | lines[1], ~padding) and int(padding.sum()) == MATRIX - PHASE
    found = verdict(scan)
    assert found.may_train and found.calibration == (LINES, READOUT // 2) and found.calibration_source == "measured apart"
    assert (scan.header.subject, scan.header.contrast, scan.header.volume_max) == ("0f0f", "AXT2", 3.5)
    assert found.sampling.missing_side == ("", "")


def test_partial_fourier_grows_the_matrix(tmp_path):
    archive = FastMRIProstate(write(tmp_path / "v.h5", centre=8, matrix=PHASE))
    assert archive.headers[0].encoded_matrix[0] == 2 * (PHASE - 8) - 1
    assert verdict(archive.read("v/slice-000")).sampling.missing_side == ("low", "")


def test_centre_outside_is_not_used(tmp_path):
    header = FastMRIProstate(write(tmp_path / "v.h5", centre=99)).headers[0]
    assert "not used" in header.notes["centre"] and header.encoded_matrix[0] == MATRIX


def test_oversampling_is_removed_from_image_and_calibration(tmp_path):
    scan = FastMRIProstate(write(tmp_path / "v.h5")).read("v/slice-000")
    inside = scan.kspace[scan.mask.expand_as(scan.kspace)]
    assert float(inside.abs().square().mean()) == pytest.approx(1, abs=0.1)
    assert scan.calibration.kspace.shape == (1, 1, COILS, MATRIX, READOUT // 2)


@pytest.mark.parametrize("name", ["phase_correction", "coil_sens_maps"])
def test_diffusion_is_refused(tmp_path, name):
    with pytest.raises(BadInput, match="v.h5: found echo-planar.*ramp-sampled.*expected k-space on a Cartesian grid"):
        _ = open_archive(write(tmp_path / "v.h5", **{name: np.ones(3)})).headers


@pytest.mark.parametrize(
    ("options", "found", "expected"),
    [
        ({"calibration": complex_noise(SLICES, 3, LINES, READOUT)}, "calibration_data (2, 3, 40, 12)", "(2, 4, 40) and lines"),
        ({"calibration": complex_noise(SLICES, COILS, PHASE + 1, READOUT)}, "32 calibration lines", "1 to 31"),
        ({"kspace": np.zeros((AVERAGES, SLICES, COILS, PHASE, READOUT), np.complex64)}, "zero everywhere", "acquired columns"),
        ({"drop": ["ismrmrd_header"]}, "with calibration_data, kspace", "fastMRI prostate"),
    ],
)
def test_refused(tmp_path, options, found, expected):
    path = write(tmp_path / "v.h5", **options)
    with pytest.raises(BadInput) as caught:
        _ = open_archive(path).headers
    assert caught.value.where == str(path) and found in caught.value.found and expected in caught.value.expected


def test_values_that_are_not_finite_and_truncation(tmp_path):
    path = write(tmp_path / "v.h5")
    with h5py.File(path, "a") as file:
        file["kspace"][0, 0, 1, 2, 4] = np.nan
        file["calibration_data"][1, 0, 0, 0] = np.inf
    archive = FastMRIProstate(path)
    with pytest.raises(BadInput, match="1 acquired samples of v/slice-000 that are not finite"):
        archive.read("v/slice-000")
    with pytest.raises(BadInput, match="calibration_data with 1 values that are not finite"):
        archive.read("v/slice-001")
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(BadInput, match="truncated"):
        _ = FastMRIProstate(path).headers


def example(folder):
    """For the contract of every archive."""
    return write(folder / "file_prostate_AXT2_001.h5")
