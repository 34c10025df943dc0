"""The figures: one look per arm, drawn from files alone; and the scripts that redraw them."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from ssrecon.core.errors import BadInput
from ssrecon.study import figures
from ssrecon.study.effects import tuning_grids
from ssrecon.study.image_rows import Gallery, busiest, image_rows
from ssrecon.study.run_folder import RunFolder
from ssrecon.study.style import looks, to_svg
from tests.study.fake_run import make_run

SCRIPTS = sorted((Path(__file__).parents[2] / "figures").glob("*.py"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    return RunFolder.open(make_run(tmp_path_factory.mktemp("figures") / "run"))


def lines(axes, colour: str) -> list:
    return [line for line in axes.lines if line.get_color() == colour]


def test_every_arm_has_its_own_look(run):
    found = looks(run)
    assert set(found) == {arm.name for arm in run.arms}
    assert len({(look.colour, str(look.dashes)) for look in found.values()}) == len(found)


def test_training_curves_show_the_histories(run):
    figure = figures.training_curves(run)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["training loss", "held-out residual on Γ", "hidden error (NMSE)"]
    history = run.history(next(arm for arm in run.arms if arm.name == "ssdu"))
    drawn = lines(figure.axes[1], looks(run)["ssdu"].colour)
    assert len(drawn) == len(history) == 2
    np.testing.assert_array_equal(drawn[0].get_ydata(), history["0"]["gamma"][1:])


def test_the_unit_of_gamma_is_read_and_not_guessed():
    """Relative residuals of .93 to 1 are none in units of the noise, and noise units below .9 are; earlier runs did not say."""
    relative, noise = np.array([0.99, 0.93]), np.array([1.6, 0.85])

    def said(gamma, floor):
        return figures.in_noise_units([{"0": {"gamma": gamma, **({} if floor is None else {"gamma_floor": np.full(2, floor)})}}])

    assert not said(relative, np.nan) and said(noise, 1.0)
    assert said(relative, None) and not said(noise, None)


def test_rank_correlation_is_that_of_each_training():
    gamma = np.array([4.0, 3.0, 2.0, 1.5])
    first, second = (gamma, gamma**3), (gamma + 100, np.array([1.0, 2.0, 3.0, 4.0]))
    assert figures.mean_rank_correlation({"0": first}) == pytest.approx(1)
    # Pooled, the offset between the trainings would decide; within each they are 1 and -1.
    assert figures.mean_rank_correlation({"0": first, "1": second}) == pytest.approx(0)
    assert np.isnan(figures.mean_rank_correlation({"0": (gamma, np.ones(4))}))


def test_the_untrained_network_is_no_validation(run):
    arm = run.networks[0]
    gamma, hidden = figures.validation_pairs(run, arm)["0"]
    assert len(gamma) == len(hidden) == 10 and run.history(arm)["0"]["step"][0] == 0


def test_bands_are_the_median_and_leave_empty_bands_out(run):
    axes = figures.residual_bands(run).axes[0]
    drawn = lines(axes, looks(run)["cg_sense"].colour)[0].get_ydata()
    values = run.images.kspace_residual["cg_sense"]
    assert np.isnan(drawn[0]) and np.isnan(values[:, 0]).all()
    np.testing.assert_allclose(drawn[1:], np.median(values[:, 1:], axis=0))


def test_error_maps_are_magnified_on_the_scale_of_the_images(run):
    gallery, figure = Gallery.of(run), image_rows(run, 0)
    shown = [axes.images[0] for axes in figure.axes]
    errors = [image for image in shown if image.get_cmap().name == "inferno"]
    grey = [image for image in shown if image.get_cmap().name == "gray" and image.get_array().dtype != bool]
    assert {image.get_clim() for image in errors + grey} == {(0, gallery.white)}
    reference, ssdu = run.images.reference[0][gallery.crop], run.images.arms["ssdu"][0][gallery.crop]
    place = [arm.name for arm in gallery.arms].index("ssdu")
    np.testing.assert_allclose(errors[place].get_array(), 5 * np.abs(ssdu - reference))
    assert any("PSNR" in text or " dB" in text for text in (t.get_text() for t in figure.texts))


def test_the_zoom_finds_detail_in_the_middle_and_ignores_the_rim():
    image = np.zeros((90, 120))
    image[:10] = np.random.default_rng(0).random((10, 120)) * 9
    image[40:50, 70:80] = np.random.default_rng(1).random((10, 10))
    y, x = busiest(image, 0.2)
    assert y.start <= 40 and y.stop >= 50 and x.start <= 70 and x.stop >= 80
    assert y.stop - y.start == 18 and x.stop - x.start == 24


def test_tuning_marks_the_chosen_point(run):
    figure = tuning_grids(run)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["CG-SENSE", "L1-wavelet"]
    ring = figure.axes[1].collections[0].get_offsets()[0]
    np.testing.assert_allclose(ring, [1e-3, 0.012 + 0.004 * 0.3**2])


def test_no_global_state_is_left(run):
    import matplotlib

    before = dict(matplotlib.rcParams)
    to_svg(figures.residual_bands(run))
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_svg_is_the_same_twice_and_holds_no_text_nor_date(run):
    first, second = (to_svg(figures.training_curves(run)) for _ in range(2))
    assert first == second
    assert "<text" not in first and "<dc:date>" not in first


def test_nothing_to_draw_gives_none(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    run = RunFolder.open(tmp_path)
    for draw in (figures.training_curves, figures.gamma_against_hidden, figures.residual_bands, image_rows, tuning_grids):
        assert draw(run) is None


def test_an_unknown_suffix_is_an_error(run, tmp_path):
    with pytest.raises(BadInput, match=r"\.svg, \.png, \.pdf"):
        figures.save(figures.residual_bands(run), tmp_path / "bands.gif")


def script(path: Path, *arguments: str) -> int:
    before, sys.argv = sys.argv, [str(path), *arguments]
    try:
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before
    return done.value.code


OWN_FILES = {"gamma_trust", "ssdu_ablation", "cross_losses"}
"""Scripts that take what their own recipe makes, or print, and do not draw any run."""


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.stem not in OWN_FILES], ids=lambda path: path.stem)
def test_scripts_draw_from_the_files_of_a_run(path, run, tmp_path, capsys):
    out = tmp_path / "figure.png"
    assert script(path, str(run.path), "--out", str(out)) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.strip() == str(out)


def test_scripts_say_what_is_wrong(tmp_path, capsys):
    path = next(path for path in SCRIPTS if path.stem == "gamma_against_hidden")
    assert script(path, str(tmp_path / "nowhere")) == 2
    assert "nowhere" in capsys.readouterr().err
    (tmp_path / "run.json").write_text("{}")
    assert script(path, str(tmp_path)) == 2
    assert "nothing to draw" in capsys.readouterr().err
    assert script(next(path for path in SCRIPTS if path.stem == "cross_losses"), str(tmp_path)) == 2
    assert "found no recipe in run.json" in capsys.readouterr().err


def test_the_first_scripts_are_there():
    assert {path.stem for path in SCRIPTS} >= {"images", "training_curves", "gamma_against_hidden", "residual_bands"}


def test_gamma_trust_takes_correlations_within_each_training(tmp_path, capsys):
    """A score that orders the checkpoints of every training rightly has 1, however the trainings lie to each other. Between objectives the
    last checkpoints alone are asked: here the one that is better in truth has the worse score in one seed of two."""
    path = next(path for path in SCRIPTS if path.stem == "gamma_trust")
    rows = ["arm,seed,step,scan,score,value"]
    for arm, seed, offset, level in (
        ("ssdu", 0, 0.0, 0.0),
        ("ssdu", 1, 50.0, 0.0),
        ("supervised", 0, 9.0, -0.01),
        ("supervised", 1, 9.0, -0.01),
    ):
        for step in range(1, 6):
            for scan in ("a", "b"):
                error = 1 / step + level + (0.001 if scan == "b" else 0)
                halves = error if seed == 0 else -error
                values = {"gamma of lines": error + offset, "gamma of points": step, "1 - split-half FRC": halves, "hidden NMSE": error}
                values["hidden 1 - SSIM"] = error
                rows += [f"{arm},{seed},{step},{scan},{name},{value}" for name, value in values.items()]
    (tmp_path / "checkpoints.csv").write_text("\n".join(rows))
    assert script(path, str(tmp_path), "--table", str(tmp_path / "t.md")) == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (tmp_path / "t.md").read_text().splitlines()]
    assert cells[2] == ["SSDU", "+1.00", "**-1.00**", "**+0.00 (-1.00 to +1.00)**", "+1.00", "**-1.00**", "**+0.00 (-1.00 to +1.00)**"]
    assert [row[0] for row in cells[2:]] == ["SSDU", "Supervised", "*between objectives, at the end*"] and cells[4][1] == "+0.00"
    assert (tmp_path / "figures/gamma_trust.png").stat().st_size > 10_000
    assert script(path, str(tmp_path / "nowhere")) == 2 and "no checkpoints.csv" in capsys.readouterr().err


def test_the_study_of_objectives_is_a_table_too(run, tmp_path):
    path = next(path for path in SCRIPTS if path.stem == "which_objective")
    assert script(path, str(run.path), "--out", str(tmp_path / "w.png"), "--table", str(tmp_path / "w.md")) == 0
    table = (tmp_path / "w.md").read_text()
    assert f"### {run.title}" in table and "| PSNR, dB | minus Supervised, dB | SSIM | NMSE |" in table
    psnr = [float(line.split("|")[2].split()[0]) for line in table.splitlines() if line.startswith("| ") and "(" in line]
    assert len(psnr) == len(run.arms) and psnr == sorted(psnr, reverse=True)
    (supervised,), (ssdu,) = (
        [row for row in table.splitlines() if row.startswith(f"| {name} |") and "(" in row] for name in ("Supervised", "SSDU")
    )
    difference = float(ssdu.split("|")[2].split()[0]) - float(supervised.split("|")[2].split()[0])
    assert float(ssdu.split("|")[3].split()[0]) == pytest.approx(difference, abs=0.011) and not supervised.split("|")[3].strip()


def test_the_ablation_is_drawn_over_fractions_and_masks(tmp_path, capsys):
    path = next(path for path in SCRIPTS if path.stem == "ssdu_ablation")
    folder = make_run(tmp_path / "run")
    assert script(path, str(folder)) == 2 and "nothing to draw" in capsys.readouterr().err
    lines = (folder / "metrics.csv").read_text().splitlines()
    own = [line for line in lines if line.startswith("ssdu,")]
    names = ["gaussian_10", "gaussian_40", "uniform_10", "uniform_40", "masks_2", "masks_redrawn"]
    more = [line.replace("ssdu,", f"{name},", 1) for name in names for line in own]
    (folder / "metrics.csv").write_text("\n".join([*lines, *more]) + "\n")
    about = json.loads((folder / "run.json").read_text())
    about["arms"] |= {name: about["arms"]["ssdu"] for name in names}
    (folder / "run.json").write_text(json.dumps(about))
    drawn = runpy.run_path(str(path))["draw"](RunFolder.open(folder))
    left, right = drawn.axes
    assert list(left.lines[0].get_xdata()) == pytest.approx([0.1, 0.4], abs=0.01)
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["1", "2", "redrawn"]
    assert script(path, str(folder)) == 0
