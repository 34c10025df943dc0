"""Shards, processes and a Dask cluster make the same bytes, and survive the loss of a worker."""

import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager

import h5py
import pytest
import torch

from ssrecon.archive import open_archive
from ssrecon.calibrate import Calibrator
from ssrecon.cli.main import main
from ssrecon.core.engines import each, parse_shard, shard_of
from ssrecon.core.errors import BadInput, BadRecipe
from ssrecon.simulation import PhantomArchive, simulate
from ssrecon.store.catalogue import Catalogue, Record, records
from ssrecon.store.prepare import LeftOut, prepare
from ssrecon.store.store import Store
from tests.store.killing import killed
from tests.store.test_prepare import bits


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Six files of two slices."""
    folder = tmp_path_factory.mktemp("archive")
    simulate(folder, PhantomArchive(subjects=6, slices=2, matrix=(48, 40), coils=4))
    return folder


@pytest.fixture(scope="module")
def alone(archive, tmp_path_factory):
    """What one process makes of it."""
    return prepare(open_archive(archive), tmp_path_factory.mktemp("alone") / "store", Calibrator())


def test_shards_in_any_order_and_repeated_make_the_whole(archive, alone, tmp_path):
    opened = open_archive(archive)
    for shard in ((3, 3), (1, 3), (3, 3), (2, 3)):
        store = prepare(opened, tmp_path, Calibrator(), shard=shard)
    assert bits(tmp_path) == bits(alone.folder)
    assert store.headers == alone.headers and store.fingerprint() == alone.fingerprint()
    assert sorted(path.name for path in tmp_path.glob("*.sqlite")) == [f".catalogue-{i}-of-3.sqlite" for i in (1, 2, 3)]


def test_shards_are_disjoint_and_complete():
    items = list(range(17))
    parts = [shard_of(items, (i, 5)) for i in range(1, 6)]
    assert sorted(sum(parts, [])) == items
    # What comes beside an item does not move it to another shard, where it would be made twice or never.
    assert [item for item in shard_of(items[3:], (2, 5))] == [item for item in parts[1] if item >= 3]
    many = [len(shard_of(list(range(10_000)), (i, 5))) for i in range(1, 6)]
    assert max(abs(count - 2000) for count in many) < 200  # five standard deviations
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(BadRecipe, match="I/N"):
            parse_shard(wrong)
    assert parse_shard("2/8") == (2, 8)


def test_a_shard_from_the_command_line(archive, tmp_path, capsys):
    own = shard_of(list(open_archive(archive).volumes()), (2, 3))
    assert main(["prepare", str(archive), str(tmp_path / "s"), "--shard", "2/3"]) == 0 and 0 < len(own) < 6
    assert [header.volume_id for header in Store(tmp_path / "s").headers] == [name for name in own for _ in range(2)]
    assert main(["prepare", str(archive), str(tmp_path / "s"), "--shard", "7/6"]) == 3
    assert "1/8 to 8/8" in capsys.readouterr().err


def test_what_was_done_can_be_undone(archive, alone):
    """The pseudo-inverse of the matrix in the record leads from the store's samples back to the file's."""
    opened = open_archive(archive)
    header = alone.headers[0]
    record = alone.provenance(header.scan_id)["calibration"]
    matrix = torch.view_as_complex(torch.tensor(record["matrix"], dtype=torch.float64))
    stored, raw = alone.load(header.scan_id).scan, opened.read(header.scan_id)
    back = torch.einsum("rv,bfv...->bfr...", torch.linalg.pinv(matrix), stored.kspace.to(torch.complex128)) * record["scale"]
    torch.testing.assert_close(
        back.to(torch.complex64), torch.where(raw.mask, raw.kspace, 0), rtol=1e-4, atol=1e-5 * float(raw.kspace.abs().max())
    )
    assert record["noise_source"] == "noise scan" and record["maps"] == 1


def test_failures_are_kept_until_they_are_mended(archive, tmp_path):
    (tmp_path / "in").mkdir()
    files = sorted(archive.glob("*.h5"))[:2]
    for path in files:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    with h5py.File(tmp_path / "in" / files[1].name, "a") as file:
        file["kspace"][:, 0, 20, 20] = float("nan")  # of every slice: with one that is fit it would be a store of that
    (tmp_path / "in" / "scan.h5").write_text("nothing")
    with pytest.warns(LeftOut):
        store = prepare(open_archive(tmp_path / "in"), tmp_path / "out", Calibrator())
    assert {name: record.state for name, record in records(store.folder).items()} == {
        files[0].stem: "done", files[1].stem: "failed", "scan.h5": "refused"
    }  # fmt: skip
    assert "not finite" in store.skipped[files[1].stem] and "not an HDF5 file" in store.skipped["scan.h5"]
    before = bits(store.folder)
    (tmp_path / "in" / files[1].name).write_bytes(files[1].read_bytes())
    (tmp_path / "in" / "scan.h5").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mended = prepare(open_archive(tmp_path / "in"), tmp_path / "out", Calibrator())
    assert mended.skipped == {} and before.items() < bits(store.folder).items()
    assert all(record.seconds > 0 and record.bytes for record in records(store.folder).values())


def test_a_store_without_its_catalogue_or_with_a_damaged_one_is_the_same(alone, tmp_path):
    for path in alone.folder.glob("*.h5"):
        os.link(path, tmp_path / path.name)
    without = Store(tmp_path)
    (tmp_path / ".catalogue.sqlite").write_bytes(b"SQLite format 3\0 and then nothing of the kind" * 99)
    damaged = Store(tmp_path)
    assert without.headers == damaged.headers == alone.headers and damaged.fingerprint() == alone.fingerprint()
    Catalogue(tmp_path).forget_failures()  # makes it anew
    assert records(tmp_path) == {}


def test_a_catalogue_of_an_earlier_version_is_found_and_renamed(tmp_path):
    Catalogue(tmp_path).put(Record("a", "failed", "no calibration"))
    (tmp_path / ".catalogue.sqlite").rename(tmp_path / "catalogue.sqlite")
    assert records(tmp_path)["a"].reason == "no calibration"
    Catalogue(tmp_path).forget_failures()
    assert records(tmp_path) == {} and [path.name for path in tmp_path.iterdir()] == [".catalogue.sqlite"]


def test_the_catalogue_is_believed_only_of_the_very_file(archive, alone, tmp_path):
    store = prepare(open_archive(archive), tmp_path, Calibrator())
    first = store.headers[0].volume_id
    path = tmp_path / f"{first}.h5"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"contrast": "T1"', b'"contrast": "T9"'))
    assert Store(tmp_path).headers[0].contrast == "T9"


def test_volumes_are_sent_with_their_own_files_only(archive):
    opened = open_archive(archive)
    volumes = opened.volumes()
    for name, ids in volumes.items():
        part = opened.part(name)
        assert part.volumes() == {name: ids} and part.content(name) == opened.content(name)
        assert part.read(ids[1]).header == opened.read(ids[1]).header
    assert len({opened.content(name) for name in volumes}) == len(volumes)


def test_content_and_acceleration_are_in_the_headers(archive, alone, tmp_path):
    """The same files under other names have the same content, other files another."""
    for number, path in enumerate(sorted(archive.glob("*.h5"))):
        os.link(path, tmp_path / f"scan{9 - number}.h5")
    renamed = open_archive(tmp_path)
    contents = {renamed.content(name) for name in renamed.volumes()}
    assert contents == {header.content for header in alone.headers} and len(contents) == 6
    assert {header.acceleration for header in alone.headers} == {1.0}
    made = PhantomArchive(subjects=1, slices=1, matrix=(32, 32), coils=2)
    assert made.content(made.headers[0].volume_id) == ""


def _square(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_lost_process_costs_its_own_job_and_no_other():
    with each(_square, list(range(8)), workers=2) as results:
        found = dict(results)
    assert isinstance(found.pop(3), BaseException)
    assert found == {job: job * job for job in (0, 1, 2, 4, 5, 6, 7)}


@contextmanager
def cluster(workers, folder):
    """A real scheduler and its workers, each a process, on loopback."""
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "false"}
    options = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    file = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    processes = [subprocess.Popen([*command, "--scheduler-file", str(file)], **options)]
    try:
        wait(file.exists)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard"]
        for _ in range(workers):
            processes.append(subprocess.Popen([*command, "--no-nanny"], **options))
        import json

        yield json.loads(file.read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def wait(test, seconds=60):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_a_cluster_that_loses_a_worker_midway_makes_the_same_bytes(archive, alone, tmp_path):
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    out = tmp_path / "store"
    with cluster(2, tmp_path) as (address, workers):
        command = [sys.executable, "-m", "ssrecon.cli", "prepare", str(archive), str(out), "--maps", "1", "--dask", address]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
            wait(lambda: len(list(out.glob("*.h5"))) >= 2)
            left = len(list(out.glob("*.h5")))
            workers[0].send_signal(signal.SIGKILL)
            _, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert left < 6, "the worker was killed too late for the test to mean anything"
    assert bits(out) == bits(alone.folder) and Store(out).fingerprint() == alone.fingerprint()
    assert {record.state for record in records(out).values()} == {"done"}


def test_no_scheduler_there(archive, tmp_path):
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    with pytest.raises(BadInput, match="scheduler"):
        prepare(open_archive(archive), tmp_path / "s", Calibrator(), dask="nonsense://127.0.0.1:1")


def test_killed_and_run_again_it_ends_with_the_same_bytes(archive, tmp_path):
    """Twice here; `python -m tests.store.killing` does it ten times on more."""
    found = killed(archive, tmp_path, workers=2, kills=2)
    assert found["kills"] and found["same bytes"] and found["all in the catalogue"] and found["nothing left over"]
