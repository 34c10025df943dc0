"""Siemens twix: what lines are for (reference, navigators), and the noise."""

import struct

import pytest
import torch

from ssrecon.archive.siemens.siemens import Siemens
from tests.archive.mrd import lines as mrd
from tests.archive.mrd.common import acquired
from tests.archive.siemens import twix
from tests.archive.siemens.common import ADJUSTMENT, BOTH, COILS, REFERENCE, X, Y, large, write_2d


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
