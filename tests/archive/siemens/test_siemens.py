"""Siemens twix: where lines go, headers, and what gets past the reader."""

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.siemens.siemens import Siemens
from ssrecon.sampling.describe import describe_sampling
from tests.archive.mrd import lines as mrd
from tests.archive.mrd.common import acquired
from tests.archive.siemens import twix
from tests.archive.siemens.common import BOTH, COILS, REFERENCE, X, Y, large, write_2d


def test_lines_in_any_order_with_gaps(tmp_path, full):
    rows = np.random.default_rng(0).permutation([0, 3, 6, 7, 8, 9, 12, 15])
    archive = open_archive(write_2d(tmp_path / "a.dat", full, rows))
    assert isinstance(archive.reader, Siemens)
    scan = archive.read("a/slice-000")
    mask = np.zeros(Y, bool)
    mask[rows] = True
    assert torch.equal(scan.mask[0, 0, 0], torch.from_numpy(mask)[:, None].expand(Y, X))
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(full * mask[:, None]))
    assert scan.calibration is None and scan.noise is None and not scan.padding.any()


def test_vb(tmp_path, full):
    path = twix.write_vb(tmp_path / "a.dat", large(twix.protocol((1, Y, X))), twix.lines(full, range(Y)))
    archive = open_archive(path)
    assert isinstance(archive.reader, Siemens)
    torch.testing.assert_close(archive.read("a/slice-000").kspace[0, 0], torch.from_numpy(full))


def test_found_by_content_and_not_by_name(tmp_path, full):
    assert type(open_archive(write_2d(tmp_path / "meas.h5", full)).reader) is Siemens


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
    assert acquired(scan.mask) == list(range(6, 16)) and describe_sampling(scan).missing_side == ("low", "")
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
