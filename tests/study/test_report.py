"""The report: whole, self-contained, honest about what is missing, and the same bytes for the same folder."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ssrecon.core.errors import BadInput
from ssrecon.evaluation.rows import write_metrics
from ssrecon.recipe.selection import Selection
from ssrecon.study.headline import headline
from ssrecon.study.report import DRAWINGS, write_report
from ssrecon.study.run_folder import RunFolder, arm_label
from ssrecon.study.scores import Scores
from ssrecon.study.statistics import Measure, summarise
from tests.study.fake_run import NETWORKS, QUALITY, STEPS, make_run, run_json

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects text, ids and references, and follows that every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self._note(attributes)

    def handle_startendtag(self, tag, attributes):
        self._note(attributes)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def _note(self, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src"):
                self.links.append(value)


def read(page: Path) -> tuple[str, Reader]:
    html, reader = page.read_text(encoding="utf-8"), Reader()
    reader.feed(html)
    assert reader.open == []
    return html, reader


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("finished") / "run", scans=2)
    write_report(folder)
    return folder


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(finished):
    html, reader = read(finished / "report.html")
    assert len(reader.ids) == len(set(reader.ids)), "ids of different figures must not meet"
    for link in reader.links:
        assert link.startswith(("data:", "#")), link
        assert not link.startswith("#") or link[1:] in set(reader.ids), link
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(reader.ids)
    assert not re.search(r"@import|<script|url\((?!#)", html)
    assert str(finished) not in html


def test_text_of_files_is_escaped(finished):
    html, reader = read(finished / "report.html")
    assert "<twins>" not in html and "&lt;twins&gt;" in html
    assert "Self-supervised & supervised <twins>" in reader.text


def test_every_section_is_there_and_numbered(finished):
    html, reader = read(finished / "report.html")
    text = " ".join(" ".join(reader.text).split())
    titles = ("Image quality", "Images", "Training, and validation", "Where in k-space", "Baselines", "Cost", "What was run", "cannot show")
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert re.findall(r"<span class='count'>(\d)</span>", html) == [str(i + 1) for i in range(len(titles))]
    assert f"{STEPS} updates for every network" in text and "epochs for every" not in text
    assert "Simulated data" in text and "commit 2f1c0b7e9d" in text and "0123456789abcdef" in text
    for arm in QUALITY:
        assert arm_label(arm) in text
    assert "5 × |image − reference|" in text and "Grey window 0 to" in text


def test_figures_are_files_too(finished):
    assert {path.stem for path in (finished / "figures").glob("*.svg")} == set(DRAWINGS)


def test_numbers_are_those_of_the_statistics(finished):
    run = RunFolder.open(finished)
    html, _ = read(finished / "report.html")
    for arm, rule in (("ssdu", Selection.GAMMA), ("ssdu", Selection.REFERENCE), ("cg_sense", Selection.NONE)):
        summary = summarise(run.metrics, arm, Measure("psnr", "fastmri", rule))
        assert summary.interval is not None
        assert f"{summary.mean:.2f}" in html
        assert f"{summary.interval.lower:.2f} to {summary.interval.upper:.2f}" in html


def test_the_sampling_is_what_was_acquired_and_the_nominal_acceleration_is_called_so(finished):
    text = " ".join(" ".join(read(finished / "report.html")[1].text).split())
    acquired = "14 test scans of random columns (12), variable-density columns (2), effective acceleration 2.91 to 3.20"
    assert f"{acquired}, calibration region 12x64 to 14x64; undersampled retrospectively by random columns, nominal R = 4" in text
    assert "test scans: effective acceleration 2.91 to 3.20" in text


def test_a_run_from_before_the_sampling_was_recorded_says_what_is_nominal(tmp_path):
    folder = make_run(tmp_path / "run")
    about = run_json()
    del about["data"]["sampling"]
    (folder / "run.json").write_text(json.dumps(about))
    text = " ".join(" ".join(read(write_report(folder))[1].text).split())
    assert "Undersampled retrospectively by random columns, nominal R = 4" in text and "effective acceleration" not in text


def test_headline_is_computed_and_about_the_first_arm_of_the_recipe(finished):
    scores = Scores(RunFolder.open(finished))
    sentence = headline(scores)
    measure = Measure("psnr", "fastmri", Selection.GAMMA)
    mine, twin, best = (summarise(scores.run.metrics, arm, measure).mean for arm in ("ssdu", "supervised", "l1_wavelet"))
    assert "<b>SSDU</b>" in sentence and f"{mine:.2f}" in sentence
    assert f"{twin - mine:.2f}\u00a0dB below its supervised twin" in sentence
    assert f"{mine - best:.2f}\u00a0dB above L1-wavelet, the best classical method" in sentence
    assert "It is not inferior" in sentence and "0.5 dB PSNR" in sentence


def test_a_worse_arm_is_not_called_non_inferior(tmp_path):
    folder = make_run(tmp_path / "run")
    about = run_json()
    about["margins"] = {"psnr": 0.2, "ssim": 0.01}
    (folder / "run.json").write_text(json.dumps(about))
    assert "Non-inferiority to supervised training is not shown in PSNR" in headline(Scores(RunFolder.open(folder)))


def test_not_inferior_to_a_twin_that_learned_nothing_says_nothing(tmp_path):
    folder = make_run(tmp_path / "run")
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        # What supervised training and SSDU reach falls below every baseline.
        if row["metric"] == "psnr" and row["arm"] in ("ssdu", "supervised"):
            row["value"] = str(float(row["value"]) - 30)
    write_metrics(folder / "metrics.csv", rows)
    scores = Scores(RunFolder.open(folder))
    assert not scores.assay_sensitivity and "no assay sensitivity" in headline(scores) and "It is not inferior" not in headline(scores)
    assert "says nothing" in read(write_report(folder))[0]


def test_few_subjects_are_descriptive(tmp_path):
    folder = make_run(tmp_path / "run", subjects=4)
    text = " ".join(read(write_report(folder))[1].text)
    assert "With 4 subjects these figures are descriptive" in text and "nothing is tested" in text
    assert "p =" not in text and "p <" not in text and "not inferior" not in text


def test_without_reference_nothing_is_claimed_about_images(tmp_path):
    folder = make_run(tmp_path / "run", subjects=1, seeds=1, reference=False)
    about = run_json(1, False)
    about["data"]["kind"] = "measured"
    for recipe in about["recipe"]["arms"].values():
        recipe["data"]["pattern"] = None
    (folder / "run.json").write_text(json.dumps(about))
    html, reader = read(write_report(folder))
    text = " ".join(reader.text)
    assert "There is no truth for these measurements" in text and "Measured data" in text
    assert "PSNR" not in headline(Scores(RunFolder.open(folder))) and "× error" not in text
    assert "retrospective" not in text and "; sampled as acquired" in text


@pytest.mark.parametrize("missing", ["metrics.csv", "images.npz", "arms", "all"])
def test_a_folder_that_lacks_something_still_gets_a_report(finished, tmp_path, missing):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("report.html", "figures"))
    for name in ("metrics.csv", "images.npz", "arms") if missing == "all" else (missing,):
        shutil.rmtree(folder / name) if name == "arms" else (folder / name).unlink()
    if missing == "all":
        (folder / "run.json").write_text('{"title": "only just begun", "hash": "12"}')
    text = " ".join(read(write_report(folder))[1].text)
    assert "What this report cannot show" in text
    assert ("This run has no scores yet" in text) == (missing in ("all", "metrics.csv"))
    assert ("unfinished" in text) == (missing == "all")


def test_what_cannot_be_compared_is_said(tmp_path):
    folder = make_run(tmp_path / "run")
    lines = (folder / "metrics.csv").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("cg_sense,,none,subject-3,")]
    (folder / "metrics.csv").write_text("\n".join(kept) + "\n")
    text = " ".join(read(write_report(folder))[1].text)
    assert "What could not be compared" in text and "subject-3" in text
    assert "SSDU − CG-SENSE" not in " ".join(text.split())


def test_same_folder_same_bytes(finished):
    before = {path: path.read_bytes() for path in [finished / "report.html", *(finished / "figures").glob("*.svg")]}
    write_report(finished)
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "no run.json"), ("{", "no readable JSON"), ("[1]", "a JSON list"), ("[" * 100_000 + "]" * 100_000, "no readable JSON")],
    ids=["absent", "cut off", "a list", "deep"],
)
def test_no_run_is_an_error_that_names_the_file(tmp_path, content, found):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadInput, match=found) as error:
        write_report(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_damaged_parts_are_errors_that_name_the_file_and_leave_the_old_report(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "report.html").write_text("the old one")
    images = (folder / "images.npz").read_bytes()
    (folder / "images.npz").write_bytes(images[: len(images) // 2])
    with pytest.raises(BadInput, match="images.npz"):
        write_report(folder)
    (folder / "images.npz").write_bytes(images)
    text = (folder / "metrics.csv").read_text().splitlines()
    text[7] = text[7].rpartition(",")[0] + ",much"
    (folder / "metrics.csv").write_text("\n".join(text))
    with pytest.raises(BadInput, match=r"metrics.csv, line 8"):
        write_report(folder)
    text[7] = text[7].rpartition(",")[0].replace(",none,", ",chance,") + ",1.0"
    (folder / "metrics.csv").write_text("\n".join(text))
    with pytest.raises(BadInput, match=r"metrics.csv, line 8: found ValueError 'chance' is not a valid Selection"):
        write_report(folder)
    assert (folder / "report.html").read_text() == "the old one"


def test_the_order_of_arms_is_that_of_the_evaluation(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "run.json").write_text(json.dumps(run_json(), sort_keys=True))
    assert [arm.name for arm in RunFolder.open(folder).arms] == list(QUALITY)


def test_arms_are_read_as_what_they_are(finished):
    run = RunFolder.open(finished)
    assert [arm.name for arm in run.arms] == ["zero_filled", "cg_sense", "l1_wavelet", *NETWORKS]
    assert [arm.name for arm in run.arms if arm.is_supervised] == ["supervised"]
    assert [arm.name for arm in run.arms if arm.is_self_supervised] == ["ssdu", "multi_mask_ssdu"]
