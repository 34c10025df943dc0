import csv
from dataclasses import dataclass, replace

import h5py
import numpy as np
import pytest
import torch

from ssrecon.baselines import CGSense, ZeroFilled
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.scan import Estimate, Prepared
from ssrecon.evaluation.evaluate import Method, evaluate, residual_rows, score_parts
from ssrecon.evaluation.evaluate_folder import evaluate_folder
from ssrecon.evaluation.pictures import BANDS, radial_band_numbers, radial_residual
from ssrecon.evaluation.rows import METRIC_COLUMNS
from ssrecon.operators import Fourier, encoding
from ssrecon.partition import Gamma
from ssrecon.recipe.selection import Selection
from ssrecon.store.store import Store
from ssrecon.store.volume_file import write_volume
from tests.scans import full_kspace, make_reference, make_scan, smooth_image


def prepared(volume, index, shape=(32, 32), reference=True, truth=True, noise_std=0.02):
    scan = make_scan(shape, seed=index, scan_id=f"{volume}/slice-{index:03d}", noise_std=noise_std)
    scan = replace(scan, headers=(replace(scan.headers[0], slice=index, subject=f"subject of {volume}"),))
    full = make_reference(scan, full_kspace(shape, 4, 1, 1, noise_std, index))
    return Prepared(scan, full if reference else None, smooth_image(shape, seed=index) if truth else None)


@pytest.fixture
def store(tmp_path):
    write_volume(tmp_path / "store", [prepared("a", 0), prepared("a", 1)], {})
    write_volume(tmp_path / "store", [prepared("b", 0, (24, 30))], {})
    return Store(tmp_path / "store")


def ids(store):
    return [header.scan_id for header in store.headers]


@pytest.fixture
def arms():
    chosen = [Method("net", CGSense(0.01, 10), 3, Selection.GAMMA), Method("net", CGSense(0.1, 2), 3, Selection.REFERENCE)]
    return [Method("zero_filled", ZeroFilled()), *chosen]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_tidy_and_has_every_slice_and_volume(store, arms, tmp_path):
    rows = evaluate(arms, store, ids(store), tmp_path / "run")
    table = read(tmp_path / "run" / "metrics.csv")
    assert list(table[0]) == list(METRIC_COLUMNS) and len(table) == len(rows)
    assert all(np.isfinite(float(row["value"])) for row in table)
    assert {(row["arm"], row["seed"], row["selection"]) for row in table} == {
        ("zero_filled", "", "none"),
        ("net", "3", "gamma"),
        ("net", "3", "reference"),
    }
    nmse = [row for row in table if row["metric"] == "nmse" and row["convention"] == "fastmri" and row["arm"] == "zero_filled"]
    assert {row["scan"] for row in nmse} == {"", *ids(store)}
    assert {(row["volume"], row["subject"]) for row in nmse} == {("a", "subject of a"), ("b", "subject of b")}
    keys = [tuple(row[column] for column in METRIC_COLUMNS[:-1]) for row in table]
    assert len(set(keys)) == len(keys)


def test_a_score_is_that_of_the_coil_combined_reference(store, tmp_path):
    rows = evaluate([Method("zf", ZeroFilled())], store, ["b/slice-000"], tmp_path)
    item = store.load("b/slice-000", reference=True)
    ours, measured = ZeroFilled()(item.scan).magnitude, ZeroFilled()(item.reference).magnitude
    coil_images = torch.linalg.vector_norm(Fourier(2).adjoint(item.reference.kspace), dim=2)
    noiseless = torch.linalg.vector_norm(item.truth, dim=2)
    names = {"fastmri": measured, "fastmri, reference=rss": coil_images, "fastmri, reference=noiseless": noiseless}
    for name, image in names.items():
        expected = float((ours - image).square().sum() / image.square().sum())
        found = [r["value"] for r in rows if r["metric"] == "nmse" and r["convention"] == name and not r["scan"]]
        assert found and all(value == pytest.approx(expected, rel=1e-4) for value in found)


def test_scores_and_pictures_are_of_the_reconstruction_matrix(tmp_path):
    item = prepared("a", 0)
    header = replace(item.scan.headers[0], recon_matrix=(24, 40))
    item = replace(item, scan=replace(item.scan, headers=(header,)))
    write_volume(tmp_path / "store", [item], {})
    rows = evaluate([Method("zf", ZeroFilled())], Store(tmp_path / "store"), [header.scan_id], tmp_path)
    ours, measured = (ZeroFilled()(scan).magnitude[..., 4:28, :] for scan in (item.scan, item.reference))
    expected = float((ours - measured).square().sum() / measured.square().sum())
    (found,) = [r["value"] for r in rows if r["metric"] == "nmse" and r["convention"] == "fastmri" and not r["scan"]]
    assert found == pytest.approx(expected, rel=1e-4)
    with np.load(tmp_path / "images.npz") as images:
        assert images["reference"].shape == images["arm/zf"].shape == (1, 24, 32) and images["mask"].shape == (1, 32, 32)


def test_without_references_only_residuals_are_left(tmp_path, arms):
    write_volume(tmp_path / "store", [prepared("a", 0, reference=False, truth=False)], {})
    rows = evaluate(arms, Store(tmp_path / "store"), ["a/slice-000"], tmp_path, gamma=Gamma())
    assert {row["metric"] for row in rows} == {"residual"}
    assert {row["convention"] for row in rows} == {"acquired, noise units", "gamma, noise units"}
    assert "reference" not in np.load(tmp_path / "images.npz").files


def test_the_withheld_residual_of_the_truth_is_one(store, tmp_path):
    """Perfect images leave the noise alone: the mean of |n|^2 / noise_std^2 is 1."""
    truth = Method("truth", lambda scan: Estimate(smooth_image(tuple(scan.kspace.shape[3:]), seed=scan.headers[0].slice)))
    rows = evaluate([truth], store, ids(store), tmp_path, gamma=Gamma())
    found = {row["convention"]: row["value"] for row in rows if row["metric"] == "residual"}
    assert set(found) == {"acquired, noise units", "withheld, noise units", "gamma, noise units"}
    assert found["withheld, noise units"] == pytest.approx(1, abs=0.05)


def test_a_residual_that_is_no_number_names_the_method_and_the_scan(store, tmp_path):
    """An image that is not finite, and, where the noise is unknown, a scan whose acquired samples are all zero."""
    item = store.load("a/slice-000", reference=True)
    silent = replace(item.scan, kspace=torch.zeros_like(item.scan.kspace), noise_std=None)
    write_volume(tmp_path / "silent", [Prepared(silent)], {})
    broken = Method("broken", lambda scan: Estimate(torch.full((1, 1, 1, 32, 32), torch.nan, dtype=torch.complex64)))
    cases = (store, broken, "acquired, noise units"), (Store(tmp_path / "silent"), Method("zf", ZeroFilled()), "acquired, relative")
    for where, method, convention in cases:
        said = f"evaluation of {method.name}, scan a/slice-000: found a residual .{convention}. of nan.*name it in --leave-out"
        with pytest.raises(BadInput, match=said):
            evaluate([method], where, ["a/slice-000"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_acquired_residual_has_its_floor_at_the_noise_and_falls_below_it_by_overfitting(store, tmp_path):
    """The true image leaves the noise; one that is fitted to the samples until they agree leaves less."""
    truth = Method("truth", lambda scan: Estimate(smooth_image(tuple(scan.kspace.shape[3:]), seed=scan.headers[0].slice)))
    rows = evaluate([truth, Method("fitted", CGSense(1e-6, 40))], store, ["a/slice-000"], tmp_path)
    found = {row["arm"]: row["value"] for row in rows if row["convention"] == "acquired, noise units"}
    assert found["truth"] == pytest.approx(1, abs=0.06) and found["fitted"] < 0.9


def test_gamma_is_not_given_to_the_arm_that_is_judged_on_it(store, tmp_path):
    seen = []

    @dataclass(frozen=True)
    class Spy:
        def __call__(self, scan):
            seen.append(int(scan.mask.sum()))
            return ZeroFilled()(scan)

    evaluate([Method("spy", Spy())], store, ["a/slice-000"], tmp_path, gamma=Gamma())
    assert len(seen) == 2 and seen[1] < seen[0]


def test_images_of_different_sizes_share_a_frame(store, arms, tmp_path):
    evaluate(arms, store, ids(store), tmp_path, figure_scans=3)
    with np.load(tmp_path / "images.npz") as images:
        assert set(images.files) == {
            "scan_ids",
            "reference",
            "mask",
            "arm/zero_filled",
            "arm/net",
            "kspace_residual/zero_filled",
            "kspace_residual/net",
        }
        assert list(images["scan_ids"]) == ids(store)
        assert images["arm/net"].shape == images["reference"].shape == images["mask"].shape == (3, 32, 32)
        assert images["mask"].dtype == bool and images["reference"].dtype == np.float32
        assert images["kspace_residual/net"].shape == (3, BANDS)
        border = images["reference"][2].copy()
        border[4:28, 1:31] = 0
        assert not border.any() and images["reference"][2].any()


def test_figure_scans_limits_the_images_and_the_first_arm_of_a_name_is_kept(store, arms, tmp_path):
    evaluate(arms, store, ids(store), tmp_path, figure_scans=1)
    with np.load(tmp_path / "images.npz") as images:
        assert list(images["scan_ids"]) == ["a/slice-001"]
        expected = CGSense(0.01, 10)(store.load("a/slice-001").scan).magnitude[0, 0].numpy()
        np.testing.assert_allclose(images["arm/net"][0], expected, atol=1e-6)


def test_radial_residual_is_one_for_nothing_and_nan_where_nothing_was_withheld():
    item = prepared("a", 0)
    nothing = Estimate(torch.zeros(1, 1, 1, 32, 32, dtype=torch.complex64))
    bands = radial_residual(item, nothing)
    assert np.isnan(bands[0])  # the centre was acquired
    np.testing.assert_allclose(bands[~np.isnan(bands)], 1, rtol=1e-5)
    assert (~np.isnan(bands)).sum() > BANDS // 2


def test_frames_are_scored_as_slices(tmp_path):
    scan = make_scan(frames=2, scan_id="cine/0")
    full = make_reference(scan, full_kspace((32, 32), 4, 2, 1, 0.01, 0))
    write_volume(tmp_path / "store", [Prepared(scan, full)], {})
    rows = evaluate([Method("zf", ZeroFilled())], Store(tmp_path / "store"), ["cine/0"], tmp_path)
    assert {row["scan"] for row in rows if row["metric"] == "nmse"} == {"", "cine/0#0", "cine/0#1"}


def test_nothing_to_evaluate_is_refused_and_files_are_left_alone(store, arms, tmp_path):
    (tmp_path / "metrics.csv").write_text("before")
    for bad in (lambda: evaluate([], store, ids(store), tmp_path), lambda: evaluate(arms, store, ["missing"], tmp_path)):
        with pytest.raises(BadInput):
            bad()
    with pytest.raises(RuntimeError, match="broken"):
        evaluate([Method("broken", lambda scan: (_ for _ in ()).throw(RuntimeError("broken")))], store, ids(store), tmp_path)
    assert (tmp_path / "metrics.csv").read_text() == "before"
    assert not list(tmp_path.glob(".*partial"))


@pytest.fixture
def folders(tmp_path):
    image = np.abs(np.random.default_rng(0).normal(size=(3, 20, 18))).astype(np.float32)
    for name, dataset, data in (("recon", "reconstruction", 0.9 * image[:, 2:-2, 1:-1]), ("full", "reconstruction_rss", image)):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "vol.h5", "w") as file:
            file[dataset] = data
            file.attrs["patient_id"] = "p"
    return tmp_path / "recon", tmp_path / "full"


def test_a_folder_is_scored_against_its_references(folders, tmp_path):
    text = evaluate_folder(*folders, tmp_path / "out")
    assert text.startswith("1 volume of 1 subject") and "nmse" in text
    table = read(tmp_path / "out" / "metrics.csv")
    values = [float(row["value"]) for row in table if row["metric"] == "nmse" and not row["scan"]]
    assert values and all(value == pytest.approx(0.01, rel=1e-3) for value in values)
    assert {row["subject"] for row in table} == {"p"}


def test_a_missing_counterpart_is_named(folders, tmp_path):
    (folders[1] / "vol.h5").unlink()
    with pytest.raises(BadInput, match=r"full.*vol\.h5"):
        evaluate_folder(*folders)
    with pytest.raises(BadInput, match="no .h5 file"):
        evaluate_folder(tmp_path / "nowhere", folders[1])


def test_the_withheld_residual_is_of_withheld_samples_alone(store):
    item = store.load("a/slice-000", reference=True)
    estimate = Estimate(smooth_image((32, 32), seed=5))
    rows = residual_rows(Method("x", ZeroFilled()), item, estimate, None, Draw(0))
    found = {row["convention"]: row["value"] for row in rows}
    predicted = encoding(item.reference)(estimate.image)
    error = (predicted - item.reference.kspace).abs().square() / item.scan.noise_std**2
    for name, mask in (("withheld", item.reference.mask & ~item.scan.mask), ("acquired", item.scan.mask)):
        expected = float(error.sum(dim=2, keepdim=True)[mask].mean()) / item.scan.kspace.shape[2]
        assert found[f"{name}, noise units"] == pytest.approx(expected, rel=1e-4)
    assert found["withheld, noise units"] != pytest.approx(found["acquired, noise units"], rel=0.05)


def test_an_estimate_is_judged_with_its_own_csm(store):
    """An image divided by a smooth phase, and maps multiplied by it, predict the same samples: every residual stays."""
    item = store.load("a/slice-000", reference=True)
    phase = torch.exp(3j * torch.linspace(-1, 1, 32))

    def plain(scan):
        return CGSense(0.01, 10)(scan)

    def turned(scan):
        return Estimate(plain(scan).image * phase.conj(), csm=scan.csm * phase)

    def residuals(network):
        return np.array([row["value"] for row in residual_rows(Method("x", network), item, network(item.scan), Gamma(0.1), Draw(0))])

    assert len(residuals(plain)) == 3
    np.testing.assert_allclose(residuals(turned), residuals(plain), rtol=1e-3)
    assert np.all(residuals(lambda scan: replace(turned(scan), csm=None)) > 1.1 * residuals(plain))
    np.testing.assert_allclose(radial_residual(item, turned(item.scan)), radial_residual(item, plain(item.scan)), rtol=1e-3)


@pytest.mark.parametrize("radius, band", [(0, 0), (5, 5), (10, 10), (15, 15), (16, 15)])
def test_bands_are_rings_of_equal_width(radius, band):
    """32 samples, 16 bands: one band a sample of distance."""
    places = radial_band_numbers((32, 32))
    assert places[16 - radius, 16] == places[16, 16 - radius] == band
    assert places[0, 0] == BANDS - 1


def test_images_that_are_not_finite_name_their_file(folders):
    with h5py.File(folders[0] / "vol.h5", "a") as file:
        file["reconstruction"][0, 0, 0] = np.nan
    with pytest.raises(BadInput, match=r"vol\.h5: found images that cannot be scored"):
        evaluate_folder(*folders)


def test_subjects_count_alike_and_what_is_missing_is_said(folders):
    """Three volumes of one subject, with a tenth of the error, and one of another."""
    for name in ("b", "c"):
        for folder in folders:
            (folder / f"{name}.h5").write_bytes((folder / "vol.h5").read_bytes())
    with h5py.File(folders[0] / "other.h5", "w") as file, h5py.File(folders[1] / "vol.h5") as full:
        file["reconstruction"] = 0.7 * full["reconstruction_rss"][()]
    with h5py.File(folders[1] / "other.h5", "w") as file, h5py.File(folders[1] / "vol.h5") as full:
        file["reconstruction_rss"], file.attrs["patient_id"] = full["reconstruction_rss"][()], "q"
    (folders[1] / "left.h5").write_bytes((folders[1] / "vol.h5").read_bytes())
    text = evaluate_folder(*folders)
    assert text.startswith("4 volumes of 2 subjects") and "1 reference without a reconstruction: left.h5" in text
    nmse = next(float(line.split()[1]) for line in text.splitlines() if line.startswith("nmse"))
    assert nmse == pytest.approx((0.01 + 0.09) / 2, rel=1e-3)


def test_a_volume_of_two_shapes_has_one_row_weighted_by_slices(tmp_path):
    write_volume(tmp_path / "store", [prepared("a", 0), prepared("a", 1), prepared("a", 2, (24, 30))], {})
    store = Store(tmp_path / "store")
    arm = Method("zf", lambda scan: Estimate(0.9 * smooth_image(tuple(scan.kspace.shape[3:]), seed=scan.headers[0].slice)))
    rows = evaluate([arm], store, [header.scan_id for header in store.headers], tmp_path / "out")
    psnrs = [r for r in rows if r["metric"] == "psnr" and r["convention"] == "slice"]
    slices, volumes = ([r["value"] for r in psnrs if bool(r["scan"]) is own] for own in (True, False))
    assert len(slices) == 3 and len(volumes) == 1
    assert volumes[0] == pytest.approx(np.mean(slices), rel=1e-12)


def test_parts_of_two_shapes_share_the_range_of_the_volume():
    rng = np.random.default_rng(0)
    small, large = rng.random((1, 16, 16)), 3 * rng.random((3, 20, 24))
    found = {(v.slice, v.metric): v.value for v in score_parts([0.9 * small, 0.8 * large], [small, large]) if v.convention == "fastmri"}
    assert found[None, "nmse"] == pytest.approx((0.01 + 3 * 0.04) / 4, rel=1e-9)
    assert found[0, "psnr"] == pytest.approx(10 * np.log10(large.max() ** 2 / np.mean((0.1 * small) ** 2)), rel=1e-9)
    assert {place for place, _ in found} == {None, 0, 1, 2, 3}


def test_frames_of_a_volume_are_scored_as_frames(tmp_path):
    """(slices, frames, y, x) against the same, and never against as many slices."""
    images = np.random.default_rng(0).random((2, 3, 16, 18), np.float32)
    written = {"a": ("reconstruction", images), "b": ("reconstruction_rss", images), "c": ("reconstruction_rss", images[:, 0])}
    for folder, (name, values) in written.items():
        (tmp_path / folder).mkdir()
        with h5py.File(tmp_path / folder / "v.h5", "w") as file:
            file[name] = values
    evaluate_folder(tmp_path / "a", tmp_path / "b", tmp_path / "scores")
    rows = list(csv.DictReader((tmp_path / "scores" / "metrics.csv").read_text().splitlines()))
    scans = {row["scan"].split("/", 1)[1] for row in rows if row["scan"]}
    assert scans == {f"slice-{s:03d}/frame-{f:03d}" for s in range(2) for f in range(3)}
    with pytest.raises(BadInput, match=r"v\.h5: found 2 slices of 3 frames; expected 2 slices of 1 frame"):
        evaluate_folder(tmp_path / "a", tmp_path / "c")
