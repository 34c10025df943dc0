"""What is written comes back bit for bit, whole files or none, from any process."""

import json
import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch

from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.core.origin import Origin
from ssrecon.core.scan import Prepared
from ssrecon.store.store import Store
from ssrecon.store.volume_file import CannotWrite, is_store, write_volume
from tests.scans import full_kspace, make_reference, make_scan, smooth_image


def prepared(index: int = 0, volume: str = "vol", shape: tuple[int, ...] = (24, 20), reference: bool = True, **options) -> Prepared:
    scan = make_scan(shape, coils=3, seed=index, scan_id=f"{volume}/slice-{index:03d}", **options)
    geometry = Geometry((1.0, -2.5, 3.0), (0.6, 0.8, 0.0), (-0.8, 0.6, 0.0), voxel_size=(5.0, 2.0, 2.0), patient_position="HFS")
    told = {"echo_time": (2.5, 5.0), "repetition_time": 30.0, "flip_angle": 15.0, "geometry": geometry, "notes": {"mask": "as acquired"}}
    header = replace(scan.headers[0], volume_id=volume, encoded_matrix=shape, encoded_fov=(220.0, 200.5), **told)
    scan = replace(scan, headers=(header,))
    full = make_reference(scan, full_kspace(shape, 3, 1, 1, 0.01, index))
    return Prepared(scan, full, smooth_image(shape, seed=index)) if reference else Prepared(scan)


@pytest.fixture
def store(tmp_path) -> Store:
    write_volume(tmp_path, [prepared(0), prepared(1)], {"made": "by hand"})
    write_volume(tmp_path, iter([prepared(0, "other/one two", (16, 30), reference=False, noise_std=0)]), {})
    return Store(tmp_path)


def assert_equal(a, b):
    assert a.headers == b.headers and a.noise_source == b.noise_source
    for name, value in vars(a).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(b, name)) and value.dtype == getattr(b, name).dtype, name
    assert (a.noise_std is None) == (b.noise_std is None)


def test_round_trip(store):
    assert [h.scan_id for h in store.headers] == ["other/one two/slice-000", "vol/slice-000", "vol/slice-001"]
    for index in range(2):
        wanted, found = prepared(index), store.load(f"vol/slice-{index:03d}", reference=True)
        assert_equal(wanted.scan, found.scan)
        assert_equal(wanted.reference, found.reference)
        assert torch.equal(wanted.truth, found.truth)
    other = store.load("other/one two/slice-000", reference=True)
    assert other.reference is None and other.truth is None and other.scan.noise_std is None
    assert store.shape("vol/slice-001") == prepared(1).scan.shape == store.load("vol/slice-001").scan.shape
    assert store.provenance("vol/slice-000") == {"made": "by hand"}


def test_a_store_from_before_geometry_opens(store):
    """Headers of earlier versions tell of no place, no times and no encoding, doubts by their words alone, and partial Fourier."""
    with h5py.File(store.folder / "vol.h5", "a") as file:
        described = json.loads(file["json"].asstr()[()])
        for scan in described["scans"]:
            for name in ("geometry", "encoding", "echo_time", "repetition_time", "inversion_time", "flip_angle"):
                del scan["header"][name]
            scan["header"] |= {"doubts": ["incomplete"], "partial_fourier": True}
        del file["json"]
        file["json"] = json.dumps(described)
    header = Store(store.folder).load("vol/slice-000").scan.headers[0]
    assert header.geometry == Geometry() and header.echo_time is None and header.encoded_fov == (220.0, 200.5)
    assert header.doubts == {"incomplete": ""}


def test_references_are_read_only_on_request(store):
    assert store.load("vol/slice-000").reference is None and store.load("vol/slice-000").truth is None
    assert store.has_reference("vol/slice-000") and not store.has_reference("other/one two/slice-000")


def test_references_can_be_deleted(store):
    before = store.load("vol/slice-001").scan
    fingerprint = store.fingerprint()
    with h5py.File(store.folder / "vol.h5", "a") as file:
        del file["reference"], file["truth"]
    found = Store(store.folder).load("vol/slice-001", reference=True)
    assert_equal(before, found.scan)
    assert found.reference is None and found.truth is None
    assert Store(store.folder).fingerprint() == fingerprint


def test_fingerprint_tells_contents_apart(store, tmp_path):
    moved = tmp_path / "moved"
    write_volume(moved, [prepared(0), prepared(1)], {"made": "by hand"})
    assert Store(moved).fingerprint() != store.fingerprint()
    write_volume(moved, [prepared(0, "other/one two", (16, 30), reference=False, noise_std=0)], {})
    assert Store(moved).fingerprint() == store.fingerprint()
    write_volume(moved, [prepared(0), prepared(1)], {"made": "otherwise"})
    assert Store(moved).fingerprint() != store.fingerprint()


def _total(store: Store) -> float:
    return float(sum(store.load(h.scan_id).scan.kspace.abs().sum() for h in store.headers))


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_other_processes_read_it(store, method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(_total, [pickle.loads(pickle.dumps(store))]) == [_total(store)]


def test_ids_that_look_alike_get_files_of_their_own(tmp_path):
    names = ["a/b", "a_b", "a:b", "../a_b", ".a"]
    paths = {write_volume(tmp_path, [prepared(0, name)], {}) for name in names}
    assert len(paths) == len(names) and all(path.parent == tmp_path for path in paths)
    assert {h.volume_id for h in Store(tmp_path).headers} == set(names)


def test_many_long_headers_fit(tmp_path):
    scan = prepared(0, reference=False)
    volume = [
        Prepared(replace(scan.scan, headers=(replace(scan.scan.headers[0], scan_id=f"s{i}", notes={"long": "x" * 2000}),)))
        for i in range(80)
    ]
    write_volume(tmp_path, volume, {})
    assert len(Store(tmp_path)) == 80


def test_a_failure_leaves_what_was_there(tmp_path):
    path = write_volume(tmp_path, [prepared(0)], {})
    before = path.read_bytes()

    def broken():
        yield prepared(0)
        raise OSError("the archive's disk went away")

    with pytest.raises(OSError, match="went away"):
        write_volume(tmp_path, broken(), {})
    with pytest.raises(BadInput, match="slice-001"):
        write_volume(tmp_path, [prepared(0), prepared(1, "another")], {})
    with pytest.raises(BadInput, match="without scans"):
        write_volume(tmp_path, [], {})
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


FULL_DISK = """
import resource, sys
from pathlib import Path
from ssrecon.core.errors import BadInput
from ssrecon.core.geometry import Geometry
from ssrecon.store.volume_file import CannotWrite
from ssrecon.store.volume_file import write_volume
from tests.store.test_store import prepared
folder = Path(sys.argv[1])
write_volume(folder, [prepared(0)], {})
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    write_volume(folder, [prepared(0, "second"), prepared(1, "second")], {})
except CannotWrite as error:
    print(error)
"""


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, cwd=root, check=False)
    assert "second.h5: found that it could not be written" in done.stdout, done.stderr
    assert "room on the disk" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["vol.h5"] and len(Store(tmp_path)) == 1


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file"):
        write_volume(tmp_path / "file", [prepared(0)], {})


def test_damaged_and_foreign_files_are_named(store, tmp_path):
    with pytest.raises(BadInput, match="no prepared volumes"):
        Store(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="no scan 'x' among 3"):
        store.load("x")
    path = tmp_path / "vol.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for action in (lambda: Store(tmp_path), lambda: store.load("vol/slice-001")):
        with pytest.raises(BadInput, match=r"vol\.h5.*prepare the archive again"):
            action()
    with h5py.File(path, "w") as file:
        file["kspace"] = 0
    with pytest.raises(BadInput, match=r"vol\.h5: found an HDF5 file with format None"):
        Store(tmp_path)


DAMAGED = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "cut off": '{"scans": [',
    "a list": "[1]",
    "no provenance": '{"scans": []}',
    "no scans": '{"provenance": {}}',
    "an empty header": '{"scans": [{"header": {}}], "provenance": {}}',
    "a header of text": '{"scans": [{"header": "x", "shape": [1], "noise_source": ""}], "provenance": {}}',
    "a header of one id": '{"scans": [{"header": {"scan_id": "a"}, "shape": [1], "noise_source": ""}], "provenance": {}}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_record_of_a_volume_is_named(store, tmp_path, text):
    with h5py.File(tmp_path / "vol.h5", "r+") as file:
        del file["json"]
        file["json"] = text
    assert is_store(tmp_path)
    with pytest.raises(BadInput, match=r"vol\.h5: found .*prepare the archive again"):
        Store(tmp_path)


def test_a_scan_id_twice_is_refused(tmp_path):
    (tmp_path / "one.h5").write_bytes(write_volume(tmp_path, [prepared(0)], {}).read_bytes())
    with pytest.raises(BadInput, match="also in one.h5"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("recorded", "vendor", "kind"),
    [
        ("simulated", "", "simulated"),
        ("semi-synthetic", "Siemens", "semi-synthetic"),
        ("measured", "ssrecon phantom", "measured"),
        (None, "ssrecon phantom", "simulated"),
        (None, "simulated coils", "semi-synthetic"),
        (None, "Siemens", "measured"),
    ],
)
def test_the_origin_is_recorded_and_of_earlier_stores_told_from_the_vendor(tmp_path, recorded, vendor, kind):
    """Stores of earlier versions record none."""
    one = prepared(0)
    header = replace(one.scan.headers[0], vendor=vendor, origin=Origin(recorded or "measured"))
    path = write_volume(tmp_path, [Prepared(replace(one.scan, headers=(header,)))], {})
    if recorded is None:
        with h5py.File(path, "a") as file:
            described = json.loads(file["json"].asstr()[()])
            del described["scans"][0]["header"]["origin"], file["json"]
            file["json"] = json.dumps(described)
    store = Store(tmp_path)
    assert store.kind == kind and store.headers[0].origin is Origin(kind)


def test_description(store):
    assert store.kind == "measured"
    assert store.description.startswith("3 scans, 2 volumes, 2 subjects (measured); 3 coils 16x30, 3 coils 24x20")
