"""Raw scans of a volume in, images with their place out: axes, geometry, what is refused, and how much is held at once."""

import gc
import warnings
import weakref
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from ssrecon.baselines import CGSense, ZeroFilled
from ssrecon.calibrate import Calibrator
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.scan import Estimate, Header, Scan
from ssrecon.operators.fourier import resample
from ssrecon.reconstruction import TrainingDomain, reconstruct, reconstruct_volume, write_images
from ssrecon.reconstruction.domain import DomainWarning
from ssrecon.store.hybrid import hybrid_slices
from tests.archive.mrd import lines
from tests.reconstruction.places import MARK, PLANES, VOXEL, scan, signal
from tests.scans import full_kspace, make_scan

SLICES, VOLUME = (24, 30), (9, 24, 30)
TRAINED_ON_SLICES = TrainingDomain.of([make_scan(coils=1)])
KINDS = ("slices", "native", "hybrid")


def volume(kind, plane="axial", **options):
    """The same object acquired slice by slice, and as a 3-D scan that is reconstructed as a whole or as hybrid slices."""
    header = {name: options.pop(name) for name in ("encoded_fov", "recon_fov", "recon_matrix", "frames") if name in options}
    scans = [scan(plane, SLICES, i, 9, **header) for i in range(9)] if kind == "slices" else [scan(plane, VOLUME, **header)]
    return reconstruct_volume(ZeroFilled(), scans, domain=TRAINED_ON_SLICES if kind == "hybrid" else None, **options)


def written(folder, made, name="reconstruction"):
    write_images(folder / "v.h5", made, {})
    with h5py.File(folder / "v.h5") as file:
        return file[name][()], dict(file[name].attrs)


def place_of(index, images, attributes):
    """As docs/reconstructions.md has it, from the file alone."""
    s, row, column = index
    _, across, along = attributes["voxel_size_mm"]
    rows = (row - images.shape[-2] // 2) * across * attributes["row_index_direction"][s]
    return attributes["position_lps_mm"][s] + rows + (column - images.shape[-1] // 2) * along * attributes["column_index_direction"][s]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plane", PLANES)
def test_a_marked_voxels_way_from_the_magnet_to_the_written_image(kind, plane, tmp_path):
    images, attributes = written(tmp_path, volume(kind, plane))
    assert images.shape == (9, 30, 24) and attributes["axes"] == "slices rows columns" and attributes["patient_position"] == "HFS"
    away = place_of(np.unravel_index(images.argmax(), images.shape), images, attributes) - np.asarray(MARK)
    for direction, size in zip(PLANES[plane], VOXEL, strict=True):
        assert abs(away @ np.asarray(direction)) <= size / 2 + 1e-3, "off by a voxel or more"
    np.testing.assert_allclose(attributes["field_of_view_mm"], (4, 60, 60))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [(20, 25), (19, 24), (13, 21)])
def test_what_was_cropped_or_resampled_lies_where_it_lay(kind, kept, tmp_path):
    fov = {"encoded_fov": (36.0, 60.0, 60.0), "recon_fov": (36.0, 2.5 * kept[0], 2.0 * kept[1])}
    if kind == "slices":
        fov = {name: values[1:] for name, values in fov.items()}
    for matrix, again in (((41, 50), True), ((18, 18), True), ((41, 50), False)):
        recon = matrix if kind == "slices" else (9, *matrix)
        images, attributes = written(tmp_path, volume(kind, "oblique", recon_matrix=recon, resample=again, **fov))
        along_readout = kept[1] if kind != "hybrid" else 30  # readers cut the readout; of hybrid slices it is left as it is
        rows = matrix[1] if again and kind != "hybrid" else along_readout
        assert images.shape == (9, rows, matrix[0] if again else kept[0])
        away = place_of(np.unravel_index(images.argmax(), images.shape), images, attributes) - np.asarray(MARK)
        sizes = attributes["voxel_size_mm"]
        for direction, size in zip(PLANES["oblique"], (sizes[0], sizes[2], sizes[1]), strict=True):
            assert abs(away @ np.asarray(direction)) <= size / 2 + 1e-3
        assert sizes[2] * images.shape[2] == pytest.approx(attributes["field_of_view_mm"][2]) == pytest.approx(2.5 * kept[0])


def test_the_three_ways_of_a_3d_object_give_the_same_images_and_places():
    native, hybrid = volume("native", "oblique", frames=2), volume("hybrid", "oblique", frames=2)
    np.testing.assert_allclose(native.image, hybrid.image, atol=1e-5 * native.image.max())
    assert len(native.geometry) == len(hybrid.geometry) == 9
    for a, b, c in zip(native.geometry, hybrid.geometry, volume("slices", "oblique").geometry, strict=True):
        for name in ("position", "voxel_size", "field_of_view", "slice_direction", "read_direction", "phase_direction"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-6)
            np.testing.assert_allclose(getattr(a, name), getattr(c, name), atol=1e-6)
        assert a.axes == b.axes == c.axes == ("read", "phase")


@pytest.mark.parametrize("kind", KINDS)
def test_axes_are_one_order_for_frames(kind, tmp_path):
    made = volume(kind, frames=2, complex_images=True)
    assert made.image.shape == (9, 2, 30, 24) and made.complex_image.shape == (9, 2, 1, 30, 24)
    np.testing.assert_allclose(made.image[:, 1], 2 * made.image[:, 0], rtol=1e-3, atol=1e-4)
    for name in ("reconstruction", "reconstruction_complex"):
        images, attributes = written(tmp_path, made, name)
        assert images.shape == (9, 2, 30, 24) and attributes["axes"] == "slices frames rows columns"
    np.testing.assert_allclose(abs(images), made.image, rtol=1e-3, atol=1e-4)


def raw(frames=1, seed=0):
    shape, full = (32, 40), torch.ones(1, frames, 1, 32, 40, dtype=torch.bool)
    kspace = full_kspace(shape, 4, frames, 1, 0.005, seed)
    return Scan(Header(f"v/{seed}", "v", "v", encoded_matrix=shape), kspace, full, torch.zeros_like(full))


@pytest.mark.parametrize("frames", [1, 2])
def test_one_slice_is_one_slice_and_maps_have_an_axis_of_their_own(frames, tmp_path):
    made = reconstruct_volume(CGSense(), [raw(frames)], complex_images=True, calibrator=Calibrator(maps=2))
    assert made.complex_image.shape == (1, frames, 2, 40, 32)
    images, attributes = written(tmp_path, made)
    assert images.shape == ((1, 40, 32) if frames == 1 else (1, 2, 40, 32)) and attributes["axes"].split()[0] == "slices"
    images, attributes = written(tmp_path, made, "reconstruction_complex")
    assert images.shape == (1, frames, 2, 40, 32) and attributes["axes"] == "slices frames maps rows columns"
    assert "position_lps_mm" not in attributes  # nothing is known, and nothing is made up


def test_what_was_done_is_on_record():
    made = reconstruct_volume(CGSense(), [raw(seed=0), raw(seed=1)], domain=TrainingDomain.of([make_scan(coils=12)]))
    assert made.volume_id == "v" and [header.scan_id for header in made.headers] == ["v/0", "v/1"]
    assert made.complex_image is None and made.geometry == (Geometry(axes=("read", "phase")),) * 2
    assert made.noise_source == "calibration matrix" and made.scale > 0 and any("4 coils" in sentence for sentence in made.unlike_training)


def test_scans_are_read_twice_and_never_held_together():
    """Of eight scans no more than three are alive: the first, whose coils the others are compared with, that in hand, that being made."""
    alive, most, passes = [], [0], [0]

    class Eight:
        def __iter__(self):
            passes[0] += 1
            for seed in range(8):
                made = raw(seed=seed)
                alive.append(weakref.ref(made.kspace))
                gc.collect()
                most[0] = max(most[0], sum(ref() is not None for ref in alive))
                yield made
                del made

    assert reconstruct_volume(ZeroFilled(), Eight()).image.shape == (8, 1, 40, 32)
    assert passes[0] == 2 and most[0] <= 3


def test_what_is_refused():
    for scans, found in ((None, "a NoneType"), (torch.zeros(3), "a Tensor"), ([torch.zeros(3)], "a Tensor among them")):
        with pytest.raises(BadInput, match=f"found {found}; expected .*scan_from_arrays"):
            reconstruct_volume(ZeroFilled(), scans)
    with pytest.raises(BadInput, match="an iterator, which can be read once"):
        reconstruct_volume(ZeroFilled(), iter([raw()]))
    with pytest.raises(BadInput, match="no scans"):
        reconstruct_volume(ZeroFilled(), [])
    other = replace(raw(), header=replace(raw().header, volume_id="w", scan_id="w/0"))
    with pytest.raises(BadInput, match=r"w/0: found a scan of w; expected one of v"):
        reconstruct_volume(ZeroFilled(), [raw(), other])
    with pytest.raises(BadInput, match="sizes"):
        reconstruct_volume(ZeroFilled(), [raw(), replace(raw(), header=replace(raw().header, recon_matrix=(16, 16)))])
    with pytest.raises(BadInput, match="v/0.*not finite"):
        reconstruct_volume(lambda one: Estimate(ZeroFilled()(one).image * torch.nan), [raw()])
    parts = list(hybrid_slices(scan("axial", VOLUME)))
    with pytest.raises(BadInput, match="without position 3"):
        reconstruct_volume(ZeroFilled(), parts[:3] + parts[4:])


def test_resampled_to_the_scanners_matrix_as_in_case_24():
    """128 x 96 over 400 x 300 mm, of which 200 x 200 mm are wanted on 128 x 128 pixels; without `resample`: the 64 x 64 measured."""
    header = {"encoded_fov": (300.0, 400.0), "recon_fov": (200.0, 200.0), "recon_matrix": (128, 128)}
    one = scan("axial", (96, 128), **header)
    plain, finer = (reconstruct_volume(ZeroFilled(), [one], resample=again, complex_images=True) for again in (False, True))
    assert plain.image.shape == (1, 1, 64, 64) and finer.image.shape == (1, 1, 128, 128) and finer.resampled
    expected = resample(torch.from_numpy(plain.complex_image), (128, 128)).numpy()
    np.testing.assert_allclose(finer.complex_image, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(finer.image, abs(expected[:, :, 0]), rtol=1e-4, atol=1e-5)
    untold = replace(one, header=replace(one.header, recon_matrix=()))
    assert reconstruct_volume(ZeroFilled(), [untold], resample=True).image.shape == (1, 1, 64, 64)


def test_display_turns_an_image_as_scanners_show_it(tmp_path):
    """Axial: the left of the patient on the right, the back below. Sagittal: head on top, back on the right. Coronal: head on top."""
    shown = {"axial": (1, 0), "axial, read to the front": (1, 0), "sagittal": (2, 1), "coronal": (2, 0)}
    grows = {0: 1, 1: 1, 2: -1}
    for plane, (down, right) in shown.items():
        made = volume("slices", plane)
        middle = int(made.image.max(axis=(1, 2, 3)).argmax())
        swapped, (flip_rows, flip_columns) = made.geometry[middle].display()
        image = made.image[middle, 0].T if swapped else made.image[middle, 0]
        image = image[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        row, column = np.unravel_index(image.argmax(), image.shape)
        middle_row, middle_column = (n // 2 for n in image.shape)
        offset = np.asarray(MARK) - np.asarray((12.0, -20.0, 31.0))
        assert np.sign(row - middle_row) == np.sign(offset[down]) * grows[down], plane
        assert np.sign(column - middle_column) == np.sign(offset[right]) * grows[right], plane


@pytest.mark.parametrize("vendor", ["", "SIEMENS"])
@pytest.mark.parametrize("kind", ["slices", "native", "hybrid"])
@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "oblique"])
def test_from_an_mrd_file_to_a_written_file(kind, plane, vendor, tmp_path):
    """The whole way. Siemens gives directions for a forward transform to the image, others for the inverse one (PTB-MR/mrpro 828)."""
    matrix, directions, voxel = (14, 40, 48), np.asarray(PLANES[plane]), (1.0, 1.0, 1.0)
    signs = np.array([-1.0 if kind != "slices" else 1.0, -1.0, -1.0]) if vendor else np.ones(3)
    named = dict(zip(("slice_dir", "phase_dir", "read_dir"), signs[:, None] * directions, strict=True))
    centre = np.asarray(MARK) - directions.T @ (1.0, 9.0, -13.0)
    parts = [(lines.heads(4, 1, 48, flags=lines.flag(lines.NOISE)), lines.complex_noise(4, 1, 48, seed=1) / 50)]
    for i in range(1 if kind != "slices" else 14):
        offset = float(i - 7)
        kspace = signal(directions, matrix if kind != "slices" else matrix[1:], centre, offset, voxel).reshape(-1, 1, 48)
        step = np.arange(len(kspace))
        counters = {"kspace_encode_step_1": step % 40, "kspace_encode_step_2": step // 40, "slice": i}
        place = centre + (offset * directions[0] if kind == "slices" else 0)
        heads = lines.heads(len(kspace), 1, 48, **counters, **named, position=place)
        parts.append((heads, kspace + lines.complex_noise(*kspace.shape) / 50))
    path = lines.write(tmp_path / "v.h5", lines.header_xml(matrix if kind != "slices" else (1, 40, 48), vendor=vendor), *parts)
    options = {"domain": TRAINED_ON_SLICES if kind == "hybrid" else None, "calibrator": Calibrator(crop=0)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)
        (result,) = reconstruct(ZeroFilled(), path, tmp_path / "out", **options)
    with h5py.File(result.path) as file:
        images, attributes = file["reconstruction"][()], dict(file["reconstruction"].attrs)
    assert images.shape == (14, 48, 40)
    found = place_of(np.unravel_index(images.argmax(), images.shape), images, attributes)
    np.testing.assert_allclose(found, MARK, atol=0.01)
