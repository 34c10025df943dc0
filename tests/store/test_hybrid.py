"""3-D Cartesian scans as slices across the readout: the same samples, the same noise, a slice in memory, and only where that is right."""

import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.archive.plain import write_plain
from ssrecon.baselines import CGSense
from ssrecon.calibrate import Calibrator
from ssrecon.core.encoding import HybridSlice, WholeLines
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Calibration, Header, Scan
from ssrecon.operators import Fourier
from ssrecon.reconstruction.domain import TrainingDomain
from ssrecon.reconstruction.reconstruct import reconstruct
from ssrecon.sampling import PoissonDisc
from ssrecon.store import freed_memory, hybrid
from ssrecon.store.hybrid import Hybrid
from ssrecon.store.prepare import LeftOut, prepare
from tests.archive.mrd import lines as mrd
from tests.scans import full_kspace

Z, Y, X, COILS = 20, 28, 16, 3


def volume(folder, name="scan1", acquired=None, **parts):
    """A 3-D scan of an object, in the plain layout; `acquired` (z, y)."""
    kspace = full_kspace((Z, Y, X), COILS, 1, 1, 0.01, 0)
    mask = torch.ones(1, 1, 1, Z, Y, X, dtype=torch.bool) if acquired is None else acquired
    header = Header(f"{name}/slice-000", name, "subject1", encoded_matrix=(Z, Y, X), recon_matrix=(Z, Y, X))
    scan = Scan(header, torch.where(mask, kspace, 0), mask, torch.zeros_like(mask), **parts)
    return write_plain(folder / f"{name}.h5", [scan])


def points():
    drawn = torch.rand(Z, Y, generator=torch.Generator().manual_seed(0)) < 0.5
    drawn[4:16, 8:20] = True
    return drawn[None, None, None, :, :, None].expand(1, 1, 1, Z, Y, X).clone()


@pytest.mark.parametrize("scratch", [True, False])
def test_slices_are_the_transform_of_the_volume(tmp_path, scratch):
    noise = torch.from_numpy(mrd.complex_noise(4, COILS, 64))
    centre = torch.zeros(1, 1, 1, Z, Y, X, dtype=torch.bool)
    centre[..., 4:16, 8:20, :] = True
    apart = Calibration(torch.where(centre, full_kspace((Z, Y, X), COILS, 1, 1, 0.0, 1), 0), centre)
    archive = open_archive(volume(tmp_path, acquired=points(), noise=noise, noise_bandwidth_ratio=2.0, calibration=apart))
    hybrid = Hybrid.of(archive, tmp_path / "scratch" if scratch else None)
    whole = next(iter(archive))
    assert len(hybrid) == X and {header.volume_id for header in hybrid.headers} == {"scan1"}
    image = Fourier(1).adjoint(whole.kspace)
    for x in (0, 3, X - 1):
        scan = hybrid.read(f"scan1/slice-000/readout-{x:03d}")
        torch.testing.assert_close(scan.kspace, image[..., x])
        assert torch.equal(scan.mask, whole.mask[..., 0])
        assert scan.header.encoding == HybridSlice(x, X) and scan.header.encoded_matrix == (Z, Y)
        torch.testing.assert_close(scan.calibration.kspace, Fourier(1).adjoint(apart.kspace)[..., x])
        assert torch.equal(scan.calibration.mask, centre[..., 0])
        assert torch.equal(scan.noise, noise) and scan.noise_bandwidth_ratio == 2.0
        assert "was transformed" in scan.header.notes["hybrid slice"]
    assert (tmp_path / "scratch").exists() == scratch
    hybrid.discard("scan1")
    assert not list(tmp_path.glob("scratch/*"))


def test_noise_keeps_its_level_and_stays_white(tmp_path):
    noise = torch.from_numpy(mrd.complex_noise(1, 1, COILS, Z, Y, X))
    scan = next(iter(open_archive(volume(tmp_path))))
    archive = open_archive(write_plain(tmp_path / "scan2.h5", [replace(scan, kspace=noise)]))
    slices = torch.cat([scan.kspace for scan in Hybrid.of(archive)])
    assert float(slices.abs().square().mean()) == pytest.approx(float(noise.abs().square().mean()), rel=1e-5)
    neighbours = (slices[1:] * slices[:-1].conj()).mean().abs()
    assert float(neighbours) < 5 / slices[1:].numel() ** 0.5


def lines_file(path, echo=X, steps=None):
    """An ISMRMRD file of a 3-D scan with readout oversampling."""
    kspace = mrd.complex_noise(COILS, Z, Y, 2 * X)
    places = [(z, y) for z in range(Z) for y in range(Y)] if steps is None else steps
    head = mrd.heads(len(places), COILS, 2 * X, kspace_encode_step_1=[y for _, y in places], kspace_encode_step_2=[z for z, _ in places])
    head["center_sample"] = echo
    lines = np.stack([kspace[:, z, y] for z, y in places])
    return mrd.write(path, mrd.header_xml((Z, Y, 2 * X), kept=X), (head, lines))


def test_lines_are_read_a_partition_at_a_time(tmp_path):
    steps = [(z, y) for z in range(Z) for y in range(Y) if (z + y) % 2 == 0 or abs(y - 14) < 6] + [(3, 4)]
    archive = open_archive(lines_file(tmp_path / "scan1.h5", steps=steps))
    (scan,) = archive
    (scan_id,) = (header.scan_id for header in archive.headers)
    pieces = list(archive.partitions(scan_id))
    assert [start for start, _ in pieces] == list(range(Z)) and all(piece.kspace.shape[3] == 1 for _, piece in pieces)
    assert torch.equal(torch.cat([piece.kspace for _, piece in pieces], dim=3), scan.kspace)
    assert torch.equal(torch.cat([piece.mask for _, piece in pieces], dim=3), scan.mask)
    assert all(piece.noise_bandwidth_ratio == pytest.approx(scan.noise_bandwidth_ratio) for _, piece in pieces)
    assert archive.not_transformable(scan_id) == ""


def test_an_asymmetric_echo_stays_three_dimensional(tmp_path):
    path = lines_file(tmp_path / "scan1.h5")
    archive = open_archive(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(archive), "not_transformable", lambda self, scan_id: "an asymmetric echo")
        hybrid = Hybrid.of(open_archive(path))
        assert [header.scan_id for header in hybrid.headers] == [header.scan_id for header in archive.headers]
        assert hybrid.headers[0].notes["native"] == "an asymmetric echo" and hybrid.headers[0].encoding == WholeLines()
    cut = points()
    cut[..., :4] = False
    (header,) = Hybrid.of(open_archive(volume(tmp_path, "scan2", cut))).headers
    assert "not the same all along the readout" in header.notes["native"]


def test_short_readouts_are_told_by_their_headers(tmp_path):
    kspace = mrd.complex_noise(COILS, Z * Y, 20)
    places = [(z, y) for z in range(Z) for y in range(Y)]
    head = mrd.heads(Z * Y, COILS, 20, kspace_encode_step_1=[y for _, y in places], kspace_encode_step_2=[z for z, _ in places])
    head["center_sample"] = 4
    path = mrd.write(tmp_path / "scan1.h5", mrd.header_xml((Z, Y, 2 * X), kept=X), (head, kspace.transpose(1, 0, 2)))
    archive = open_archive(path)
    assert "asymmetric" in archive.not_transformable(archive.headers[0].scan_id)
    assert "asymmetric" in Hybrid.of(archive).headers[0].notes["native"]


def test_archives_without_volumes_are_left_as_they_are(tmp_path):
    from ssrecon.simulation import PhantomArchive

    archive = PhantomArchive(subjects=1, slices=1, matrix=(32, 32), coils=2)
    assert Hybrid.of(archive) is archive


def test_prepare_makes_slices_undersamples_them_and_cleans_up(tmp_path):
    path = volume(tmp_path)
    store = prepare(open_archive(path), tmp_path / "store", Calibrator(), PoissonDisc(2, 12), workers=1)
    assert len(store.headers) == X and {store.shape(header.scan_id) for header in store.headers} == {(1, COILS, 1, Z, Y)}
    scans = [store.load(header.scan_id, reference=True) for header in store.headers]
    # One mask a volume, points of both phase-encoded axes; one scale.
    assert len({scan.scan.mask.numpy().tobytes() for scan in scans}) == 1 and 1.5 < store.headers[0].acceleration < 2.5
    assert len({float(scan.scan.scale) for scan in scans}) == 1 and all(scan.reference is not None for scan in scans)
    assert not (tmp_path / "store" / ".hybrid").exists()
    native = prepare(open_archive(path), tmp_path / "native", Calibrator(smallest=12, width=12), hybrid=False)
    assert [native.shape(header.scan_id)[3:] for header in native.headers] == [(Z, Y, X)]


def not_finite(path, index):
    with h5py.File(path, "r+") as file:
        file["kspace"][(index, 0, 1, Z // 2, Y // 2, 3)] = np.nan


@pytest.mark.parametrize("keep_unfit", [False, True])
def test_a_volume_that_cannot_be_read_does_not_stop_the_others(tmp_path, keep_unfit):
    """One scan holds what is not finite, which is seen when it is transposed; another has echoes that do not fit, which its lines tell."""
    volume(tmp_path / "in", "scan1")
    not_finite(volume(tmp_path / "in", "scan2"), 0)
    lines_file(tmp_path / "in" / "scan3.h5", echo=2)
    with pytest.warns(LeftOut):
        store = prepare(open_archive(tmp_path / "in"), tmp_path / "store", Calibrator(), keep_unfit=keep_unfit)
    assert {header.volume_id for header in store.headers} == {"scan1"} and len(store) == X
    assert set(store.skipped) == {"scan2", "scan3"}
    assert "1 acquired samples of scan2/slice-000 that are not finite" in store.skipped["scan2"]
    assert "echo at 2" in store.skipped["scan3"]
    with pytest.raises(BadInput, match="scan2.h5: found 1 acquired samples"):
        prepare(open_archive(tmp_path / "in" / "scan2.h5"), tmp_path / "alone", Calibrator())


def test_of_a_volume_the_scan_that_cannot_be_read_is_left_out(tmp_path, monkeypatch):
    """It is listed once and not once a slice, and read once."""
    (one,) = open_archive(volume(tmp_path, "scan1"))
    path = write_plain(tmp_path / "scan2.h5", [replace(one, header=replace(one.header, slice=index)) for index in range(2)])
    not_finite(path, 1)
    calls = []
    monkeypatch.setattr(
        hybrid, "_write_transposed", lambda pieces, file, write=hybrid._write_transposed: (calls.append(1), write(pieces, file))
    )
    with pytest.warns(LeftOut):
        store = prepare(open_archive(path), tmp_path / "store", Calibrator())
    assert [header.scan_id for header in store.headers] == [f"scan2/slice-000/readout-{x:03d}" for x in range(X)]
    assert list(store.skipped) == ["scan2/slice-001"] and "scan2/slice-001 that are not finite" in store.skipped["scan2/slice-001"]
    assert len(calls) == 2


KILLED = """
import os, signal, sys
from importlib import import_module
from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator

hybrid, job, prepare = (import_module(f"ssrecon.store.{name}") for name in ("hybrid", "volume_job", "prepare"))
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
module, name, instead = {
    "midway": (hybrid, "_slices_first", kill),
    "after": (job.VolumeToPrepare, "clean_up", lambda job: job.path.exists() and kill()),
    "whole": (prepare, "record_of", kill),
}[sys.argv[3]]
setattr(module, name, instead)
prepare.prepare(open_archive(sys.argv[1]), sys.argv[2], Calibrator())
"""


@pytest.mark.parametrize("moment", ["midway", "after", "whole"])
def test_a_kill_leaves_no_copy_of_the_volume_behind(tmp_path, moment):
    """Killed in the transposition; when the volume was written and its scratch file still there; and when that was gone already."""
    path, out = volume(tmp_path), tmp_path / "store"
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), str(out), moment], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert bool(list(out.glob(".hybrid/*") if moment != "midway" else out.glob(".hybrid/.*"))) == (moment != "whole")
    assert len(list(out.glob("*.h5"))) == (moment != "midway")
    store = prepare(open_archive(path), out, Calibrator())
    assert len(store.headers) == X and {item.name for item in out.rglob("*")} == {".catalogue.sqlite", "scan1.h5"}


def test_the_scratch_of_others_is_left_alone(tmp_path):
    path, out = volume(tmp_path), tmp_path / "store"
    other = out / ".hybrid" / "0123456789abcdef.h5"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another shard's")
    prepare(open_archive(path), out, Calibrator())
    assert other.read_bytes() == b"another shard's" and [item.name for item in other.parent.iterdir()] == [other.name]


def test_images_of_slices_lie_as_those_of_the_volume_do(tmp_path):
    path = volume(tmp_path)
    store = prepare(open_archive(path), tmp_path / "store", Calibrator())
    domain = TrainingDomain.of(store.load(header.scan_id).scan for header in store.headers)
    (slices,) = reconstruct(CGSense(0.0, 10), path, tmp_path / "slices", domain=domain)
    (native,) = reconstruct(CGSense(0.0, 10), path, tmp_path / "native", calibrator=Calibrator(smallest=12, width=12))
    with h5py.File(slices.path) as one, h5py.File(native.path) as other:
        a, b = one["reconstruction"][()], other["reconstruction"][()]
    assert a.shape == b.shape == (Z, X, Y)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_freed_memory_is_given_back_on_the_way(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(freed_memory, "_malloc_trim", lambda: calls.append)
    scans = [f"slice{number}" for number in range(50)]
    assert list(freed_memory.returning_memory(scans)) == scans and calls == [0, 0, 0]
    prepare(open_archive(volume(tmp_path)), tmp_path / "store", Calibrator())
    assert len(calls) == 3 + X // freed_memory.TRIM


def test_memory_is_that_of_a_partition_and_not_of_the_volume(tmp_path):
    """Of a volume of 14 MB (64 partitions) no more than a fifth is ever held."""
    z, y, x, coils = 64, 96, 32, 8
    places = [(a, b) for a in range(z) for b in range(y)]
    head = mrd.heads(len(places), coils, x, kspace_encode_step_1=[b for _, b in places], kspace_encode_step_2=[a for a, _ in places])
    lines = np.random.default_rng(0).standard_normal((len(places), coils, x)).astype(np.complex64)
    path = mrd.write(tmp_path / "scan1.h5", mrd.header_xml((z, y, x)), (head, lines))
    size = lines.nbytes
    del lines
    hybrid = Hybrid.of(open_archive(path), tmp_path / "scratch")
    first = hybrid.headers[0].scan_id
    tracemalloc.start()
    hybrid.read(first)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # numpy's arrays are traced, torch's are not: the lines pass through numpy on their way in and out.
    assert peak < 0.25 * size
