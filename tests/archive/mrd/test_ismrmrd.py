"""ISMRMRD: where lines go, and headers."""

import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.mrd.ismrmrd import ISMRMRD
from ssrecon.calibrate.verdict import verdict
from ssrecon.sampling.describe import describe_sampling
from tests.archive.mrd import lines as mrd
from tests.archive.mrd.common import COILS, X, Y, lines_of, write_2d


def test_lines_in_any_order_with_gaps(tmp_path, full):
    rows = np.random.default_rng(0).permutation(np.r_[0:Y:3, 6:10])
    rows = rows[np.sort(np.unique(rows, return_index=True)[1])]
    archive = open_archive(write_2d(tmp_path / "a.h5", full, rows))
    assert isinstance(archive.reader, ISMRMRD)
    scan = archive.read("a/slice-000")
    mask = np.zeros(Y, bool)
    mask[rows] = True
    assert torch.equal(scan.mask[0, 0, 0], torch.from_numpy(mask)[:, None].expand(Y, X))
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(full * mask[:, None]))
    assert not scan.padding.any() and scan.calibration is None


def test_zeros_that_were_acquired_are_in_the_mask(tmp_path, full):
    full[:, 4] = 0
    assert ISMRMRD(write_2d(tmp_path / "a.h5", full, np.arange(Y))).read("a/slice-000").mask.all()


def test_written_by_the_standard_s_own_library(tmp_path, full):
    ismrmrd = pytest.importorskip("ismrmrd")
    path = tmp_path / "a.h5"
    data = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    data.write_xml_header(mrd.header_xml((1, Y, X)).encode())
    for row in reversed(range(Y)):
        acquisition = ismrmrd.Acquisition.from_array(np.ascontiguousarray(full[:, row]))
        acquisition.idx.kspace_encode_step_1 = row
        acquisition.center_sample = X // 2
        data.append_acquisition(acquisition)
    data.close()
    torch.testing.assert_close(ISMRMRD(path).read("a/slice-000").kspace[0, 0], torch.from_numpy(full))


def test_centre_of_kspace_goes_to_the_middle(tmp_path, full):
    """A matrix of 24 of which 16 lines were encoded, the centre being line 7."""
    xml = mrd.header_xml((1, 24, X), limits=(0, Y - 1), centre=7)
    head = mrd.heads(Y, COILS, X, kspace_encode_step_1=np.arange(Y))
    scan = ISMRMRD(mrd.write(tmp_path / "a.h5", xml, (head, lines_of(full, np.arange(Y))))).read("a/slice-000")
    assert scan.kspace.shape[-2:] == (24, X)
    torch.testing.assert_close(scan.kspace[0, 0, :, 12], torch.from_numpy(full[:, 7]))
    assert scan.mask[0, 0, 0, :, 0].nonzero().flatten().tolist() == list(range(5, 21))
    assert describe_sampling(scan).missing_side == ("", "")


def test_siemens_lines_know_their_centre_better(tmp_path, full):
    """The header says half the matrix even where partial Fourier moved the centre."""
    xml = mrd.header_xml((1, 24, X), limits=(0, Y - 1), centre=12, vendor="SIEMENS")
    user = np.zeros((Y, 8))
    user[:, 5] = 4
    head = mrd.heads(Y, COILS, X, kspace_encode_step_1=np.arange(Y), user=user)
    archive = ISMRMRD(mrd.write(tmp_path / "a.h5", xml, (head, lines_of(full, np.arange(Y)))))
    scan = archive.read("a/slice-000")
    torch.testing.assert_close(scan.kspace[0, 0, :, 12], torch.from_numpy(full[:, 4]))
    assert describe_sampling(scan).missing_side == ("low", "")
    assert "4 by the lines" in scan.header.notes["centre of step 1"]


def test_three_dimensions(tmp_path):
    z, y, x = 4, 6, 10
    kspace = mrd.complex_noise(COILS, z, y, x)
    places = np.array([(a, b) for a in range(z) for b in range(y) if (a + b) % 2 == 0])
    head = mrd.heads(len(places), COILS, x, kspace_encode_step_2=places[:, 0], kspace_encode_step_1=places[:, 1])
    lines = kspace[:, places[:, 0], places[:, 1]].transpose(1, 0, 2)
    scan = ISMRMRD(mrd.write(tmp_path / "a.h5", mrd.header_xml((z, y, x)), (head, lines))).read("a/slice-000")
    assert scan.kspace.shape == (1, 1, COILS, z, y, x)
    mask = np.add.outer(np.arange(z), np.arange(y)) % 2 == 0
    assert torch.equal(scan.mask[0, 0, 0, ..., 0], torch.from_numpy(mask))
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(kspace * mask[..., None]))
    assert scan.header.encoded_matrix == (z, y, x)
    assert verdict(scan).sampling.family == "random points"  # too few to tell a lattice of them


def test_slices_are_scans_and_interleaving_does_not_matter(tmp_path):
    kspace = mrd.complex_noise(3, COILS, Y, X)
    rows, slices = np.repeat(np.arange(Y), 3), np.tile(np.arange(3), Y)
    head = mrd.heads(len(rows), COILS, X, kspace_encode_step_1=rows, slice=slices)
    archive = ISMRMRD(mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, X)), (head, kspace[slices, :, rows])))
    assert [header.slice for header in archive.headers] == [0, 1, 2]
    assert archive.volumes() == {"a": ("a/slice-000", "a/slice-001", "a/slice-002")}
    for index, scan in enumerate(archive):
        torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(kspace[index]))


@pytest.mark.parametrize("counter", ["contrast", "phase", "repetition", "set"])
def test_frames(tmp_path, counter):
    kspace = mrd.complex_noise(2, COILS, Y, X)
    rows, frames = np.tile(np.arange(Y), 2), np.repeat([0, 1], Y)
    keep = (rows + frames) % 2 == 0
    head = mrd.heads(Y, COILS, X, kspace_encode_step_1=rows[keep], **{counter: frames[keep]})
    scan = ISMRMRD(mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, X)), (head, kspace[frames[keep], :, rows[keep]]))).read("a/slice-000")
    assert scan.kspace.shape == (1, 2, COILS, Y, X)
    assert scan.mask[0, 0, 0, :, 0].nonzero().flatten().tolist() == list(range(0, Y, 2))
    assert scan.mask[0, 1, 0, :, 0].nonzero().flatten().tolist() == list(range(1, Y, 2))
    torch.testing.assert_close(scan.kspace[0, 1, :, 3], torch.from_numpy(kspace[1, :, 3]))


def test_several_running_counters_are_the_product_of_their_frames(tmp_path):
    """Echoes by repetitions: 2 x 3 frames, the echo the slowest; one of the six has not been measured to its end."""
    kspace = mrd.complex_noise(2, 3, COILS, Y, X)
    echo, repetition, rows = (a.ravel() for a in np.meshgrid([0, 1], [4, 7, 9], np.arange(Y), indexing="ij"))
    keep = (echo == 0) | (repetition != 9) | (rows < 5)
    echo, repetition, rows = echo[keep], repetition[keep], rows[keep]
    place = np.searchsorted([4, 7, 9], repetition)
    head = mrd.heads(len(rows), COILS, X, kspace_encode_step_1=rows, contrast=echo, repetition=repetition)
    scan = ISMRMRD(mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, X)), (head, kspace[echo, place, :, rows]))).read("a/slice-000")
    assert scan.kspace.shape == (1, 6, COILS, Y, X) and "contrast x repetition" in scan.header.notes["frames"]
    for e in range(2):
        for r in range(3):
            lines = 5 if (e, r) == (1, 2) else Y
            assert scan.mask[0, 3 * e + r, 0, :, 0].sum() == lines
            torch.testing.assert_close(scan.kspace[0, 3 * e + r, :, :lines], torch.from_numpy(kspace[e, r, :, :lines]))


def test_readout_oversampling_is_removed(tmp_path):
    """The image is the central half of the wide one, at its own scale."""
    image = np.zeros((COILS, Y, 2 * X), np.complex64)
    image[:, 3:9, X // 2 + 4 : X // 2 + 12] = mrd.complex_noise(COILS, 6, 8)

    def transform(x):
        axes = (-2, -1)
        return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x, axes=axes), norm="ortho"), axes=axes)

    head = mrd.heads(Y, COILS, 2 * X, kspace_encode_step_1=np.arange(Y))
    path = mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, 2 * X), kept=X), (head, lines_of(transform(image), np.arange(Y))))
    scan = ISMRMRD(path).read("a/slice-000")
    expected = transform(image[..., X // 2 : X // 2 + X])
    torch.testing.assert_close(scan.kspace[0, 0], torch.from_numpy(expected.astype(np.complex64)), rtol=1e-4, atol=1e-5)
    assert scan.header.encoded_matrix == (Y, X) and scan.header.encoded_fov == (Y, X)
    assert scan.mask.all()


def test_asymmetric_echo_is_masked_sample_by_sample(tmp_path, full):
    """The first 6 samples of each readout are missing, and 1 more is to be discarded: the echo is at sample 4 of 14."""
    head = mrd.heads(Y, COILS, X - 6, kspace_encode_step_1=np.arange(Y), center_sample=X // 2 - 6, discard_pre=1)
    path = mrd.write(tmp_path / "a.h5", mrd.header_xml((1, Y, X)), (head, lines_of(full[..., 6:], np.arange(Y))))
    scan = ISMRMRD(path).read("a/slice-000")
    assert not scan.mask[..., :7].any() and scan.mask[..., 7:].all()
    torch.testing.assert_close(scan.kspace[0, 0, ..., 7:], torch.from_numpy(full[..., 7:]))


def test_asymmetric_echo_with_oversampling_keeps_only_sound_samples(tmp_path):
    """Next to the cut the samples are mixed with what was not acquired; those kept agree with the full readout to a few per cent."""
    grid = np.exp(-(((np.arange(64) - 32) / 7.0) ** 2))
    image = np.tile(grid, (1, Y, 1)) * np.exp(0.5j * np.arange(64) / 10)
    wide = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(image, axes=-1), norm="ortho"), axes=-1)
    rows = np.arange(Y)
    xml = mrd.header_xml((1, Y, 64), kept=32)
    whole = ISMRMRD(mrd.write(tmp_path / "w.h5", xml, (mrd.heads(Y, 1, 64, kspace_encode_step_1=rows), lines_of(wide, rows))))
    cut_head = mrd.heads(Y, 1, 44, kspace_encode_step_1=rows, center_sample=12)
    cut = ISMRMRD(mrd.write(tmp_path / "c.h5", xml, (cut_head, lines_of(wide[..., 20:], rows))))
    expected, found = whole.read("w/slice-000"), cut.read("c/slice-000")
    assert found.mask[0, 0, 0, 0].nonzero().flatten().tolist() == list(range(12, 32))
    error = torch.where(found.mask, found.kspace - expected.kspace, 0).abs().max()
    assert float(error) < 0.03 * float(expected.kspace.abs().max())


def test_subject_is_a_pseudonym(tmp_path, full):
    def header(name, **told):
        head = mrd.heads(Y, COILS, X, kspace_encode_step_1=np.arange(Y))
        return ISMRMRD(mrd.write(tmp_path / name, mrd.header_xml((1, Y, X), **told), (head, lines_of(full, np.arange(Y))))).headers[0]

    named = header("a.h5", patient="DOE^JANE")
    assert named.subject == header("b.h5", patient="DOE^JANE").subject != "b"
    assert "DOE" not in repr(named)
    first, second = header("c.h5", measurement="45387_1079885_1_2"), header("d.h5", measurement="45387_1079885_7_9")
    assert first.subject == second.subject and "1079885" not in repr(first)
    assert header("e.h5").subject == "e"


def test_times_and_flip_angle(tmp_path, full):
    """Milliseconds and degrees; several are a tuple, zeros and words are unknown, and no reason to refuse a scan."""
    told = "<sequenceParameters><TR>30</TR><TE>2.5</TE><TE>5</TE><TI>0</TI><flipAngle_deg>n/a</flipAngle_deg></sequenceParameters>"
    xml = mrd.header_xml((1, Y, X)).replace("</ismrmrdHeader>", f"{told}</ismrmrdHeader>")
    head = mrd.heads(Y, COILS, X, kspace_encode_step_1=np.arange(Y))
    header = ISMRMRD(mrd.write(tmp_path / "a.h5", xml, (head, lines_of(full, np.arange(Y))))).headers[0]
    assert (header.repetition_time, header.echo_time, header.inversion_time, header.flip_angle) == (30.0, (2.5, 5.0), None, None)


def example(folder):
    """For the contract of every archive."""
    rows, slices = np.tile(np.r_[0:Y:2, 5, 7, 9], 2), np.repeat([0, 1], Y // 2 + 3)
    kspace = mrd.complex_noise(2, COILS, Y, 2 * X)
    head = mrd.heads(len(rows), COILS, 2 * X, kspace_encode_step_1=rows, slice=slices)
    return mrd.write(folder / "a.h5", mrd.header_xml((1, Y, 2 * X), kept=X), (head, kspace[slices, :, rows]))


def example_volume(folder, bad=None):
    """A 3-D scan, for the contract of every archive that gives pieces."""
    places = np.array([(z, y) for z in range(5) for y in range(Y) if (z + y) % 2 and z != 3])
    lines = mrd.complex_noise(len(places), COILS, 2 * X)
    if bad == "not finite":
        lines[-1] = np.nan
    head = mrd.heads(len(places), COILS, 2 * X, kspace_encode_step_1=places[:, 1], kspace_encode_step_2=places[:, 0])
    return mrd.write(folder / "a.h5", mrd.header_xml((5, Y, 2 * X), kept=X), (head, lines))
