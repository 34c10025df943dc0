"""`ssrecon audit` from end to end: every verdict with its reason, resumable parts, shards, a page with nothing outside it."""

import base64
import io
import json
import os
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from matplotlib.image import imread

from ssrecon.archive import open_archive
from ssrecon.archive.plain import write_plain
from ssrecon.calibrate import Calibrator
from ssrecon.cli.main import main
from ssrecon.core.draw import Draw
from ssrecon.core.errors import OutputInUse
from ssrecon.inspect.audit import audit
from ssrecon.inspect.look import look
from ssrecon.inspect.page import write_page
from ssrecon.inspect.picture import picture
from ssrecon.inspect.scan_report import acquired_lines
from ssrecon.inspect.summary import findings_by_kind, write_json
from ssrecon.sampling import Equispaced, RandomColumns, undersample
from ssrecon.simulation import PhantomArchive
from tests.core.test_engines import cluster


def written(folder, number, change=lambda scan: scan, **options):
    archive = PhantomArchive(subjects=1, slices=2, matrix=(64, 64), coils=4, seed=number, **options)
    scans = [replace(change(scan), reference=None, truth=None) for scan in archive]
    header = replace(scans[0].header, subject=f"subject{number}")
    return write_plain(folder / f"scan{number}.h5", [replace(scan, header=header) for scan in scans])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two clean undersampled volumes, one clean full one, one without calibration, a copy, a truncated file."""
    folder = tmp_path_factory.mktemp("archive")

    def bare(scan):
        mask = (torch.arange(64) % 2 == 0)[:, None].expand(1, 1, 1, 64, 64).clone()
        return replace(scan, mask=mask, kspace=torch.where(mask, scan.kspace, 0))

    written(folder, 1)
    written(folder, 2, lambda scan: undersample(scan, RandomColumns(3, 16), Draw(0)))
    written(folder, 3, lambda scan: undersample(scan, Equispaced(2, 16), Draw(0)))
    written(folder, 4, bare)
    (folder / "scan5.h5").write_bytes((folder / "scan1.h5").read_bytes())
    with h5py.File(folder / "scan5.h5", "a") as file:
        file["kspace"][...] = 3 * file["kspace"][...]
    (folder / "scan6.h5").write_bytes((folder / "scan1.h5").read_bytes()[:5000])
    with h5py.File(written(folder, 7), "a") as file:
        file["kspace"][1, 0, 0, 32, 32] = np.nan
    return folder


def test_every_verdict_with_its_reason(folder, tmp_path):
    found = audit(open_archive(folder), tmp_path)
    verdicts = {record.scan: record.verdict for record in found.scans}
    kinds = {record.scan: {str(f["kind"]) for f in record.findings if f["severity"] != "note"} for record in found.scans}
    for number, verdict, kind in (
        (1, "train", None),
        (2, "train", None),
        (3, "train", None),
        (4, "refuse", "no_calibration"),
        (5, "refuse", "duplicate"),
    ):
        for index in range(2):
            scan = f"scan{number}/slice-{index:03d}"
            assert verdicts[scan] == verdict and kinds[scan] >= ({kind} if kind else set()), scan
    assert verdicts["scan7/slice-000"] == "train" and kinds["scan7/slice-001"] == {"non_finite"}
    assert set(found.refused) == {"scan6.h5"}
    for record in found.scans:
        for finding in record.findings:
            assert finding["reason"] and finding["remedy"]


def test_numbers_are_those_of_the_scan(folder):
    archive = open_archive(folder)
    scan = archive.read("scan3/slice-000")
    seen = look(scan)
    assert (seen.matrix, seen.coils, seen.frames) == ((64, 64), 4, 1) and seen.sampling["pattern"] == "lattice"
    lines = scan.mask[0, 0, 0, :, 0]
    places = lines.nonzero().flatten()
    assert seen.sampling["acceleration"] == pytest.approx(float(places[-1] - places[0] + 1) / int(lines.sum()))
    assert np.array_equal(acquired_lines(seen), lines.numpy())
    assert seen.noise_source == "noise scan"
    expected = scan.noise.abs().square().mean().sqrt() / scan.noise_bandwidth_ratio**-0.5
    assert seen.noise_std == pytest.approx(float(expected), rel=0.02)


def test_the_cohort_counts_what_was_acquired(folder, tmp_path):
    (cohort,) = audit(open_archive(folder), tmp_path).cohorts
    masks = {
        record.volume: acquired_lines(record) for record in map(look, (open_archive(folder).read(f"scan{n}/slice-000") for n in (1, 2, 3)))
    }
    # The full scans 1 and 7, the random columns and the lattice; the copy and the scan without calibration are refused.
    expected = (2 * masks["scan1"].astype(float) + masks["scan2"] + masks["scan3"]) / 4
    assert cohort.volumes == 4 and np.allclose(cohort.frequency, expected)
    assert any("reaches all of k-space" in text for text in cohort.says)


def test_a_shared_lattice_is_said_to_leave_holes(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        written(tmp_path / "in", number, lambda scan: undersample(scan, Equispaced(4, 16, overall=False, offset=0), Draw(0)))
    (cohort,) = audit(open_archive(tmp_path / "in"), tmp_path / "out").cohorts
    assert cohort.never > 0.4 and any("one offset" in text for text in cohort.says)


def test_shards_put_their_parts_together(folder, tmp_path):
    archive = open_archive(folder)
    first = audit(archive, tmp_path, shard=(1, 2))
    assert 0 < first.missing < len(archive.volumes())
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    whole = audit(archive, tmp_path, shard=(2, 2))
    assert whole.missing == 0 and whole.scans == audit(archive, tmp_path / "alone").scans
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}.items()


def test_a_file_that_changed_is_looked_at_again(tmp_path):
    (tmp_path / "in").mkdir()
    path = written(tmp_path / "in", 1)
    audit(open_archive(tmp_path / "in"), tmp_path / "out")
    with h5py.File(path, "a") as file:
        file["kspace"][:, :, 2] = 0
    (again, _) = audit(open_archive(tmp_path / "in"), tmp_path / "out").scans
    (remedy,) = (finding["remedy"] for finding in again.findings if finding["kind"] == "dead_coil")
    assert "is left out" in remedy and again.connected == again.coils - 1


def test_another_archives_parts_are_not_mixed_in(folder, tmp_path):
    (tmp_path / "in").mkdir()
    written(tmp_path / "in", 9)
    audit(open_archive(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(OutputInUse, match="another archive"):
        audit(open_archive(folder), tmp_path / "out")


def test_the_command(folder, tmp_path, capsys):
    assert main(["audit", str(folder), "--out", str(tmp_path), "--workers", "2"]) == 1
    said = capsys.readouterr().out
    assert "refuse: no_calibration in 2 scans" in said and "not read: scan6.h5" in said and "remedy:" in said
    page = (tmp_path / "audit.html").read_text()
    assert page.startswith("<!doctype html>") and "http" not in page.replace("data:", "") and "$" not in page
    assert str(folder) not in page and str(folder) not in (tmp_path / "audit.json").read_text()
    content = json.loads((tmp_path / "audit.json").read_text())
    assert content["verdicts"] == {"train": 7, "train with a warning": 0, "refuse": 5} and len(content["scans"]) == 12
    clean = tmp_path / "clean"
    clean.mkdir()
    os.link(folder / "scan2.h5", clean / "scan2.h5")
    assert main(["audit", str(clean), "--out", str(tmp_path / "second")]) == 0


def test_a_cluster_finds_the_same(folder, tmp_path):
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    alone = audit(open_archive(folder), tmp_path / "alone")
    with cluster(2, tmp_path) as (address, _):
        together = audit(open_archive(folder), tmp_path / "together", dask=address)
    assert together.scans == alone.scans and together.refused == alone.refused and not together.missing


def test_the_page_shows_pictures_and_each_scans_own_numbers(folder, tmp_path):
    found = audit(open_archive(folder), tmp_path)
    page = write_page(found, tmp_path / "audit.html").read_text()
    kinds = {str(finding["kind"]) for record in found.scans for finding in record.findings}
    pictured = {str(finding["kind"]) for record in found.scans if record.picture for finding in record.findings}
    assert "duplicate" in kinds and pictured == kinds - {"non_finite"}  # which could not be read
    assert page.count('class="scan"') >= 3
    # A few a volume in the parts, one a protocol and kind of finding in what is read of them, none in the JSON.
    parts = [json.loads(path.read_text())["scans"] for path in (tmp_path / "parts").glob("*.json")]
    assert all(any(scan["picture"] for scan in scans) for scans in parts)
    write_json(found, tmp_path / "audit.json")
    assert not any(scan["picture"] for scan in json.loads((tmp_path / "audit.json").read_text())["scans"])
    kinds = {one.kind: one for one in findings_by_kind(found.scans)}
    assert len(kinds["no_calibration"].scans) == len(kinds["no_calibration"].findings) == 2
    assert all(f"<td>{record.scan}</td><td>lines 1</td>" in page for record in kinds["no_calibration"].scans)


def test_a_picture_is_the_zero_filled_image():
    scan = PhantomArchive(subjects=1, slices=1, matrix=(96, 64), coils=4).read("phantom-0000-T1-000")
    shown = imread(io.BytesIO(base64.b64decode(picture(scan))))
    image = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(scan.kspace[0, 0], dim=(-2, -1))), dim=(-2, -1))
    expected = torch.linalg.vector_norm(image, dim=0).numpy()
    assert shown.shape == (96, 64) and np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.99
    assert picture(replace(scan, kspace=torch.zeros_like(scan.kspace))) == ""


def test_no_strip_where_everything_was_acquired_and_one_scan_knows_itself_alone(tmp_path):
    (tmp_path / "in").mkdir()
    written(tmp_path / "in", 1)
    found = audit(open_archive(tmp_path / "in"), tmp_path / "out")
    page = write_page(found, tmp_path / "audit.html").read_text()
    assert '<figure class="cohort' not in page and "everything was acquired in every scan" in page
    first = open_archive(tmp_path / "in").headers[0].scan_id
    alone = audit(open_archive(tmp_path / "in"), tmp_path / "one", leave_out=[f"{first[:-1]}1"])
    assert len(alone.scans) == 1 and "The union of one scan" in " ".join(alone.cohorts[0].says)
    assert "The union of one scan" not in " ".join(found.cohorts[0].says)


def test_random_columns_have_the_acceleration_of_their_protocol(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(4):
        written(tmp_path / "in", number, lambda scan: undersample(scan, RandomColumns(4, 8), Draw(scan.header.slice), per_slice=True))
    found = audit(open_archive(tmp_path / "in"), tmp_path / "out", calibrator=Calibrator(smallest=6))
    accelerations = {record.sampling["acceleration"] for record in found.scans}
    assert len(accelerations) == 1 and accelerations.pop() == pytest.approx(4, rel=0.05)


def test_parts_of_an_earlier_version_are_made_again(tmp_path):
    (tmp_path / "in").mkdir()
    written(tmp_path / "in", 1)
    whole = audit(open_archive(tmp_path / "in"), tmp_path / "out")
    (part,) = (tmp_path / "out" / "parts").iterdir()
    content = json.loads(part.read_text())
    for scan in content["scans"]:
        scan["sampling"] = {"pattern": "full", "step": [], "acceleration": 1.0}
        del scan["notes"], scan["picture"]
    part.write_text(json.dumps({**content, "fingerprint": "1 " + content["fingerprint"].split()[1]}))
    assert audit(open_archive(tmp_path / "in"), tmp_path / "out").scans == whole.scans
