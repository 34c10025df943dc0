"""Siemens twix: what is refused, and damage, which ends in an error or a right read."""

import struct

import numpy as np
import pytest

from ssrecon.archive import open_archive
from ssrecon.archive.siemens.siemens import Siemens
from ssrecon.core.errors import BadInput
from tests.archive.mrd import lines as mrd
from tests.archive.mrd.common import acquired
from tests.archive.siemens import twix
from tests.archive.siemens.common import ADJUSTMENT, COILS, X, Y, assert_refused, large, write_2d


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
