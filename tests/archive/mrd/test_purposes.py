"""ISMRMRD: what lines are for (encodings, calibration, navigators), averages, and the noise."""

import numpy as np
import pytest
import torch

from ssrecon.archive.mrd.ismrmrd import ISMRMRD
from ssrecon.calibrate.verdict import verdict
from tests.archive.mrd import lines as mrd
from tests.archive.mrd.common import COILS, X, Y, acquired, lines_of, write_2d


def two_encodings(y=Y, x=X, z=1, fov=None):
    """A header with a second encoding of its own matrix, and of the first's field of view where that is given."""
    first, second = mrd.header_xml((1, Y, X)), mrd.header_xml((z, y, x), centre=y // 2)
    start, end = second.index("<encoding>"), second.index("</encoding>") + len("</encoding>")
    encoding = second[start:end]
    if fov is not None:
        encoding = encoding.replace(f"<fieldOfView_mm><x>{x}</x><y>{y}</y>", f"<fieldOfView_mm><x>{fov[1]}</x><y>{fov[0]}</y>")
    return first.replace("</encoding></ismrmrdHeader>", f"</encoding>{encoding}</ismrmrdHeader>")


def test_encodings_are_volumes_of_their_own(tmp_path):
    one, two = mrd.complex_noise(COILS, Y, X), mrd.complex_noise(COILS, Y - 4, X - 6)
    heads = mrd.heads(Y, COILS, X, kspace_encode_step_1=np.arange(Y)), mrd.heads(Y - 4, COILS, X - 6, kspace_encode_step_1=np.arange(Y - 4))
    heads[1]["encoding_space_ref"] = 1
    parts = ((heads[0], one.transpose(1, 0, 2)), (heads[1], two.transpose(1, 0, 2)))
    archive = ISMRMRD(mrd.write(tmp_path / "a.h5", two_encodings(Y - 4, X - 6), *parts))
    assert [header.volume_id for header in archive.headers] == ["a/encoding-0", "a/encoding-1"]
    for scan, expected in zip(archive, (one, two), strict=True):
        torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(expected))
        assert "2 in the file" in scan.header.notes["encodings"]
    # One that cannot be gridded does not stop the other.
    heads[1]["flags"] |= np.uint64(mrd.flag(22))
    (left,) = ISMRMRD(mrd.write(tmp_path / "b.h5", two_encodings(Y - 4, X - 6), *parts))
    assert left.header.volume_id == "b" and "one was left out: found 12 reversed lines" in left.header.notes["encodings"]


def test_a_calibration_that_is_an_encoding_of_its_own(tmp_path, full):
    """Eight lines of sixteen samples over the same field of view lie about DC; over another they are left out."""
    small = mrd.complex_noise(COILS, 8, 16)
    rows = np.arange(0, Y, 2)
    imaging = mrd.heads(len(rows), COILS, X, kspace_encode_step_1=rows)
    calibration = mrd.heads(8, COILS, 16, kspace_encode_step_1=np.arange(8), encoding_space_ref=1, flags=mrd.flag(20))
    parts = ((imaging, full[:, rows].transpose(1, 0, 2)), (calibration, small.transpose(1, 0, 2)))
    scan = ISMRMRD(mrd.write(tmp_path / "a.h5", two_encodings(8, 16, fov=(Y, X)), *parts)).read("a/slice-000")
    assert scan.calibration is not None and "an encoding of its own" in scan.header.notes["calibration"]
    assert scan.calibration.mask.sum() == 8 * 16 and scan.mask[0, 0, 0, :, 0].sum() == len(rows)
    box = scan.calibration.kspace[0, 0, :, Y // 2 - 4 : Y // 2 + 4, X // 2 - 8 : X // 2 + 8]
    torch.testing.assert_close(box, torch.from_numpy(small))
    other = ISMRMRD(mrd.write(tmp_path / "b.h5", two_encodings(8, 16), *parts)).read("b/slice-000")
    assert other.calibration is None and "left out" in other.header.notes["calibration"]


def test_what_a_user_should_know_is_noted(tmp_path, full):
    head = mrd.heads(Y, COILS, X, kspace_encode_step_1=np.arange(Y), center_sample=X // 2 - 3)
    head["number_of_samples"] = X - 3
    xml = mrd.header_xml((1, Y, X)).replace("<protocolName>test</protocolName>", "")
    inside = xml.index("<reconSpace>")
    xml = xml[:inside] + xml[inside:].replace(f"<y>{Y}</y><z>1</z></fieldOfView_mm>", f"<y>{Y // 2}</y><z>1</z></fieldOfView_mm>", 1)
    notes = ISMRMRD(mrd.write(tmp_path / "a.h5", xml, (head, full[:, :, 3:].transpose(1, 0, 2)))).headers[0].notes
    assert f"echo of {Y} lines" in notes["asymmetric echo"] and notes["phase oversampling"].startswith("2.00 times")
    assert "no noise readouts" in notes["noise"] and notes["protocol"] == "not named"


@pytest.mark.parametrize("last_is_marked", [True, False])
@pytest.mark.parametrize("lines_of_second", [Y, 3])
def test_what_may_end_early_is_in_doubt_whatever_the_notes_say(tmp_path, full, last_is_marked, lines_of_second):
    rows, frames = np.r_[np.arange(Y), np.arange(lines_of_second)], np.r_[np.zeros(Y, int), np.ones(lines_of_second, int)]
    flags = np.zeros(len(rows), np.uint64)
    flags[-1] = mrd.flag(mrd.LAST) if last_is_marked else 0
    (header,) = ISMRMRD(write_2d(tmp_path / "a.h5", full, rows, repetition=frames, flags=flags)).headers
    whole = last_is_marked and lines_of_second == Y
    assert set(header.doubts) == (set() if whole else {"incomplete"})


def test_averages_are_averaged_and_quieten_the_noise(tmp_path):
    kspace = mrd.complex_noise(4, COILS, Y, X)
    rows, averages = np.tile(np.arange(Y), 4), np.repeat(np.arange(4), Y)
    head = mrd.heads(4 * Y, COILS, X, kspace_encode_step_1=rows, average=averages)
    noise = mrd.complex_noise(2, COILS, 64)
    noise_head = mrd.heads(2, COILS, 64, flags=mrd.flag(mrd.NOISE), sample_time_us=10.0)
    archive = ISMRMRD(mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, X)), (noise_head, noise), (head, kspace[averages, :, rows])))
    scan = archive.read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(kspace.mean(0)))
    assert scan.noise_bandwidth_ratio == pytest.approx(10 / 5 / 4)
    assert "4, averaged" in scan.header.notes["averages"]


def calibrated_file(tmp_path, full, mode):
    """Every fourth line, lines 6 to 10 flagged: 8 for imaging too, the others for calibration only."""
    rows = np.array([0, 4, 6, 7, 8, 9, 12])
    flags = np.zeros(len(rows), np.uint64)
    flags[[2, 3, 5]] = mrd.flag(mrd.CALIBRATION)
    flags[4] = mrd.flag(mrd.CALIBRATION_AND_IMAGING)
    head = mrd.heads(len(rows), COILS, X, kspace_encode_step_1=rows, flags=flags)
    return mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, X), mode=mode), (head, lines_of(full, rows)))


@pytest.mark.parametrize("mode", ["embedded", "other", ""])
def test_embedded_calibration_is_part_of_the_scan(tmp_path, full, mode):
    scan = ISMRMRD(calibrated_file(tmp_path, full, mode)).read("a/slice-000")
    assert acquired(scan.mask) == [0, 4, 6, 7, 8, 9, 12]
    assert scan.calibration is None


@pytest.mark.parametrize("mode", ["separate", "external"])
def test_separate_calibration_never_enters_omega(tmp_path, full, mode):
    scan = ISMRMRD(calibrated_file(tmp_path, full, mode)).read("a/slice-000")
    assert acquired(scan.mask) == [0, 4, 8, 12]
    assert acquired(scan.calibration.mask) == [6, 7, 8, 9]
    torch.testing.assert_close(scan.calibration.kspace[0, 0, :, 6], torch.from_numpy(full[:, 6]))
    assert not scan.kspace[0, 0, :, 6].any()
    assert verdict(scan).calibration_source == "measured apart"


def test_navigators_are_left_out_and_noted(tmp_path, full):
    rows = np.r_[np.arange(Y), 3, 4]
    flags = np.zeros(len(rows), np.uint64)
    flags[-2:] = mrd.flag(mrd.NAVIGATION), mrd.flag(mrd.PHASECORR, mrd.REVERSE)
    scan = ISMRMRD(write_2d(tmp_path / "a.h5", full, rows, flags=flags)).read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(full))
    assert scan.header.notes["navigators"] == "1 left out"
    assert scan.header.notes["phase-correction lines"] == "1 left out"


@pytest.mark.parametrize(("t_noise", "bandwidth"), [(5.0, None), (20.0, None), (20.0, 0.793)])
def test_noise_bandwidth(tmp_path, full, t_noise, bandwidth):
    noise = mrd.complex_noise(6, COILS, 50)
    noise_head = mrd.heads(6, COILS, 50, flags=mrd.flag(mrd.NOISE), sample_time_us=t_noise)
    head = mrd.heads(Y, COILS, X, kspace_encode_step_1=np.arange(Y))
    xml = mrd.header_xml((1, Y, X), noise_bandwidth=bandwidth)
    scan = ISMRMRD(mrd.write(tmp_path / "a.h5", xml, (noise_head, noise), (head, lines_of(full, np.arange(Y))))).read("a/slice-000")
    torch.testing.assert_close(scan.noise, torch.from_numpy(noise))
    assert scan.noise_bandwidth_ratio == pytest.approx(t_noise / 5.0 / (bandwidth or 1))
