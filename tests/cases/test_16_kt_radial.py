"""CMRxRecon2024 3, PromptMR-plus 2 and 4: masks of points on two-dimensional slices, in every format that can hold one."""

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.bart import Bart
from ssrecon.archive.cmrxrecon import CMRxRecon
from ssrecon.archive.fastmri.fastmri import FastMRI
from ssrecon.archive.plain import Plain
from ssrecon.core.encoding import GridPoints, HybridSlice, WholeLines
from ssrecon.inspect.audit import audit
from tests.cases.common import cfl, columns, fastmri, fft, maps, noise, obj

NX, NY, COILS, FRAMES, SPOKES = 96, 64, 6, 4, 14
COMPOUND = np.dtype([("real", "<f4"), ("imag", "<f4")])


def spokes(t):
    """Spokes on the grid, turned from frame to frame, and a full centre."""
    mask = np.zeros((NY, NX), bool)
    for angle in np.pi * (np.arange(SPOKES) + 0.5 * (t % 2) + 0.25 * (t // 2)) / SPOKES:
        r = np.linspace(-1, 1, 4 * NX)
        y = np.round(r * np.sin(angle) * NY / 2 + NY // 2).astype(int)
        x = np.round(r * np.cos(angle) * NX / 2 + NX // 2).astype(int)
        inside = (y >= 0) & (y < NY) & (x >= 0) & (x < NX)
        mask[y[inside], x[inside]] = True
    mask[NY // 2 - 8 : NY // 2 + 8, NX // 2 - 8 : NX // 2 + 8] = True
    return mask


RADIAL = np.stack([spokes(t) for t in range(FRAMES)])
LINES = np.broadcast_to(np.stack([columns(NY, 4, 12, t) for t in range(FRAMES)])[:, :, None], RADIAL.shape)
ECHO = LINES & (np.arange(NX) >= 20)
MASKS = {"points": (RADIAL, GridPoints()), "lines": (LINES, WholeLines()), "asymmetric echo": (ECHO, WholeLines())}


@pytest.fixture(scope="module")
def kspace():
    """(frame, coil, y, x), fully sampled"""
    image, csm = obj(NY, NX), maps(COILS, NY, NX)
    return np.stack([fft(csm * image * (1 + 0.1 * t)) + 0.01 * noise((COILS, NY, NX), t) for t in range(FRAMES)]).astype(np.complex64)


def cmrxrecon(folder, kspace, mask):
    values = np.empty((FRAMES, 1, COILS, NY, NX), COMPOUND)
    values["real"], values["imag"] = (kspace * mask[:, None])[:, None].real, (kspace * mask[:, None])[:, None].imag
    for name, variable, data in (("UnderSample", "kus", values), ("Mask", "mask", mask.astype(float))):
        place = folder / "TrainingSet" / f"{name}_Task2" / "P001"
        place.mkdir(parents=True)
        with h5py.File(place / f"cine_sax_{variable}_ktRadial8.mat", "w") as file:
            file[variable] = data
    return folder / "TrainingSet" / "UnderSample_Task2" / "P001" / "cine_sax_kus_ktRadial8.mat", CMRxRecon


def plain(folder, kspace, mask):
    with h5py.File(folder / "v.h5", "w") as file:
        file.attrs["layout"], file.attrs["version"] = "ssrecon", 1
        for name, data, axes in (("kspace", kspace, "frame coil y x"), ("mask", mask, "frame y x")):
            file[name] = data
            file[name].attrs["axes"] = axes
    return folder / "v.h5", Plain


def in_bart_s_order(array):
    """(frame, coil, y, x) to the sixteen dimensions, x first."""
    return array.transpose(3, 2, 1, 0), (array.shape[3], array.shape[2], 1, array.shape[1], *(1,) * 6, array.shape[0])


def bart_pattern(folder, kspace, mask):
    cfl(folder / "k", *in_bart_s_order(kspace))
    cfl(folder / "k_pattern", *in_bart_s_order(mask[:, None].astype(np.complex64)))
    return folder / "k.hdr", Bart


def bart_zeros(folder, kspace, mask):
    cfl(folder / "k", *in_bart_s_order(kspace * mask[:, None]))
    return folder / "k.hdr", Bart


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("write", [cmrxrecon, plain, bart_pattern, bart_zeros], ids=lambda write: write.__name__)
def test_the_samples_decide(tmp_path, kspace, write, kind):
    mask, encoding = MASKS[kind]
    path, reader = write(tmp_path, kspace, mask)
    archive = open_archive(path)
    (header,) = archive.headers
    scan = archive.read(header.scan_id)
    assert isinstance(archive.reader, reader) and header.encoding == encoding and scan.header == header
    assert torch.equal(scan.mask[0, :, 0], torch.from_numpy(np.array(mask)))


@pytest.mark.parametrize("write", [cmrxrecon, plain, bart_pattern, bart_zeros], ids=lambda write: write.__name__)
def test_the_audit_counts_points(tmp_path, kspace, write):
    """20 % of the samples in a frame, 64 % in any: the figures of the case. "Full", and R=5 beside it, was what the audit said."""
    assert RADIAL.mean() == pytest.approx(0.20, abs=0.02) and RADIAL.any(axis=0).mean() == pytest.approx(0.64, abs=0.05)
    (tmp_path / "in").mkdir()
    found = audit(open_archive(write(tmp_path / "in", kspace, RADIAL)[0]), tmp_path / "out")
    (seen,) = found.scans
    assert seen.sampling["pattern"] == "radial" and "full" not in {finding["kind"] for finding in seen.findings}
    assert seen.sampling["acquired"] == RADIAL.sum() / FRAMES
    assert found.cohorts[0].never == pytest.approx(1 - RADIAL.any(axis=0).mean(), abs=1e-6)
    assert any("36.0% of the locations were never acquired" in text for text in found.cohorts[0].says)


@pytest.mark.parametrize("kind", MASKS)
def test_two_dimensional_masks_of_fastmri_s_layout(tmp_path, kspace, kind):
    mask, encoding = MASKS[kind]
    path = fastmri(tmp_path / "v.h5", (kspace[:1] * mask[0]).swapaxes(-1, -2), mask=mask[0].T)
    archive = open_archive(path)
    scan = next(iter(archive))
    assert isinstance(archive.reader, FastMRI) and archive.headers[0].encoding == encoding == scan.header.encoding
    assert torch.equal(scan.mask[0, 0, 0], torch.from_numpy(np.array(mask[0])))


def test_listing_reads_no_more_than_it_needs(tmp_path, kspace, monkeypatch):
    """Of a plain file its mask, of CMRxRecon's the mask's file."""
    asked, original = [], h5py.Dataset.__getitem__

    def spy(self, index, *rest):
        asked.append(self.name)
        return original(self, index, *rest)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    for write in (plain, cmrxrecon):
        _ = open_archive(write(tmp_path, kspace, RADIAL)[0]).headers
    assert set(asked) <= {"/mask"}


@pytest.mark.parametrize("write", [plain, bart_pattern])
def test_a_slice_without_a_readout_is_a_hybrid_one_whatever_its_mask(tmp_path, kspace, write):
    if write is plain:
        path, _ = plain(tmp_path, kspace, RADIAL)
        with h5py.File(path, "a") as file:
            file["kspace"].attrs["axes"], file["mask"].attrs["axes"] = "frame coil z y", "frame z y"
    else:
        # Dimension 0, the readout, has one sample; the slices of dimension 13 are places along it.
        data = np.stack([kspace[0], kspace[1]]).transpose(3, 2, 1, 0)  # y z coil slice
        cfl(tmp_path / "k", data.transpose(0, 1, 2, 3), (1, NX, NY, COILS, *(1,) * 9, 2))
        path = tmp_path / "k.hdr"
    headers = open_archive(path).headers
    assert [header.encoding for header in headers] == [HybridSlice(index, len(headers)) for index in range(len(headers))]
