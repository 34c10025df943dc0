"""Siemens twix: where lines go, what they are for, the noise, what is refused, and what gets past the reader."""

import struct

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.cartesian.geometry import remove_readout_oversampling
from ssrecon.archive.siemens.siemens import Siemens
from ssrecon.calibrate.verdict import verdict
from ssrecon.core.errors import BadInput
from tests.archive.mrd import lines as mrd
from tests.archive.siemens import twix

COILS, Y, X = 3, 16, 20
VB_LARGE = b"\0" * 10000
"""VB is told by the length of its protocol, which never is below this."""


@pytest.fixture
def full():
    """(coils, y, x)"""
    return mrd.complex_noise(COILS, Y, X)


def acquired(mask: torch.Tensor) -> list[int]:
    return mask[0, 0, 0].any(-1).nonzero().flatten().tolist()


def write_2d(path, kspace, rows=range(Y), flags=None, told=None, **options):
    return twix.write(path, (twix.protocol((1, Y, X), **(told or {})), twix.lines(kspace, rows, flags, **options)))


def large(protocol: bytes) -> bytes:
    size, count = struct.unpack_from("<II", protocol)
    return struct.pack("<II", size + len(VB_LARGE), count) + protocol[8:] + VB_LARGE


def assert_refused(path, found: str, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        list(Siemens(path))
    assert str(path) in caught.value.where and found in caught.value.found and expected in caught.value.expected


# Where lines go


def test_lines_in_any_order_with_gaps(tmp_path, full):
    rows = np.random.default_rng(0).permutation([0, 3, 6, 7, 8, 9, 12, 15])
    archive = open_archive(write_2d(tmp_path / "a.dat", full, rows))
    assert isinstance(archive, Siemens)
    scan = archive.read("a/slice-000")
    mask = np.zeros(Y, bool)
    mask[rows] = True
    assert torch.equal(scan.mask[0, 0, 0], torch.from_numpy(mask)[:, None].expand(Y, X))
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(full * mask[:, None]))
    assert scan.calibration is None and scan.noise is None and not scan.padding.any()


def test_vb(tmp_path, full):
    path = twix.write_vb(tmp_path / "a.dat", large(twix.protocol((1, Y, X))), twix.lines(full, range(Y)))
    archive = open_archive(path)
    assert isinstance(archive, Siemens)
    torch.testing.assert_close(archive.read("a/slice-000").kspace[0, 0], torch.from_numpy(full))


def test_found_by_content_and_not_by_name(tmp_path, full):
    assert type(open_archive(write_2d(tmp_path / "meas.h5", full))) is Siemens


def test_a_marked_pixel(tmp_path):
    """A point of the object at row 5, column 9 of the field of view, in a readout of twice the samples."""
    image = np.zeros((COILS, Y, 2 * X), np.complex64)
    image[:, 5, X // 2 + 9] = [1, 2, 3j]
    axes = (-2, -1)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes=axes), norm="ortho"), axes=axes).astype(np.complex64)
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, 2 * X), kept=X), twix.lines(kspace, range(Y))))
    scan = Siemens(path).read("a/slice-000")
    assert scan.kspace.shape == (1, 1, COILS, Y, X) and scan.mask.all()
    back = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(scan.kspace[0, 0].numpy(), axes=axes), norm="ortho"), axes=axes)
    expected = np.zeros((COILS, Y, X), np.complex64)
    expected[:, 5, 9] = [1, 2, 3j]
    np.testing.assert_allclose(back, expected, atol=1e-6)
    assert scan.header.encoded_matrix == (Y, X) and scan.header.encoded_fov == (Y, X)


def test_oversampling_that_the_scanner_removed(tmp_path, full):
    """The protocol tells of a factor of 2, but the lines are as wide as the image."""
    protocol = twix.protocol((1, Y, 2 * X), kept=X)
    scan = Siemens(twix.write(tmp_path / "a.dat", (protocol, twix.lines(full, range(Y))))).read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(full))


def test_the_last_line_need_not_be_acquired(tmp_path, full):
    """The matrix is the protocol's, not the largest counter's."""
    scan = Siemens(write_2d(tmp_path / "a.dat", full, range(0, Y, 2))).read("a/slice-000")
    assert scan.kspace.shape[-2:] == (Y, X) and acquired(scan.mask) == list(range(0, Y, 2))


def test_partial_fourier(tmp_path, full):
    """Lines 6 to 15 of 16 are counted from 0, and the centre is line 2."""
    meas = '<ParamLong."iNoOfFourierLines"> { 10 }\n'
    made = [twix.Line(full[:, 6 + i], counters={"Lin": i}, centre=(X // 2, 2, 0)) for i in range(10)]
    scan = Siemens(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X), meas=meas), made))).read("a/slice-000")
    assert acquired(scan.mask) == list(range(6, 16)) and scan.header.partial_fourier
    torch.testing.assert_close(scan.kspace[0, 0, :, 6:], torch.from_numpy(full[:, 6:]))
    assert not any("centre" in key for key in scan.header.notes)


def test_the_lines_know_their_centre_better_than_the_protocol(tmp_path, full):
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, 24, X)), twix.lines(full, range(Y))))
    scan = Siemens(path).read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0, :, 12], torch.from_numpy(full[:, 8]))
    assert "8 by the lines, 12 by the header" in scan.header.notes["centre of step 1"]


def test_asymmetric_echo_is_masked_sample_by_sample(tmp_path, full):
    path = write_2d(tmp_path / "a.dat", full[..., 6:], centre=(X // 2 - 6, Y // 2, 0), cut=(1, 0))
    scan = Siemens(path).read("a/slice-000")
    assert not scan.mask[..., :7].any() and scan.mask[..., 7:].all()
    torch.testing.assert_close(scan.kspace[0, 0, ..., 7:], torch.from_numpy(full[..., 7:]))


def test_readouts_of_several_kinds_are_noted(tmp_path, full):
    """One line of other kind: its column of the centre may be damaged."""
    made = twix.lines(full, range(Y))
    made[3] = twix.Line(full[:, 3, 2:], counters={"Lin": 3}, centre=(X // 2 - 2, Y // 2, 0))
    scan = Siemens(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made))).read("a/slice-000")
    assert "2 kinds" in scan.header.notes["readouts"] and scan.mask[0, 0, 0].sum() == Y * X - 2


def test_three_dimensions(tmp_path):
    z = 6
    kspace = mrd.complex_noise(COILS, z, Y, X)
    steps = [(p, r) for p in range(z) for r in range(Y) if (p + r) % 2 == 0]
    made = [twix.Line(kspace[:, p, r], counters={"Lin": r, "Par": p}, centre=(X // 2, Y // 2, z // 2)) for p, r in steps]
    protocol = twix.protocol((z, Y, X), sKSpace__dSliceOversamplingForDialog=0.5)
    scan = Siemens(twix.write(tmp_path / "a.dat", (protocol, made))).read("a/slice-000")
    assert scan.kspace.shape == (1, 1, COILS, z, Y, X) and scan.header.encoded_matrix == (z, Y, X)
    torch.testing.assert_close(scan.kspace[0, 0], torch.where(scan.mask[0, 0], torch.from_numpy(kspace), 0))
    assert {(p, r) for p, r in scan.mask[0, 0, 0, ..., 0].nonzero().tolist()} == set(steps)
    assert scan.header.encoded_fov == (9.0, Y, X) and scan.header.recon_fov == (z, Y, X) and scan.header.recon_matrix == (4, Y, X)


def test_slices_are_scans(tmp_path):
    kspace = mrd.complex_noise(3, COILS, Y, X)
    made = [line for row in range(Y) for s in (0, 2, 1) for line in twix.lines(kspace[s], [row], Sli=s)]
    archive = Siemens(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made)))
    assert archive.volumes() == {"a": ("a/slice-000", "a/slice-001", "a/slice-002")}
    for index, scan in enumerate(archive):
        torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(kspace[index]))


@pytest.mark.parametrize("counter", ["Eco", "Phs", "Rep", "Set"])
def test_frames(tmp_path, counter):
    kspace = mrd.complex_noise(2, COILS, Y, X)
    made = [line for frame in (0, 1) for line in twix.lines(kspace[frame], range(frame, Y, 2), **{counter: frame})]
    scan = Siemens(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made))).read("a/slice-000")
    assert scan.kspace.shape == (1, 2, COILS, Y, X)
    assert scan.mask[0, 1, 0, :, 0].nonzero().flatten().tolist() == list(range(1, Y, 2))
    torch.testing.assert_close(scan.kspace[0, 1, :, 3], torch.from_numpy(kspace[1, :, 3]))


def test_averages_are_averaged(tmp_path):
    kspace = mrd.complex_noise(4, COILS, Y, X)
    made = [twix.Line(mrd.complex_noise(COILS, 256), ("NOISEADJSCAN",))]
    made += [line for average in range(4) for line in twix.lines(kspace[average], range(Y), Ave=average)]
    scan = Siemens(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made))).read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(kspace.mean(0)))
    assert scan.noise_bandwidth_ratio == pytest.approx(30 / 5 / 0.793 / 4)
    assert "4, averaged" in scan.header.notes["averages"]


# What lines are for

REFERENCE, BOTH = ("PATREFSCAN",), ("PATREFSCAN", "PATREFANDIMASCAN")


def calibrated(tmp_path, full, mode, **options):
    """Every fourth line, and reference lines 6 to 9, of which 8 is an imaging line too."""
    rows = [0, 4, 6, 7, 8, 9, 12]
    flags = [(), (), REFERENCE, REFERENCE, BOTH, REFERENCE, ()]
    return write_2d(tmp_path / "a.dat", full, rows, flags, told={"sPat__ucRefScanMode": mode}, **options)


@pytest.mark.parametrize("mode", ["0x1", "0x2"])
def test_reference_in_place_is_part_of_the_scan(tmp_path, full, mode):
    """0x1 says nothing, but no line was acquired twice."""
    scan = Siemens(calibrated(tmp_path, full, mode)).read("a/slice-000")
    assert acquired(scan.mask) == [0, 4, 6, 7, 8, 9, 12] and scan.calibration is None
    torch.testing.assert_close(scan.kspace[0, 0, :, 6], torch.from_numpy(full[:, 6]))


@pytest.mark.parametrize("mode", ["0x4", "0x8"])
def test_separate_reference_never_enters_omega(tmp_path, full, mode):
    scan = Siemens(calibrated(tmp_path, full, mode)).read("a/slice-000")
    assert acquired(scan.mask) == [0, 4, 8, 12] and acquired(scan.calibration.mask) == [6, 7, 8, 9]
    torch.testing.assert_close(scan.calibration.kspace[0, 0, :, 6], torch.from_numpy(full[:, 6]))
    assert not scan.kspace[0, 0, :, 6].any()


def test_separate_reference_with_a_count_of_its_own(tmp_path, full):
    """Reference lines 0 to 3 whose centre is line 2 belong to lines 6 to 9 of the scan."""
    made = [twix.Line(full[:, 6 + i], REFERENCE, {"Lin": i}, (X // 2, 2, 0)) for i in range(4)] + twix.lines(full, range(0, Y, 4))
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X), sPat__ucRefScanMode="0x4"), made))
    scan = Siemens(path).read("a/slice-000")
    assert acquired(scan.calibration.mask) == [6, 7, 8, 9] and acquired(scan.mask) == [0, 4, 8, 12]
    torch.testing.assert_close(scan.calibration.kspace[0, 0, :, 9], torch.from_numpy(full[:, 9]))


def test_what_is_no_part_of_the_image_is_left_out_and_noted(tmp_path, full):
    extra = (("RTFEEDBACK",), ("PHASCOR", "REFLECT"), ("RETRO_DUMMYSCAN",), ("HPFEEDBACK",), ("noname60",), ("PHASESTABSCAN",))
    rows = [*range(Y), 3, 4, 5, 6, 7, 8]
    scan = Siemens(write_2d(tmp_path / "a.dat", full, rows, [()] * Y + list(extra))).read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(full))
    for name in ("real-time feedback", "phase-correction", "dummy", "high-priority feedback", "phase-stabilisation"):
        assert scan.header.notes[f"{name} lines"] == "1 left out"
    assert scan.header.notes["navigators"] == "1 left out"


def test_synchronisation_data_between_lines_is_passed_over(tmp_path, full):
    """Blocks of physiological data have a length of their own."""
    path = write_2d(tmp_path / "a.dat", full)
    data = path.read_bytes()
    protocol = twix.protocol((1, Y, X))
    at = 10240 + len(protocol)
    block = bytearray(192 + 64)
    struct.pack_into("<I", block, 0, len(block))
    struct.pack_into("<Q", block, 40, 1 << 5)
    raid = bytearray(data[:10240])
    struct.pack_into("<Q", raid, 8 + 16, struct.unpack_from("<Q", raid, 8 + 16)[0] + len(block))
    path.write_bytes(bytes(raid) + data[10240:at] + bytes(block) + data[at:])
    torch.testing.assert_close(Siemens(path).read("a/slice-000").kspace[0, 0], torch.from_numpy(full))


# Noise


@pytest.mark.parametrize(("vb", "samples", "time"), [(False, 256, 30.0), (False, 320, 24.0), (True, 256, 1e6 / 130 / 256)])
def test_noise(tmp_path, full, vb, samples, time):
    noise = mrd.complex_noise(2, COILS, samples)
    made = [twix.Line(one, ("NOISEADJSCAN",)) for one in noise] + twix.lines(full, range(Y))
    protocol = twix.protocol((1, Y, X))
    path = tmp_path / "a.dat"
    scan = Siemens(twix.write_vb(path, large(protocol), made) if vb else twix.write(path, (protocol, made))).read("a/slice-000")
    torch.testing.assert_close(scan.noise, torch.from_numpy(noise))
    assert scan.noise_bandwidth_ratio == pytest.approx(time / 5 / 0.793)


ADJUSTMENT = {"tSequenceFileName": '"%AdjustSeq%\\AdjCoilSensSeq"'}


@pytest.mark.parametrize(("channels", "used"), [((4, 5, 6), True), ((6, 5, 4), False)])
def test_noise_of_the_scanner_s_adjustment_in_a_multi_raid_file(tmp_path, full, channels, used):
    """Only where the channels are the scan's."""
    noise = mrd.complex_noise(COILS, 256)
    scan_lines = twix.lines(full, range(Y))
    for line in scan_lines:
        line.channels = (4, 5, 6)
    adjustment = [twix.Line(noise, ("NOISEADJSCAN",), channels=channels), *twix.lines(full, range(3))]
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X), **ADJUSTMENT), adjustment), (twix.protocol((1, Y, X)), scan_lines))
    archive = Siemens(path)
    assert [header.scan_id for header in archive.headers] == ["a/slice-000"]
    scan = archive.read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(full))
    assert (scan.noise is not None) is used
    if used:
        torch.testing.assert_close(scan.noise[0], torch.from_numpy(noise))
        assert scan.noise_bandwidth_ratio == pytest.approx(5 / 5 / 0.793) and "number 0" in scan.header.notes["noise scan"]


def test_noise_of_other_channels_is_not_used(tmp_path, full):
    made = [twix.Line(mrd.complex_noise(COILS, 256), ("NOISEADJSCAN",), channels=(0, 2, 1)), *twix.lines(full, range(Y))]
    scan = Siemens(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made))).read("a/slice-000")
    assert scan.noise is None and "1 noise readouts of other channels" in scan.header.notes["noise scan"]


def test_several_scans_in_one_file(tmp_path, full):
    """Each is a volume; one that is refused does not cost the others."""
    made = [(twix.protocol((1, Y, X), sKSpace__ucTrajectory=2 if i == 1 else 1), twix.lines((i + 1) * full, range(Y))) for i in range(3)]
    archive = Siemens(twix.write(tmp_path / "a.dat", *made))
    assert list(archive.volumes()) == ["a/meas-0", "a/meas-2"]
    assert "radial" in archive.skipped["measurement 1"] and "radial" in archive.describe()
    torch.testing.assert_close(archive.read("a/meas-2/slice-000").kspace[0, 0], torch.from_numpy(3 * full))


def test_an_adjustment_whose_protocol_cannot_be_used_costs_itself(tmp_path, full):
    bad = twix.protocol((1, Y, X), sKSpace__lBaseResolution=None, **ADJUSTMENT)
    made = twix.lines(full, range(Y))
    archive = Siemens(twix.write(tmp_path / "a.dat", (bad, made[:3]), (twix.protocol((1, Y, X)), made)))
    assert [header.scan_id for header in archive.headers] == ["a/slice-000"] and "lBaseResolution" in archive.skipped["measurement 0"]


# Header and identity


def test_header(tmp_path, full):
    told = {"tProtocolName": '"TRUFI+AF8-a test"', "sKSpace__dPhaseOversamplingForDialog": 0.6, "patient": "4711"}
    header = Siemens(write_2d(tmp_path / "a.dat", full, told=told)).headers[0]
    assert header.vendor == "SIEMENS" and header.field_strength == 2.89 and header.protocol == "TRUFI_a test"
    assert header.encoded_fov == (Y * 1.6, X) and header.recon_matrix == (10, X) and header.recon_fov == (Y, X)
    assert header.notes["scanner"] == "Skyra, syngo MR E11"


@pytest.mark.parametrize("inversion", ["0x1", "0x2", "0x4"])
def test_times_and_flip_angle(tmp_path, full, inversion):
    """Of the lists, what holds: as many echo times as contrasts, and an inversion time where there is an inversion."""
    told = {"alTR[0]": 30000, "alTE[0]": 2500, "alTE[1]": 5000, "alTE[2]": 20000, "lContrasts": 2, "alTI[0]": 300000}
    told |= {"adFlipAngleDegree[0]": 15.0, "sPrepPulses__ucInversion": inversion}
    header = Siemens(write_2d(tmp_path / "a.dat", full, told=told)).headers[0]
    assert (header.repetition_time, header.echo_time, header.flip_angle) == (30.0, (2.5, 5.0), 15.0)
    assert header.inversion_time == (None if inversion == "0x4" else 300.0)
    assert set(Siemens(write_2d(tmp_path / "b.dat", full)).headers[0].timing.values()) == {None}


def test_subject_is_a_pseudonym(tmp_path, full):
    def header(name, **told):
        return Siemens(write_2d(tmp_path / name, full, told=told)).headers[0]

    first = header("a.dat", patient="4711")
    assert first.subject == header("b.dat", patient="4711").subject != header("c.dat", patient="4712").subject
    assert first.subject not in ("a", "4711") and header("d.dat").subject == "d"
    loid = '<ParamString."PatientLOID"> { "6.0.66327770" }\n'
    assert header("e.dat", patient="xxxxx", config=loid).subject == header("f.dat", config=loid).subject not in ("e", "f")
    assert header("g.dat", patient="xxxxx").subject == "g"


def test_no_identity_gets_past_the_reader(tmp_path, full):
    import pickle

    archive = Siemens(write_2d(tmp_path / "a.dat", full, told={"patient": "PID4711"}))
    scan = archive.read("a/slice-000")
    for seen in (repr(archive.headers), archive.describe(), repr(scan.header)):
        assert not any(text in seen for text in ("DOE", "JANE", "4711", "45385"))
    held = pickle.dumps(archive)
    assert not any(text in held for text in (b"DOE", b"JANE", b"PID4711", b"45385"))


# What is refused


@pytest.mark.parametrize(("kind", "found"), [(2, "radial"), (4, "spiral"), (8, "propeller"), (16, "unknown kind")])
def test_other_trajectories(tmp_path, full, kind, found):
    assert_refused(write_2d(tmp_path / "a.dat", full, told={"sKSpace__ucTrajectory": kind}), found, "Cartesian")


def test_reversed_lines(tmp_path, full):
    flags = [("REFLECT",) if row % 2 else () for row in range(Y)] + [("PHASCOR", "REFLECT")]
    path = write_2d(tmp_path / "a.dat", full, [*range(Y), 3], flags)
    assert_refused(path, "8 of 16 lines reversed and 1 phase-correction navigators", "one direction")


def test_ramp_sampling(tmp_path, full):
    meas = '<ParamLong."alRegridMode"> { 2 1 }\n'
    assert_refused(write_2d(tmp_path / "a.dat", full, told={"meas": meas}), "ramps of the gradient (regridding mode 2)", "even steps")


def test_simultaneous_slices(tmp_path, full):
    path = write_2d(tmp_path / "a.dat", full, told={"sSliceAcceleration__lMultiBandFactor": 2})
    assert_refused(path, "2 slices excited together", "one by one")


def test_duplicate_lines(tmp_path, full):
    assert_refused(write_2d(tmp_path / "a.dat", full, [0, 1, 2, 2, 5]), "1 lines acquired more than once", "averages or repetitions")


def test_lines_beyond_the_matrix(tmp_path, full):
    """One is left out and counted; half of them are an error of the protocol."""
    beyond = twix.Line(full[:, 0], counters={"Lin": 40}, centre=(X // 2, Y // 2, 0))
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), [*twix.lines(full, range(Y - 1)), beyond]))
    scan = Siemens(path).read("a/slice-000")
    assert acquired(scan.mask) == list(range(Y - 1)) and "1 of 16 left out" in scan.header.notes["lines beyond the matrix"]
    path = twix.write(tmp_path / "b.dat", (twix.protocol((1, Y, X)), [*twix.lines(full, [0]), beyond]))
    assert_refused(path, "lines at 0 to 40", "0 to 15")


def test_lines_that_disagree_on_the_centre(tmp_path, full):
    made = twix.lines(full, range(8)) + twix.lines(full, range(8, Y), centre=(X // 2, 3, 0))
    assert_refused(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made)), "lines that call 3, 8 the centre", "one centre")


@pytest.mark.parametrize(("samples", "base"), [(X, 2 * X), (X, 3 * X)])
def test_lines_too_short_for_the_protocol(tmp_path, full, samples, base):
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, base)), twix.lines(full[..., :samples], range(Y))))
    assert_refused(path, "samples, echo at 10", f"{base} samples")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"sKSpace__lBaseResolution": None}, "without sKSpace.lBaseResolution"),
        ({"sKSpace__lPhaseEncodingLines": "many"}, "lPhaseEncodingLines = 'many'"),
        ({"sKSpace__lPhaseEncodingLines": 0}, "a matrix of 1 x 0"),
        ({"sKSpace__lPhaseEncodingLines": 99999999}, "a matrix of 1 x 99999999"),
        ({"sSliceArray__asSlice[0]__dReadoutFOV": "nan"}, "dReadoutFOV = 'nan'"),
    ],
)
def test_protocols_that_cannot_be_used(tmp_path, full, told, found):
    assert_refused(write_2d(tmp_path / "a.dat", full, told=told), found, "")


def test_a_matrix_far_larger_than_what_was_acquired(tmp_path, full):
    made = [twix.Line(full[:, i], counters={"Lin": i + 8000}, centre=(X // 2, 8008, 0)) for i in range(Y)]
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, 16016, X)), made))
    assert_refused(path, "16 lines for a matrix of 16016", "one line in 64")


def test_a_frame_of_few_lines_is_noted(tmp_path, full):
    """A repetition that was broken off, or one damaged counter."""
    made = twix.lines(full, range(Y)) + twix.lines(full, [3], Rep=1)
    header = Siemens(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made))).headers[0]
    assert header.notes["incomplete"] == "1 to 16 lines a frame"


def test_samples_too_large(tmp_path, full):
    full[1, 3] = 3e38
    path = twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X), kept=X // 2), twix.lines(full, range(Y))))
    assert_refused(path, "too large", "undamaged")


def test_non_finite_samples(tmp_path, full):
    full[1, 3, 2] = np.nan
    assert_refused(write_2d(tmp_path / "a.dat", full), "1 lines of a/slice-000 with samples that are not finite", "finite")


def test_only_noise(tmp_path):
    made = [twix.Line(mrd.complex_noise(COILS, 256), ("NOISEADJSCAN",))]
    assert_refused(twix.write(tmp_path / "a.dat", (twix.protocol((1, Y, X)), made)), "none of which is an imaging line", "imaging lines")


def test_only_adjustments(tmp_path, full):
    assert_refused(write_2d(tmp_path / "a.dat", full, told=ADJUSTMENT), "none but the scanner's own adjustments", "a scan")


def test_without_the_end_of_the_acquisition(tmp_path, full):
    path = twix.write_vb(tmp_path / "a.dat", large(twix.protocol((1, Y, X))), twix.lines(full, range(Y)), end=False)
    assert_refused(path, "16 lines and no end of the acquisition", "whole")


@pytest.mark.parametrize("vb", [False, True])
@pytest.mark.parametrize("fraction", [0.999, 0.9, 0.5, 0.2])
def test_truncated(tmp_path, full, fraction, vb):
    path, made = tmp_path / "a.dat", twix.lines(full, range(Y))
    protocol = twix.protocol((1, Y, X))
    data = (twix.write_vb(path, large(protocol), made) if vb else twix.write(path, (protocol, made))).read_bytes()
    path.write_bytes(data[: int(fraction * len(data.rstrip(b"\0")))])
    assert Siemens.recognises(path) or len(path.read_bytes()) < 10300
    with pytest.raises(BadInput, match=r"a\.dat"):
        list(Siemens(path))


def test_a_line_of_no_length_does_not_hang(tmp_path, full):
    """twixtools goes round for ever here."""
    path = twix.write_vb(tmp_path / "a.dat", large(twix.protocol((1, Y, X))), twix.lines(full, range(Y)))
    data = bytearray(path.read_bytes())
    at = len(large(twix.protocol((1, Y, X))))
    struct.pack_into("<Q", data, at + 20, 1 << 5)
    struct.pack_into("<I", data, at, 0)
    path.write_bytes(bytes(data))
    assert_refused(path, "a line of 0 bytes", "whole")


def test_channels_that_do_not_belong_together(tmp_path, full):
    path = twix.write_vb(tmp_path / "a.dat", large(twix.protocol((1, Y, X))), twix.lines(full, range(Y)))
    data = bytearray(path.read_bytes())
    second_channel = len(large(twix.protocol((1, Y, X)))) + 128 + 8 * X
    struct.pack_into("<H", data, second_channel + 32, 9)  # its line counter
    path.write_bytes(bytes(data))
    assert_refused(path, "channels do not belong together", "undamaged")


@pytest.mark.parametrize("seed", range(50))
def test_mutations_end_in_an_error_or_a_right_read(tmp_path, full, seed):
    """A few bytes changed or the end cut off. A byte among the samples changes one line, one of a counter moves one (VE says it once)."""
    draw = np.random.default_rng(seed)
    made = [twix.Line(mrd.complex_noise(COILS, 64), ("NOISEADJSCAN",)), *twix.lines(full, range(Y))]
    path, protocol = tmp_path / "a.dat", twix.protocol((1, Y, X))
    data = bytearray((twix.write(path, (protocol, made)) if seed % 2 else twix.write_vb(path, large(protocol), made)).read_bytes())
    whole = Siemens(path).read("a/slice-000")
    if seed % 5 == 0:
        data = data[: int(draw.integers(len(data)))]
    else:
        # Half of them in the first kilobytes, of which the file has most to say.
        for at in draw.integers(0, len(data) if seed % 3 else 14000, size=int(draw.integers(1, 4))):
            data[at % len(data)] = int(draw.integers(256))
    path.write_bytes(bytes(data))
    try:
        archive = open_archive(path)
        scans = list(archive)
    except BadInput as error:
        assert "a.dat" in str(error)
        return
    assert scans[0].kspace.shape[2:] == whole.kspace.shape[2:]
    if "incomplete" not in scans[0].header.notes:
        changed = (scans[0].kspace != whole.kspace).any(dim=2) | (scans[0].mask != whole.mask)[:, :, 0]
        assert len(scans) == 1 and changed.any(dim=-1).sum() <= 6


# Real files


def test_real_ve(test_data):
    scan = open_archive(test_data / "raw" / "phantom_twix_ve_gre.dat").read("phantom_twix_ve_gre/slice-000")
    assert scan.kspace.shape == (1, 1, 2, 160, 160) and scan.mask.all() and scan.noise is None
    energy = scan.kspace.abs().square().sum(dim=(0, 1, 2))
    assert int(energy.sum(-1).argmax()) == 80 and int(energy.sum(-2).argmax()) == 80
    assert scan.header.encoded_fov == (200, 200) and scan.header.field_strength == 2.89 and scan.header.protocol == "gre"


def test_real_vb_noise_is_one_after_whitening(test_data):
    """Beside the object, in the outermost lines, in units of the noise readout with its bandwidth correction."""
    scan = open_archive(test_data / "raw" / "phantom_twix_vb_12ch_r2_noise_acs.dat").read("phantom_twix_vb_12ch_r2_noise_acs/slice-000")
    assert scan.kspace.shape == (1, 1, 12, 64, 128) and scan.noise.shape == (1, 12, 256)
    assert acquired(scan.mask) == sorted({*range(0, 64, 2), *range(20, 44)}) and verdict(scan).pattern == "equispaced, every 2"
    noise = scan.noise[0]
    covariance = noise @ noise.conj().mT / noise.shape[-1] * scan.noise_bandwidth_ratio
    outer = torch.linalg.inv(torch.linalg.cholesky(covariance)) @ scan.kspace[0, 0][:, [0, 2, 4, 6, 56, 58, 60, 62]].flatten(1)
    profile = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(outer.reshape(12, 8, 128), dim=-1), norm="ortho"), dim=-1)
    beside = torch.cat([profile[..., :6], profile[..., -6:]], dim=-1).abs().square().mean()
    # The inverse of a covariance of 12 coils from 256 samples is 256 / (256 - 13) too large on average.
    assert float(beside * (256 - 13) / 256) ** 0.5 == pytest.approx(1, abs=0.05)


def test_real_epi_is_refused_with_what_was_found(test_data):
    path = test_data / "raw" / "phantom_twix_ve_epi.dat"
    assert_refused(path, "40 of 80 lines reversed and 3 phase-correction navigators, sampled on the ramps", "corrected and regridded")


@pytest.mark.parametrize("name", ["phantom_twix_ve_gre", "phantom_twix_vb_12ch_r2_noise_acs"])
def test_real_names_do_not_get_past_the_reader(test_data, name):
    import pickle

    archive = open_archive(test_data / "raw" / f"{name}.dat")
    held = pickle.dumps((archive, list(archive), archive.describe()))
    for identity in (b"BANGERTER", b"66327770", b"2317399", b"19931203", b"45385", b"35002", b"Brigham", b"DZNE"):
        assert identity not in held


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["phantom_twix_ve_gre", "phantom_twix_vb_12ch_r2_noise_acs"])
def test_a_second_reader_finds_the_same_samples(test_data, name):
    mapvbvd = pytest.importorskip("mapvbvd")
    path = test_data / "raw" / f"{name}.dat"
    theirs = mapvbvd.mapVBVD(str(path), quiet=True)
    theirs.image.flagRemoveOS, theirs.image.squeeze = False, True
    image = torch.from_numpy(np.ascontiguousarray(theirs.image[""].transpose(1, 2, 0)))  # columns, channels, lines to ours
    scan = open_archive(path).read(f"{name}/slice-000")
    ours = scan.kspace[0, 0][:, : image.shape[1]]
    expected = remove_readout_oversampling(image, ours.shape[-1])
    imaging = image.abs().amax(dim=(0, 2)) > 0  # theirs leaves the reference lines out
    torch.testing.assert_close(ours[:, imaging], expected[:, imaging])
    assert int(imaging.sum()) >= 32
    if scan.noise is not None:
        theirs.noise.flagRemoveOS, theirs.noise.squeeze = False, True
        torch.testing.assert_close(scan.noise[0], torch.from_numpy(np.ascontiguousarray(theirs.noise[""].T)))


def example(folder):
    """For the contract of every archive: two slices with a noise readout, a separate reference, and oversampling."""
    kspace = mrd.complex_noise(2, COILS, Y, 2 * X)
    made = [twix.Line(mrd.complex_noise(COILS, 256), ("NOISEADJSCAN",))]
    for index in range(2):
        made += twix.lines(kspace[index], [6, 7, 8, 9], [REFERENCE, REFERENCE, BOTH, REFERENCE], Sli=index)
        made += twix.lines(kspace[index], [0, 2, 4, 10, 12, 14], Sli=index)
    protocol = twix.protocol((1, Y, 2 * X), kept=X, sPat__ucRefScanMode="0x4", patient="4711")
    return twix.write(folder / "a.dat", (protocol, made))


def example_volume(folder, bad=None):
    """A 3-D scan, for the contract of every archive that gives pieces."""
    kspace, made = mrd.complex_noise(5, COILS, Y, 2 * X), []
    if bad == "not finite":
        kspace[4] = np.nan
    for z in (0, 1, 2, 4):
        made += twix.lines(kspace[z], range(z % 2, Y, 2), Par=z, centre=(X, Y // 2, 2))
    return twix.write(folder / "a.dat", (twix.protocol((5, Y, 2 * X), kept=X), made))
