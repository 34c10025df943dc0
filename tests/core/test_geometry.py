"""Where pixels lie: the record's way from index to patient and back, its crops, hybrid slices, and how images are displayed."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from ssrecon.core import BadInput, Geometry, Header
from ssrecon.core.encoding import HybridSlice

AXIAL = Geometry((10.0, -20.0, 30.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (5.0, 2.0, 1.0), (5.0, 32.0, 20.0), "HFS")


def oblique(seed: int = 0, **other) -> Geometry:
    turned, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    slice_, phase, read = (tuple(float(v) for v in column) for column in turned.T)
    return Geometry((-7.0, 12.0, 31.5), read, phase, slice_, (3.0, 1.5, 0.8), (24.0, 24.0, 16.0), **other)


def test_the_centre_is_pixel_half_n_for_even_and_odd_sizes():
    for matrix in ((16, 20), (15, 21)):
        assert AXIAL.index_to_lps((matrix[0] // 2, matrix[1] // 2), matrix) == AXIAL.position
    assert AXIAL.index_to_lps((9, 13), (16, 20)) == (10 + 3 * 1.0, -20 + 1 * 2.0, 30)


@pytest.mark.parametrize("axes", [("phase", "read"), ("slice", "phase", "read"), ("slice", "phase")])
def test_there_and_back(axes):
    geometry, matrix = oblique(3, axes=axes), (8, 16, 20)[-len(axes) :]
    index = (2.25, 11.0, 7.5)[: len(axes)]
    place = geometry.index_to_lps(index, matrix)
    assert geometry.lps_to_index(place, matrix) == pytest.approx(index)
    moved = tuple(p + 4 * d for p, d in zip(place, np.cross(*(geometry.direction(a) for a in axes[-2:])), strict=True))
    if len(axes) == 2:
        assert geometry.lps_to_index(moved, matrix) == pytest.approx(index)  # beside the slice: the nearest point of it


@pytest.mark.parametrize("size", [16, 15])
@pytest.mark.parametrize("kept", [10, 9])
def test_a_crop_moves_nothing(size, kept):
    """What is shown about N // 2 is where it was, for every parity."""
    header = Header("a", "a", "a", encoded_matrix=(size, size), encoded_fov=(2.0 * size, size), recon_fov=(2.0 * kept, size))
    image = torch.arange(size * size).reshape(size, size)
    shown = header.shown(image, 2)
    assert shown.shape == (kept, size)
    first = int((image == shown[0, 0]).nonzero()[0, 0])
    cropped = AXIAL.cropped(shown.shape)
    assert cropped.index_to_lps((0, 0), shown.shape) == pytest.approx(AXIAL.index_to_lps((first, 0), image.shape))
    assert cropped.field_of_view == (5.0, 2.0 * kept, 1.0 * size) and cropped.voxel_size == AXIAL.voxel_size


def test_resampling_changes_the_voxel_and_not_the_centre():
    finer = AXIAL.resampled((32, 60))
    assert finer.voxel_size == (5.0, 1.0, 20 / 60) and finer.field_of_view == AXIAL.field_of_view
    assert finer.index_to_lps((16, 30), (32, 60)) == AXIAL.position


def test_hybrid_slices_lie_where_their_column_of_the_volume_does():
    volume = oblique(1, axes=("slice", "phase", "read"))
    for x in (0, 10, 19):
        slice_ = volume.hybrid_slice(x, 20)
        assert slice_.axes == ("slice", "phase") and slice_.field_of_view == (24.0, 24.0, 0.8)
        assert slice_.index_to_lps((3, 5), (8, 16)) == pytest.approx(volume.index_to_lps((3, 5, x), (8, 16, 20)))
    unknown = replace(volume, read_direction=None).hybrid_slice(3, 20)
    assert unknown.position is None and unknown.phase_direction == volume.phase_direction


def test_what_is_unknown_is_said_so():
    assert not Geometry().known and AXIAL.known
    for name in ("position", "read_direction", "voxel_size"):
        with pytest.raises(BadInput, match=f"no {name.replace('_', ' ')}"):
            replace(AXIAL, **{name: None}).index_to_lps((0, 0), (16, 20))
    with pytest.raises(BadInput, match="one number each"):
        AXIAL.index_to_lps((0, 0, 0), (1, 16, 20))


def test_through_json():
    for geometry in (Geometry(), oblique(2, axes=("slice", "phase"), patient_position="FFP", table_position=(0.0, 0.0, -104.0))):
        assert Geometry.of(json.loads(json.dumps(asdict(geometry)))) == geometry
    assert Geometry.of({"position": [1.0, 2.0, 3.0], "of a later version": 1}) == Geometry(position=(1.0, 2.0, 3.0))


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize(
    ("normal", "down", "right"),
    [("axial", (0, 1, 0), (1, 0, 0)), ("coronal", (0, 0, -1), (1, 0, 0)), ("sagittal", (0, 0, -1), (0, 1, 0))],
)
def test_display(normal, down, right, turn):
    """However phase and readout run, what is shown has the patient's right on the left and the front or the head on top."""
    down, right = np.array(down, float), np.array(right, float)
    phase, read = [(down, right), (right, down), (-down, right), (-right, -down)][turn]
    # A little oblique.
    tilt = np.linalg.qr(np.eye(3) + 0.1 * np.random.default_rng(turn).standard_normal((3, 3)))[0]
    tilt = tilt * np.sign(np.diag(tilt))
    geometry = replace(AXIAL, phase_direction=tuple(tilt @ phase), read_direction=tuple(tilt @ read))
    swapped, flipped = geometry.display()
    place = np.array([[geometry.index_to_lps((i, j), (16, 20)) for j in range(20)] for i in range(16)])
    shown = np.flip(place.swapaxes(0, 1) if swapped else place, [axis for axis in (0, 1) if flipped[axis]])
    assert (np.diff(shown @ down, axis=0) > 0).all() and (np.diff(shown @ right, axis=1) > 0).all()


def test_what_is_shown_is_the_field_of_view():
    """Pixels = encoded matrix x reconstructed over encoded field of view; an interpolated matrix changes nothing."""
    known = Header("a", "a", "a", encoded_matrix=(96, 128), encoded_fov=(300.0, 400.0), recon_fov=(200.0, 200.0), recon_matrix=(216, 128))
    assert known.shown_matrix((96, 128)) == (64, 64)
    assert replace(known, recon_matrix=(64, 64)).shown_matrix((96, 128)) == (64, 64)
    assert replace(known, recon_fov=(500.0, 200.0)).shown_matrix((96, 128)) == (96, 64)
    unknown = replace(known, recon_fov=(), recon_matrix=(64, 200))
    assert unknown.shown_matrix((96, 128)) == (64, 128) and replace(unknown, recon_matrix=()).shown_matrix((96, 128)) == (96, 128)
    hybrid = replace(known, encoding=HybridSlice(), encoded_fov=(300.0, 400.0, 9.0), recon_fov=(200.0, 200.0, 9.0))
    assert hybrid.shown_matrix((96, 128)) == (64, 64)
