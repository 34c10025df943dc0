"""The plain layout: axes by name, the example of its description, and what it refuses."""

import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.plain import Plain, write_plain
from ssrecon.core.encoding import HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.privacy.identifying import identity_of
from tests.archive.mrd.lines import complex_noise

DESCRIPTION = Path(__file__).parents[3] / "docs" / "plain_hdf5.md"
SLICES, FRAMES, COILS, Y, X = 3, 2, 4, 16, 20


def write(path, axes="slice coil y x", shape=(SLICES, COILS, Y, X), parts=(), **attributes):
    """`parts` are (name, array, axes)."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"layout": "ssrecon", "version": 1, **attributes})
        for name, array, its in (("kspace", complex_noise(*shape), axes), *parts):
            file[name] = array
            if its is not None:
                file[name].attrs["axes"] = its
    return path


def test_marked_sample_keeps_its_place(tmp_path):
    path = write(tmp_path / "v.h5", "slice frame coil y x", (SLICES, FRAMES, COILS, Y, X))
    with h5py.File(path, "a") as file:
        file["kspace"][...] = 0
        file["kspace"][2, 1, 3, 5, 11] = 7 + 1j
    scan = Plain(path).read("v/slice-002")
    assert scan.kspace.shape == (1, FRAMES, COILS, Y, X)
    assert scan.kspace[0, 1, 3, 5, 11] == 7 + 1j and scan.kspace.count_nonzero() == 1
    assert scan.mask.all() and not scan.padding.any() and "no mask" in scan.header.notes["sampling"]


@pytest.mark.parametrize(
    ("axes", "shape", "matrix", "readout"),
    [
        ("coil y x", (COILS, Y, X), (Y, X), True),
        ("frame coil z y x", (FRAMES, COILS, 6, Y, X), (6, Y, X), True),
        ("slice coil z y", (SLICES, COILS, 6, Y), (6, Y), False),
    ],
)
def test_axes_that_are_left_out(tmp_path, axes, shape, matrix, readout):
    archive = open_archive(write(tmp_path / "v.h5", axes, shape))
    assert isinstance(archive.reader, Plain)
    header = archive.headers[-1]
    assert header.encoded_matrix == header.recon_matrix == matrix and header.encoding.has_readout is readout
    assert archive.read(header.scan_id).kspace.shape[3:] == matrix


def test_mask_and_padding_of_fewer_axes(tmp_path):
    lines, padding = np.arange(Y) % 2 == 0, np.zeros((SLICES, Y), np.uint8)
    padding[1, :4] = 1
    path = write(tmp_path / "v.h5", parts=[("mask", lines, "y"), ("padding", padding, "slice y")])
    with h5py.File(path, "a") as file:
        file["kspace"][1, 0, 1, 0] = np.nan  # not acquired: harmless
    scan = Plain(path).read("v/slice-001")
    expected = torch.from_numpy(lines & (padding[1] == 0))[:, None].expand(Y, X)
    assert torch.equal(scan.mask[0, 0, 0], expected)
    assert torch.equal(scan.padding[0, 0, 0], torch.from_numpy(padding[1] != 0)[:, None].expand(Y, X))
    assert not scan.kspace[..., ~expected].any()


def test_frames_of_their_own(tmp_path):
    mask = np.zeros((FRAMES, Y), bool)
    mask[0, ::2] = mask[1, 1::2] = True
    scan = Plain(write(tmp_path / "v.h5", "frame coil y x", (FRAMES, COILS, Y, X), [("mask", mask, "frame y")])).read("v/slice-000")
    assert torch.equal(scan.mask[0, :, 0, :, 3], torch.from_numpy(mask))


def test_description_s_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", DESCRIPTION.read_text(), re.DOTALL).group(1)
    lines = np.arange(Y) % 2 == 0
    exec(code, {"kspace": complex_noise(SLICES, COILS, Y, X), "lines": lines, "noise": complex_noise(5, COILS, 8)})
    scan = open_archive(tmp_path).read("volume-001/slice-002")
    assert scan.subject == "s01" and scan.noise.shape == (5, COILS, 8) and scan.noise_bandwidth_ratio == 1
    assert torch.equal(scan.mask[0, 0, 0, :, 0], torch.from_numpy(lines))


def geometry(index):
    """Of an oblique slice: its directions have many decimals, some of which look like dates."""
    slope = (1 - 0.1987654321**2) ** 0.5
    return Geometry(
        position=(-12.123456789, 20.0, 5.0 * index),
        read_direction=(0.1987654321, slope, 0.0),
        phase_direction=(0.0, 0.0, 1.0),
        slice_direction=(slope, -0.1987654321, 0.0),
        voxel_size=(5.0, 10.0, 10.0),
        field_of_view=(5.0, 160.0, 200.0),
        patient_position="HFDR",
        table_position=(0.0, 0.0, -1234.5),
    )


def made():
    mask = (torch.arange(Y) % 2 == 0)[:, None].expand(1, FRAMES, 1, Y, X).clone()
    centre = ((torch.arange(Y) - Y // 2).abs() < 5)[:, None].expand(1, 1, 1, Y, X).clone()
    padding = torch.zeros_like(mask)
    padding[..., 1, :] = True
    scans = []
    for index in range(SLICES):
        header = Header(
            f"v/slice-{index:03d}", "v", "someone", index, "a protocol", "T2", "GE", field_strength=3.0, encoded_matrix=(Y, X),
            recon_matrix=(12, 20), encoded_fov=(160.0, 200.0), recon_fov=(120.0, 200.0),
            echo_time=(2.5, 4.9375), repetition_time=600.0, inversion_time=None, flip_angle=11.3,
            volume_max=2.5, geometry=geometry(index),
        )  # fmt: skip
        kspace = torch.where(mask, torch.from_numpy(complex_noise(1, FRAMES, COILS, Y, X, seed=index)), 0)
        calibration = torch.where(centre, torch.from_numpy(complex_noise(1, 1, COILS, Y, X, seed=index + 10)), 0)
        scans.append(
            Scan(
                header,
                kspace,
                mask,
                padding,
                torch.from_numpy(complex_noise(7, COILS, 9)),
                2.5,
                Calibration(calibration, centre),
                torch.from_numpy(complex_noise(1, 2, COILS, Y, X, seed=index + 20)),
            )  # fmt: skip
        )
    return scans


def test_written_and_read_are_equal(tmp_path):
    scans = made()
    archive = Plain(write_plain(tmp_path / "v.h5", scans))
    for scan, read in zip(scans, archive, strict=True):
        assert read.header == scan.header and read.noise_bandwidth_ratio == 2.5
        for name in ("kspace", "mask", "padding", "noise", "csm"):
            assert torch.equal(getattr(read, name), getattr(scan, name))
        assert torch.equal(read.calibration.kspace, scan.calibration.kspace) and torch.equal(read.calibration.mask, scan.calibration.mask)


@pytest.mark.parametrize("axes", [("phase", "read"), ("slice", "phase")])
def test_geometry_that_some_slices_lack_stays_unknown(tmp_path, axes):
    encoding = HybridSlice(0, 1) if axes == ("slice", "phase") else WholeLines()
    told = [replace(geometry(0), axes=axes), Geometry(axes=axes, patient_position="HFDR"), replace(geometry(2), axes=axes, position=None)]
    scans = [
        replace(scan, header=replace(scan.header, geometry=one, echo_time=None, encoding=encoding))
        for scan, one in zip(made(), told, strict=True)
    ]
    headers = Plain(write_plain(tmp_path / "v.h5", scans)).headers
    assert [header.geometry for header in headers] == told and headers[0].echo_time is None


def test_times_and_places_that_a_file_does_not_say_are_unknown(tmp_path):
    (header, *_) = Plain(write(tmp_path / "v.h5")).headers
    assert set(header.timing.values()) == {None} and header.geometry == Geometry()


def test_times_and_places_name_nobody(tmp_path):
    places = identity_of(write_plain(tmp_path / "brain1.h5", made()))
    assert set(places) == {"attribute subject of the file", "attribute protocol of the file"}


def test_places_along_a_transformed_readout_are_kept(tmp_path):
    """Of a hybrid volume of 40 places, three that are left."""
    places = zip(made(), (3, 7, 39), strict=True)
    scans = [replace(scan, header=replace(scan.header, encoding=HybridSlice(place, 40))) for scan, place in places]
    archive = Plain(write_plain(tmp_path / "v.h5", scans))
    assert [header.encoding for header in archive.headers] == [HybridSlice(3, 40), HybridSlice(7, 40), HybridSlice(39, 40)]
    with h5py.File(tmp_path / "v.h5", "a") as file:
        file.attrs["readout_positions"] = [3, 7, 40]
    with pytest.raises(BadInput, match=r"readout_positions \[ 3  7 40\] of 40; expected 3 places from 0, below readout_length"):
        _ = Plain(tmp_path / "v.h5").headers


def test_only_scans_of_one_shape_are_written(tmp_path):
    one, two, _ = made()
    narrow = replace(two, **{name: getattr(two, name)[..., :4] for name in ("kspace", "mask", "padding")})
    for scans in ([], [one, narrow], [one, replace(two, csm=None)]):
        with pytest.raises(BadInput, match="v.h5"):
            write_plain(tmp_path / "v.h5", scans)
    assert not (tmp_path / "v.h5").exists()


def test_nothing_else_gets_through(tmp_path):
    path = write(tmp_path / "v.h5", patient_name="Doe^Jane", contrast="T1", birth_date="19700101", accession_number="A123", serial="S456")
    text = open_archive(path).describe() + repr(open_archive(path).read("v/slice-000").header)
    assert "contrast='T1'" in text and not any(secret in text for secret in ("Doe", "1970", "A123", "S456"))


@pytest.mark.parametrize(
    ("axes", "shape", "parts", "attributes", "found", "expected"),
    [
        ("slice coil x y", (SLICES, COILS, Y, X), [], {}, "axes 'slice coil x y'", "'y x'"),
        ("coil y x", (SLICES, COILS, Y, X), [], {}, "(3, 4, 16, 20)", "one a dimension"),
        (None, (SLICES, COILS, Y, X), [], {}, "axes ''", "coil"),
        ("coil y x", (COILS, 0, X), [], {}, "(4, 0, 20)", "length 0"),
        ("coil y x", (COILS, Y, X), [("mask", np.ones(X, bool), "y")], {}, "mask with y 20", "16, as kspace"),
        ("coil y x", (COILS, Y, X), [("mask", np.ones((X, Y), bool), "x y")], {}, "axes 'x y'", "[y] [x]"),
        ("coil y x", (COILS, Y, X), [("mask", np.ones(Y), "y")], {}, "mask of float64", "booleans"),
        ("coil y x", (COILS, Y, X), [("csm", complex_noise(3, Y, X), "coil y x")], {}, "csm with coil 3", "4"),
        ("coil y x", (COILS, Y, X), [("csm", complex_noise(Y, X), "y x")], {}, "axes 'y x'", "coil y x"),
        ("coil y x", (COILS, Y, X), [("calibration", complex_noise(COILS, Y, X), "coil y x")], {}, "without calibration_mask", "both"),
        ("coil y x", (COILS, Y, X), [("noise", complex_noise(5, 3, 8), None)], {}, "noise (5, 3, 8)", "4 coils"),
        ("coil y x", (COILS, Y, X), [], {"version": 2}, "version", "version 1"),
        ("coil y x", (COILS, Y, X), [], {"encoded_fov": [200.0]}, "encoded_fov", "2 positive numbers"),
        ("coil y x", (COILS, Y, X), [], {"field_strength": "three"}, "field_strength 'three'", "1 positive numbers"),
        ("coil y x", (COILS, Y, X), [], {"echo_time": [2.5, -1.0]}, "echo_time", "one positive number or several"),
        ("coil y x", (COILS, Y, X), [], {"flip_angle": "small"}, "flip_angle 'small'", "one positive number or several"),
        ("coil y x", (COILS, Y, X), [], {"position": [1.0, 2.0]}, "position", "three numbers, or three for each slice"),
        ("coil y x", (COILS, Y, X), [], {"position": [1.0, 2.0, np.inf]}, "position", "finite numbers"),
        ("coil y x", (COILS, Y, X), [], {"read_direction": [1.0, 1.0, 0.0]}, "read_direction", "vectors of length 1"),
        ("coil y x", (COILS, Y, X), [], {"voxel_size": [1.0, 0.0, 1.0]}, "voxel_size", "positive numbers"),
        ("coil y x", (COILS, Y, X), [], {"patient_position": "standing"}, "patient_position 'standing'", "such as HFS"),
    ],
)
def test_refused(tmp_path, axes, shape, parts, attributes, found, expected):
    path = write(tmp_path / "v.h5", axes, shape, parts, **attributes)
    with pytest.raises(BadInput) as caught:
        _ = open_archive(path).headers
    assert caught.value.where == str(path) and found in caught.value.found and expected in caught.value.expected


def test_real_kspace_and_missing_kspace(tmp_path):
    for name, array in (("kspace", np.ones((COILS, Y, X))), ("other", np.ones(3))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.attrs["layout"] = "ssrecon"
            file[name] = array
            file[name].attrs["axes"] = "coil y x"
        with pytest.raises(BadInput, match="kspace of float64|no dataset 'kspace'"):
            _ = open_archive(tmp_path / f"{name}.h5").headers


def test_values_that_are_not_finite_and_empty_masks(tmp_path):
    path = write(tmp_path / "v.h5", parts=[("mask", np.arange(SLICES) > 0, "slice")])
    with h5py.File(path, "a") as file:
        file["kspace"][1, 0, 3, 4] = np.inf
    archive = Plain(path)
    with pytest.raises(BadInput, match="samples nothing of v/slice-000"):
        archive.read("v/slice-000")
    with pytest.raises(BadInput, match="1 acquired samples of v/slice-001 that are not finite"):
        archive.read("v/slice-001")
    archive.read("v/slice-002")


def test_truncated(tmp_path):
    path = write(tmp_path / "v.h5")
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(BadInput, match="truncated"):
        open_archive(path)
    with pytest.raises(BadInput, match="truncated"):
        _ = Plain(path).headers


def example_volume(folder, bad=None):
    """A 3-D scan with all that the layout has, for the contract of every archive that gives pieces."""
    z, centre = 7, np.zeros((7, Y, X), bool)
    centre[2:5, 4:8] = True
    mask = (np.indices((z, Y)).sum(axis=0) % 2 == 0) & (bad != "empty")
    mask[3] = False
    kspace = complex_noise(1, FRAMES, COILS, z, Y, X)
    if bad == "not finite":
        kspace[0, 1, 0, 4, 4, 3] = np.nan
    parts = [
        ("mask", mask, "z y"),
        ("padding", np.arange(Y) == 1, "y"),
        ("csm", complex_noise(2, COILS, z, Y, X), "map coil z y x"),
        ("calibration", complex_noise(COILS, z, Y, X), "coil z y x"),
        ("calibration_mask", centre, "z y x"),
    ]
    path = write(folder / "v.h5", "slice frame coil z y x", kspace.shape, parts)
    with h5py.File(path, "a") as file:
        attributes = dict(file["kspace"].attrs)
        del file["kspace"]
        file.create_dataset("kspace", data=kspace, chunks=(1, 1, COILS, 2, Y, X))
        file["kspace"].attrs.update(attributes)
    return path


def example(folder):
    """For the contract of every archive."""
    return write_plain(folder / "v.h5", made())
