"""A point of the patient on its way from the magnet's coordinates, through lines in a file, to an index of an array, and back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.cartesian.header import EncodingSpace, FileHeader
from ssrecon.archive.cartesian.orientation import PLACES, directions_of, directions_of_quaternion, geometry_of
from ssrecon.core.geometry import Geometry
from ssrecon.operators import Fourier
from ssrecon.store.hybrid import Hybrid
from tests.archive.mrd import lines as mrd
from tests.archive.siemens import twix
from tests.cases.common import xml

Z, Y, X = 6, 16, 20
VOXEL = (4.0, 2.0, 1.5)
"""Millimetres, (slice, phase, read)."""
CENTRE = np.array([12.0, -31.0, 45.5])


def turned(slice_, read):
    """Rows slice, phase, read of a right-handed (read, phase, slice) system."""
    slice_, read = np.array(slice_, float), np.array(read, float)
    return np.stack([slice_, np.cross(slice_, read), read])


def oblique():
    made, _ = np.linalg.qr(np.random.default_rng(7).standard_normal((3, 3)))
    return made


PLANES = {
    "axial": turned((0, 0, 1), (1, 0, 0)),
    "axial, phase to the left": turned((0, 0, 1), (0, -1, 0)),
    "sagittal": turned((1, 0, 0), (0, 0, -1)),
    "coronal": turned((0, 1, 0), (0, 0, 1)),
    "oblique": oblique(),
}


def signal(place, directions, matrix, oversampling=1, sign=-1.0):
    r"""k-space (kz, ky, kx) of a point: :math:`s(k) = e^{\mp 2\pi i\, k \cdot (r - c)}`, k counted along the directions of encoding.

    The minus is the sign of ISMRMRD's standard; Siemens' receivers have the other.
    """
    offset = directions @ (np.asarray(place) - CENTRE)
    phases = [
        np.exp(sign * 2j * np.pi * (np.arange(n) - n // 2) * along / (size * pixels))
        for n, along, size, pixels in zip(
            (*matrix[:2], matrix[2] * oversampling), offset, VOXEL, (*matrix[:2], matrix[2] * oversampling), strict=True
        )
    ]
    return (phases[0][:, None, None] * phases[1][:, None] * phases[2]).astype(np.complex64)


def write(path, kspace, directions, vendor="", **changed):
    """Lines of k-space (slices, z, y, x), the slices of a scan lying 10 mm apart along their normal."""
    slices, z, y, x = kspace.shape
    fov = (X * VOXEL[2], y * VOXEL[1], z * VOXEL[0])
    s, step_2, step_1 = (a.ravel() for a in np.meshgrid(np.arange(slices), np.arange(z), np.arange(y), indexing="ij"))
    head = mrd.heads(len(s), 1, x, kspace_encode_step_1=step_1, kspace_encode_step_2=step_2, slice=s)
    for name, direction in zip(("slice_dir", "phase_dir", "read_dir"), directions, strict=True):
        head[name] = direction
    head["position"] = CENTRE + 10.0 * s[:, None] * directions[0]
    for name, value in changed.items():
        head[name] = value
    header = xml((x, y, z), (X, y, z), (fov[0] * x / X, *fov[1:]), fov, vendor=vendor)
    header = header.replace(
        "<acquisitionSystem", "<measurementInformation><patientPosition>HFS</patientPosition></measurementInformation><acquisitionSystem", 1
    )
    return mrd.write(path, header, (head, kspace.reshape(-1, 1, x)))


def brightest(scan):
    image = Fourier(scan.kspace.ndim - 3).adjoint(scan.kspace)[0, 0, 0].abs()
    return tuple(int(i) for i in np.unravel_index(int(image.argmax()), image.shape)), tuple(image.shape)


def assert_there_and_back(scan, place):
    """The brightest pixel is where the record says that the place is, and that pixel's centre is the place."""
    geometry, (index, matrix) = scan.header.geometry, brightest(scan)
    assert geometry.known and matrix == scan.header.encoded_matrix
    assert geometry.lps_to_index(place, matrix) == pytest.approx(index, abs=1e-3)
    assert geometry.index_to_lps(index, matrix) == pytest.approx(place, abs=1e-3)


@pytest.mark.parametrize("vendor", ["", "SIEMENS"])
@pytest.mark.parametrize("plane", list(PLANES))
def test_mrd_slices(tmp_path, plane, vendor):
    """Three slices, each with a point of its own, with readout oversampling."""
    directions, sign = PLANES[plane], 1.0 if vendor else -1.0
    offsets = [np.array([0.0, 3 * 2.0, -6 * 1.5]), np.array([0.0, -5 * 2.0, 4 * 1.5]), np.array([0.0, 0.0, 1.5])]
    places = [CENTRE + offset @ directions + 10.0 * i * directions[0] for i, offset in enumerate(offsets)]
    points = [signal(place - 10.0 * i * directions[0], directions, (1, Y, X), 2, sign) for i, place in enumerate(places)]
    archive = open_archive(write(tmp_path / "a.h5", np.stack(points), directions, vendor))
    for scan, place in zip(archive, places, strict=True):
        assert_there_and_back(scan, place)
        assert scan.header.geometry.axes == ("phase", "read") and scan.header.geometry.patient_position == "HFS"
        assert scan.header.geometry.voxel_size == pytest.approx(VOXEL) and scan.header.geometry.field_of_view == (4.0, 32.0, 30.0)
        # Siemens counts against its directions; a slice's normal is no matter of counting.
        assert scan.header.geometry.read_direction == pytest.approx(-sign * directions[2], abs=1e-6)
        assert scan.header.geometry.slice_direction == pytest.approx(directions[0], abs=1e-6)


@pytest.mark.parametrize("vendor", ["", "SIEMENS"])
@pytest.mark.parametrize("plane", list(PLANES))
def test_mrd_volumes_and_their_hybrid_slices(tmp_path, plane, vendor):
    directions, sign = PLANES[plane], 1.0 if vendor else -1.0
    place = CENTRE + np.array([-2 * 4.0, 5 * 2.0, 7 * 1.5]) @ directions
    path = write(tmp_path / "a.h5", signal(place, directions, (Z, Y, X), 2, sign)[None], directions, vendor)
    archive = open_archive(path)
    (volume,) = archive
    assert volume.header.geometry.axes == ("slice", "phase", "read")
    assert_there_and_back(volume, place)
    index, _ = brightest(volume)
    hybrid = Hybrid.of(archive)
    slices = {header.slice: header for header in hybrid.headers}
    assert_there_and_back(hybrid.read(slices[index[2]].scan_id), place)
    energy = [float(hybrid.read(slices[x].scan_id).kspace.abs().square().sum()) for x in range(X)]
    assert int(np.argmax(energy)) == index[2]


@pytest.mark.parametrize("quaternions", [True, False])
@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize(
    ("normal", "rotation"), [((0, 0, 1), 0), ((0, 0, 1), np.pi / 2), ((1, 0, 0), 0.1), ((0, 1, 0), 0), ((0.2, 0.3, 0.9), -0.4)]
)
def test_twix(tmp_path, normal, rotation, three, quaternions):
    """The lines' own quaternions, and the protocol's normals where the lines have none, put a point to the same place."""
    directions = np.stack(directions_of(normal, rotation))
    place = CENTRE + np.array([-8.0 if three else 0.0, 3 * 2.0, -6 * 1.5]) @ directions
    z = Z if three else 1
    kspace = signal(place, directions, (z, Y, X), 1, sign=1.0)
    slice_ = "sSliceArray__asSlice[0]__"
    told = {f"{slice_}d{name}FOV": n * size for name, n, size in (("Phase", Y, 2.0), ("Readout", X, 1.5))} | {
        f"{slice_}dThickness": z * 4.0
    }
    for axis, n, c in zip(("Sag", "Cor", "Tra"), directions[0], CENTRE, strict=True):
        told |= {f"{slice_}sNormal__d{axis}": n, f"{slice_}sPosition__d{axis}": c} if n else {f"{slice_}sPosition__d{axis}": c}
    told[f"{slice_}dInPlaneRot"] = rotation
    made = [line for par in range(z) for line in twix.lines(kspace[par][None], range(Y), Par=par, centre=(X // 2, Y // 2, z // 2))]
    if quaternions:
        for line in made:
            line.place = (tuple(CENTRE), quaternion(directions))
        told = {name: value for name, value in told.items() if "sNormal" not in name and "InPlane" not in name}
    (scan,) = open_archive(twix.write(tmp_path / "a.dat", (twix.protocol((z, Y, X), **told), made)))
    assert_there_and_back(scan, place)
    assert scan.header.geometry.voxel_size == pytest.approx(VOXEL)


def quaternion(directions):
    """Of the rotation whose columns are phase, read and slice; the scalar first."""
    slice_, phase, read = directions
    m = np.stack([phase, read, slice_], axis=1)
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], np.trace(m)],
        ]
    )
    x, y, z, w = np.linalg.eigh(k)[1][:, -1]
    return (w, x, y, z)


def test_quaternions_are_twixtools():
    geometry = pytest.importorskip("twixtools.geometry")
    q = np.random.default_rng(0).standard_normal((5, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    for ours, one in zip(directions_of_quaternion(q), q, strict=True):
        np.testing.assert_allclose(ours, geometry.quat_to_rotmat(*one).T[[2, 0, 1]], atol=1e-12)
    assert not directions_of_quaternion(np.array([[0.0, 0, 0, 0], [0.5, 0, 0, 0], [np.nan, 0, 0, 1]])).any()


@pytest.mark.parametrize(("name", "n"), [("phantom_twix_ve_gre", 160), ("phantom_twix_vb_12ch_r2_noise_acs", 0)])
def test_real_protocols_and_lines_agree(test_data, name, n):
    """The normal and turn of the protocol give the directions of the lines' quaternions."""
    archive = open_archive(test_data / "raw" / f"{name}.dat")
    (header,) = archive.headers
    protocol = told(archive.path)
    slice_, phase, read = directions_of(protocol.slices[0].normal, protocol.slices[0].rotation)
    geometry = header.geometry
    assert geometry.known and geometry.patient_position == "HFS"
    assert geometry.position == pytest.approx(protocol.slices[0].position, abs=1e-3)
    assert geometry.slice_direction == pytest.approx(slice_, abs=1e-3)
    assert geometry.phase_direction == pytest.approx(np.negative(phase), abs=1e-3)
    assert geometry.read_direction == pytest.approx(np.negative(read), abs=1e-3)
    assert header.flip_angle == 15 and header.inversion_time is None
    assert (header.repetition_time, header.echo_time) == ((10.0, 3.0) if n else (4.0, 2.0))


def told(path):
    from ssrecon.archive.siemens.protocol import parse_protocol
    from ssrecon.archive.siemens.twix_file import measurements

    (one,) = measurements(path)
    return parse_protocol(one.buffers, 1 << 12, path)


def test_real_mrd(test_data):
    (header,) = open_archive(test_data / "raw" / "phantom_mrd_r3_noise_acs.h5").headers
    assert header.geometry.read_direction == pytest.approx((1, 0, 0), abs=1e-6) and header.geometry.axes == ("phase", "read")
    assert header.geometry.position == pytest.approx((20.048315, 66.570045, 0.0))
    assert header.geometry.table_position == pytest.approx((0, 0, -1760.012))


def heads(directions=PLANES["axial"], position=CENTRE, count=3):
    made = np.zeros(count, [(name, "<f4", (3,)) for name in PLACES])
    for name, direction in zip(("slice_dir", "phase_dir", "read_dir"), directions, strict=True):
        made[name] = direction
    made["position"] = position
    return made


ENCODING = EncodingSpace("cartesian", (1, Y, X), (4.0, 32.0, 30.0), (1, Y, X), (4.0, 32.0, 30.0), None, None, "")
HEADER = FileHeader((ENCODING,), patient_position="FFP")


def test_what_is_unknown_stays_so():
    """All zero as the standard's generator writes them, damaged, or not there."""
    sizes = Geometry(voxel_size=VOXEL, field_of_view=(4.0, 32.0, 30.0), patient_position="FFP")
    notes: dict[str, str] = {}
    assert geometry_of(heads(np.zeros((3, 3)), np.zeros(3)), ENCODING, HEADER, notes) == sizes
    assert geometry_of(np.zeros(3, [("flags", "<u8")]), ENCODING, HEADER, notes) == sizes
    assert geometry_of(heads(position=np.full(3, np.nan)), ENCODING, HEADER, notes) == sizes and not notes
    skewed = np.array([[0, 0, 1], [0, 1, 0], [0.6, 0.8, 0]])
    assert geometry_of(heads(skewed), ENCODING, HEADER, notes) == sizes and "no unit vectors at right angles" in notes["geometry"]
    without = geometry_of(heads(), replace(ENCODING, encoded_fov=(0.0, 0.0, 0.0)), HEADER, {})
    assert without.voxel_size is None and without.position == tuple(CENTRE) and not without.known


def test_lines_that_do_not_agree_are_noted():
    moved, notes = heads(), {}
    moved["position"][2] += 5
    assert geometry_of(moved, ENCODING, HEADER, notes).position == tuple(CENTRE) and "do not agree" in notes["geometry"]
    torch.testing.assert_close(torch.tensor(geometry_of(heads(), ENCODING, HEADER, {}).read_direction), torch.tensor([1.0, 0.0, 0.0]))
