"""From an archive to a store: resumable, whole, and one bad volume does not stop the rest."""

import json
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import h5py
import pytest
import torch

from ssrecon.archive import Archive, BySubject, open_archive
from ssrecon.archive.plain import write_plain
from ssrecon.calibrate import Calibrator
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput, BadRecipe, NoCalibration, OutputInUse
from ssrecon.core.scan import Header, Scan
from ssrecon.partition import Bernoulli, Gamma, Uniform
from ssrecon.sampling import RandomColumns
from ssrecon.simulation import PhantomArchive, simulate
from ssrecon.store.data import Data
from ssrecon.store.loader import Schedule
from ssrecon.store.prepare import LeftOut, prepare, prepare_data
from tests.calibrate.raw import raw_scan

PATTERN = RandomColumns(2, 16)


@dataclass(frozen=True)
class Small(Archive):
    """Three volumes of two slices; those named in `broken` hold a NaN, those in `bare` have no calibration region."""

    broken: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    volumes_: tuple[str, ...] = ("a", "b", "c")
    path: Path = Path("made-here")
    full: bool = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        return tuple(self._scan(volume, index).header for volume in self.volumes_ for index in range(2))

    def read(self, scan_id: str) -> Scan:
        volume, name = scan_id.split("/")
        scan = self._scan(volume, int(name[-1]))
        if volume in self.broken and scan.header.slice == 1:
            scan.kspace[..., 30, 30] = torch.nan
        if volume in self.bare:
            mask = scan.mask.clone()
            mask[..., 26:28, :] = False
            scan = replace(scan, mask=mask)
        return scan

    def _scan(self, volume: str, index: int) -> Scan:
        mask = torch.ones(1, 1, 1, 48, 40, dtype=torch.bool) if self.full else None
        return raw_scan(index, (48, 40), 4, volume_id=volume, mask=mask, lines=20, readouts=8)


def bits(folder: Path) -> dict[str, str]:
    """Hashes: a failure is to be printed, and megabytes take pytest for ever to compare."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.h5"))}


def test_undersamples_calibrates_and_keeps_the_reference(tmp_path):
    store = prepare(Small(), tmp_path, Calibrator(), PATTERN, Draw(3))
    assert len(store) == 6 and store.skipped == {}
    first, second = (store.load(f"a/slice-00{i}", reference=True) for i in range(2))
    assert torch.equal(first.scan.mask, second.scan.mask), "one mask a volume"
    assert not torch.equal(first.scan.mask, store.load("b/slice-000").scan.mask)
    assert float(first.scan.mask.float().mean()) < 0.6 and bool(first.reference.mask.all()) and first.truth is not None
    expected = Calibrator().volume([Small().read(f"a/slice-00{i}") for i in range(2)])[0]
    assert torch.allclose(first.reference.kspace, expected.reference.kspace, rtol=0.2)
    per_slice = prepare(Small(), tmp_path / "slices", Calibrator(), PATTERN, Draw(3), per_slice=True)
    assert not torch.equal(per_slice.load("a/slice-000").scan.mask, per_slice.load("a/slice-001").scan.mask)


def test_an_archive_as_it_was_acquired(tmp_path):
    store = prepare(Small(full=False), tmp_path, Calibrator())
    raw = Small(full=False).read("c/slice-001")
    assert torch.equal(store.load("c/slice-001").scan.mask, raw.mask)


def test_the_same_call_continues_and_changes_nothing(tmp_path):
    prepare(Small(), tmp_path, Calibrator(), PATTERN)
    whole = bits(tmp_path)
    (tmp_path / "b.h5").unlink()
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.h5")}
    prepare(Small(), tmp_path, Calibrator(), PATTERN)
    assert bits(tmp_path) == whole
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in times} == times


def test_workers_write_the_same_bytes(tmp_path):
    prepare(Small(), tmp_path / "one", Calibrator(), PATTERN)
    prepare(Small(), tmp_path / "two", Calibrator(), PATTERN, workers=2)
    assert bits(tmp_path / "one") == bits(tmp_path / "two")


def test_bad_volumes_are_reported_and_left_out(tmp_path):
    archive = Small(broken=("b",), bare=("c",), full=False)
    with pytest.warns(LeftOut) as caught:
        store = prepare(archive, tmp_path, Calibrator())
    assert {h.scan_id for h in store.headers if h.volume_id == "b"} == {"b/slice-000"}
    assert {h.volume_id for h in store.headers} == {"a", "b"}
    assert set(store.skipped) == {"b/slice-001", "c"}
    assert "found 4 acquired values that are not finite" in store.skipped["b/slice-001"]
    assert "at least 12 x 12" in store.skipped["c"] and len(caught) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [".catalogue.sqlite", "a.h5", "b.h5"]


def test_where_nothing_is_left_the_error_is_raised(tmp_path):
    with pytest.raises(NoCalibration):
        prepare(Small(bare=("a",), volumes_=("a",), full=False), tmp_path, Calibrator())
    with pytest.raises(BadInput):
        prepare(Small(broken=("a", "b", "c")), tmp_path, Calibrator(), keep_unfit=True)


def test_nothing_is_written_over(tmp_path):
    prepare(Small(), tmp_path, Calibrator(), PATTERN)
    before = bits(tmp_path)
    for archive, calibrator, draw in (
        (Small(), Calibrator(crop=0.7), Draw(0)),
        (Small(), Calibrator(), Draw(1)),
        (Small(volumes_=("a", "b")), Calibrator(), Draw(0)),
        (Small(full=False), Calibrator(), Draw(0)),
    ):
        with pytest.raises(OutputInUse):
            prepare(archive, tmp_path, calibrator, PATTERN, draw)
    (tmp_path / "raw.h5").write_bytes(b"someone's data")
    with pytest.raises(OutputInUse, match=r"raw\.h5"):
        prepare(Small(), tmp_path, Calibrator(), PATTERN)
    assert {name: data for name, data in bits(tmp_path).items() if name != "raw.h5"} == before


def test_a_recipes_data(tmp_path):
    said: list[str] = []
    data = Data(Small(), pattern=PATTERN, seed=5)
    with warnings.catch_warnings(record=True):
        made = prepare_data(data, tmp_path / "made", said.append)
    assert said == [f"data: {made.description}"]
    linked = prepare_data(Data(str(tmp_path / "made")), tmp_path / "linked")
    assert linked.fingerprint() == made.fingerprint() and bits(tmp_path / "linked") == bits(tmp_path / "made")
    with pytest.raises(BadRecipe, match="data.calibrator: found Calibrator.*coils=3.* for a store prepared with .*; expected the store's"):
        prepare_data(Data(str(tmp_path / "made"), calibrator=Calibrator(coils=3)), tmp_path / "other")
    with pytest.raises(BadRecipe, match="prepared store"):
        prepare_data(Data(str(tmp_path / "made"), pattern=PATTERN), tmp_path / "twice")


def test_neither_key_nor_names_change_what_is_drawn(tmp_path, monkeypatch):
    """Masks, held-out sets, partitions, splits and the order of training of the same measurements, under two keys and other names."""
    scans = [raw_scan(index, (48, 40), 4, mask=torch.ones(1, 1, 1, 48, 40, dtype=torch.bool), lines=20, readouts=8) for index in range(4)]
    scans = [replace(scan, header=replace(scan.header, subject="")) for scan in scans]  # then each file is one
    found = []
    for key, names in (("a", "Musterfrau Beispiel Doe Roe"), ("b", "Musterfrau Beispiel Doe Roe"), ("b", "scan4 scan3 scan2 scan1")):
        monkeypatch.setenv("SSRECON_KEY_FILE", str(tmp_path / key))
        folder = tmp_path / f"in{len(found)}"
        for scan, name in zip(scans, names.split(), strict=True):
            write_plain(folder / f"{name}.h5", [scan])
        store = prepare(open_archive(folder), tmp_path / f"out{len(found)}", Calibrator(), PATTERN, Draw(3))
        content = {header.scan_id: header.content for header in store.headers}
        loaded = {content[header.scan_id]: store.load(header.scan_id).scan for header in store.headers}
        drawn = {
            name: [scan.mask, Gamma().hold_out(scan, Draw(1)), *(p.split(scan, Draw(2)).theta for p in (Uniform(0.4), Bernoulli()))]
            for name, scan in loaded.items()
        }
        sides = BySubject(validation=1, test=1).assign(store.headers)
        order = [content[scan_id] for step in Schedule.of(store, list(content), 1, 0).steps(0, 9) for scan_id in step.ids]
        found.append((drawn, [[content[scan_id] for scan_id in side] for side in (sides.train, sides.validation, sides.test)], order))
    for other in found[1:]:
        assert other[1:] == found[0][1:] and other[0].keys() == found[0][0].keys()
        assert all(one.equal(two) for name, masks in found[0][0].items() for one, two in zip(masks, other[0][name], strict=True))
    assert len({masks[0].numpy().tobytes() for masks in found[0][0].values()}) == 4


def test_simulated_scans_draw_by_their_ids(tmp_path):
    """What is published of simulated heads does not change with where they lie, nor with this version."""
    phantom = PhantomArchive(subjects=1, slices=2, matrix=(48, 48), coils=4)
    for name, archive in (("made", phantom), ("files", None)):
        if archive is None:
            simulate(tmp_path / "scans", phantom)
            archive = open_archive(tmp_path / "scans")
        store = prepare(archive, tmp_path / name, Calibrator(), PATTERN)
        assert store.kind == "simulated" and all(header.draw_key == "" for header in store.headers)
        generator = Draw(0).generator("undersampling", store.headers[0].volume_id)
        assert store.load(store.headers[0].scan_id).scan.mask[0, 0, 0].equal(PATTERN.sample((48, 48), generator))


def test_stores_of_earlier_versions_draw_by_their_ids(tmp_path):
    """They have no key of draws: what was begun on them goes on as it was."""
    store = prepare(Small(volumes_=("a",)), tmp_path, Calibrator())
    header = replace(store.headers[0], content="0123456789abcdef-0000", draw_key="")
    assert (header.scan_key, header.volume_key) == (header.scan_id, header.volume_id)
    assert (replace(header, draw_key="0123-0000/0001").scan_key, replace(header, draw_key="0123-0000/0001").volume_key) == (
        "0123-0000/0001",
        "0123-0000",
    )


def test_a_store_that_an_earlier_version_made_is_kept(tmp_path):
    """It wrote classes by the files they lay in, and hashed them with these; what was made otherwise is refused as ever."""
    archive, pattern = PhantomArchive(subjects=1, slices=1, matrix=(48, 48), coils=3), RandomColumns(acceleration=2, calibration_lines=12)
    prepare(archive, tmp_path, Calibrator(), pattern)
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path, "r+") as file:
        text = file["json"].asstr()[()]
        for now, earlier in (
            ("ssrecon.simulation.PhantomArchive", "ssrecon.archive.phantom.archive.PhantomArchive"),
            ("ssrecon.sampling.RandomColumns", "ssrecon.undersampling.random_columns.RandomColumns"),
            ("ssrecon.calibrate.Calibrator", "ssrecon.calibrate.calibrator.Calibrator"),
            ("ssrecon.core.Draw", "ssrecon.draw.Draw"),
        ):
            assert now in text
            text = text.replace(now, earlier)
        described = json.loads(text)
        described["provenance"]["fingerprint"] = "0123456789abcdef"
        del file["json"]
        file["json"] = json.dumps(described)
    before = path.read_bytes()
    (tmp_path / ".catalogue.sqlite").unlink()
    prepare(archive, tmp_path, Calibrator(), pattern)
    assert path.read_bytes() == before
    with pytest.raises(OutputInUse, match="with other settings"):
        prepare(archive, tmp_path, Calibrator(), replace(pattern, acceleration=3))
