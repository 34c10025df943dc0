"""The report of a run is one HTML file with everything in it: it needs no network, can be printed, and can be sent to anyone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ssrecon.core.files import whole_file
from ssrecon.study import recipe_text, tables, words
from ssrecon.study.acquisition import acquisition_facts
from ssrecon.study.effects import subject_scores, tuning_grids
from ssrecon.study.figures import gamma_against_hidden, residual_bands, training_curves
from ssrecon.study.headline import headline, key_numbers
from ssrecon.study.image_rows import Gallery, all_image_rows, image_rows
from ssrecon.study.run_folder import RunFolder
from ssrecon.study.scores import Scores
from ssrecon.study.statistics import MINIMUM_SUBJECTS, Measure
from ssrecon.study.style import inline_svg, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWINGS: dict[str, "Callable[[RunFolder], Figure | None]"] = {
    "subjects": subject_scores,
    "images": all_image_rows,
    "training_curves": training_curves,
    "gamma_against_hidden": gamma_against_hidden,
    "residual_bands": residual_bands,
    "tuning": tuning_grids,
}
"""These figures are also kept as files, by these names."""


def write_report(run_folder: Path | str) -> Path:
    """Write ``report.html`` and ``figures/NAME.svg`` into a run's folder, from its files alone, and return the report's path.

    What a folder lacks is left out of the report. The same folder gives the same bytes. Raises BadInput where there is no run, and for
    files that cannot be read.
    """
    run = RunFolder.open(run_folder)
    target = run.path / "report.html"
    drawings = {name: to_svg(figure) for name, draw in DRAWINGS.items() if (figure := draw(run)) is not None}
    for name, svg in drawings.items():
        with whole_file(run.path / "figures" / f"{name}.svg") as partial:
            partial.write_text(svg, encoding="utf-8")
    page = _Page(run, Scores(run), drawings, count(1), count(1), count(1)).html()
    with whole_file(target) as partial:
        partial.write_text(page, encoding="utf-8")
    return target


@dataclass(frozen=True)
class _Page:
    """A page is made of sections in reading order, with figures and tables numbered as they come."""

    run: RunFolder
    scores: Scores
    drawings: Mapping[str, str]
    """The SVG of each of the `DRAWINGS` that this run has, by name."""
    section_numbers: Iterator[int]
    figure_numbers: Iterator[int]
    table_numbers: Iterator[int]

    def html(self) -> str:
        here = Path(__file__).parent
        template = Template((here / "report_template.html").read_text(encoding="utf-8"))
        kind = str(self.run.section("data").get("kind") or "")
        keys = "".join(f"<div><dt>{key.value}</dt><dd>{key.caption}</dd></div>" for key in key_numbers(self.scores))
        return template.substitute(
            title=escape(self.run.title),
            css=(here / "report.css").read_text(encoding="utf-8"),
            kind=kind if kind in words.KINDS else "unknown",
            kind_label=words.KINDS[kind][0] if kind in words.KINDS else "Data of unknown kind",
            byline=self._byline(),
            notice=self._notice(),
            headline=headline(self.scores),
            key_numbers=f"<dl class='keys'>{keys}</dl>" if keys else "",
            summary=self._summary(),
            sections="\n".join(filter(None, (part() for part in self._parts()))),
            footer=words.SOURCES.format(version=escape(str(self.run.section("versions").get("ssrecon", "")))),
        )

    def _parts(self) -> tuple[Callable[[], str], ...]:
        return (self._results, self._images, self._training, self._bands, self._tuning, self._cost, self._setup, self._caveats)

    # -- above the sections -----------------------------------------------------------------------------------------------------------

    def _byline(self) -> str:
        about, commit = self.run.about, self.run.about.get("git_commit")
        changed = " with changes" if about.get("git_modified") else ""
        parts = [
            str(about.get("date", "")).replace("T", " ").replace("Z", " UTC"),
            str(about.get("device") or ""),
            f"commit {str(commit)[:10]}{changed}" if commit else "",
            f"recipe {about['hash']}" if about.get("hash") else "",
        ]
        return " · ".join(escape(part) for part in parts if part)

    def _notice(self) -> str:
        return "" if self.run.about.get("finished") else f"<p class='notice'>{words.UNFINISHED}</p>"

    def _summary(self) -> str:
        data = self.run.section("data")
        known = words.KINDS.get(str(data.get("kind")), ("", ""))[1]
        parts = [str(data.get("description") or ""), recipe_text.summary(self.run)]
        return " ".join(f"{escape(part).rstrip('.')}." for part in parts if part) + (f" {known}" if known else "")

    # -- the sections -----------------------------------------------------------------------------------------------------------------

    def _results(self) -> str:
        scores = self.scores
        if not scores.measures:
            return ""
        body = self._table(self._scores_caption(), tables.scores_table(scores, scores.measures))
        body += self._figure("subjects", words.SUBJECTS + (words.FOREST if scores.non_inferiorities else "") + ".")
        body += self._differences() + self._other_conventions()
        if scores.left_out:
            reasons = "".join(f"<li>{escape(reason)}</li>" for reason in scores.left_out)
            body += f"<details><summary>What could not be compared</summary><ul>{reasons}</ul></details>"
        return self._section("Image quality" if scores.conventions else "Quality without truth", body)

    def _scores_caption(self) -> str:
        scores, several = self.scores, max((len(arm.seeds) for arm in self.run.networks), default=0)
        rule = tables.RULES[self.run.headline_selection]
        parts = [
            words.INTERVALS.format(subjects=scores.subjects) if scores.subjects > 1 else words.NO_INTERVALS,
            f"Convention: <b>{escape(scores.conventions[0])}</b>." if scores.conventions else "",
            words.SEEDS.format(seeds=several) if several > 1 else "One seed a network.",
            f"The headline takes the checkpoint chosen {rule}.",
            "Bold: the best mean of the headline rows, which is no test." if scores.conventions else "",
        ]
        return " ".join(filter(None, parts))

    def _differences(self) -> str:
        scores = self.scores
        small = words.FEW if scores.subjects < MINIMUM_SUBJECTS else ""
        tests = sum(difference.p is not None for difference in scores.differences)
        smallest = min(1.0, tests * 2.0 ** (1 - scores.subjects))
        many = f" {scores.subjects} subjects and {tests} tests cannot give a p-value below {smallest:.2f}."
        weak = many if tests and smallest > 0.05 else ""
        body = self._table(words.DIFFERENCES + weak + small, tables.differences_table(scores))
        return body + self._table(words.NON_INFERIORITY + small, tables.non_inferiority_table(scores))

    def _other_conventions(self) -> str:
        scores, found = self.scores, ""
        rule = self.run.headline_selection
        for convention in scores.conventions[1:]:
            measures = [Measure(metric, convention, rule) for metric in scores.metrics(convention)]
            found += f"<h3>{escape(convention)}</h3>{tables.scores_table(scores, measures)}"
        if scores.conventions and scores.residuals:
            found += "<h3>residual of measured samples</h3>"
            found += tables.scores_table(scores, [Measure("residual", name, rule) for name in scores.residuals])
        return f"<details><summary>The same in other conventions, and residuals</summary>{found}</details>" if found else ""

    def _images(self) -> str:
        gallery = Gallery.of(self.run)
        if gallery is None:
            return ""
        body = ""
        rows = words.ROWS if gallery.has_reference else words.ROWS_WITHOUT_REFERENCE
        for scan, scan_id in enumerate(gallery.images.scan_ids):
            figure = image_rows(self.run, scan)
            last = scan == len(gallery) - 1
            text = f"Scan <b>{escape(scan_id)}</b>; {rows}." + (f" {escape(gallery.caption())}" if last else "")
            svg = to_svg(figure) if figure is not None else ""
            body += self._numbered_figure(svg, "images", f"images-{scan}", text, f"Images of scan {scan_id} by every method")
        return self._section("Images", body)

    def _training(self) -> str:
        body = self._figure("training_curves", words.CURVES) + self._figure("gamma_against_hidden", words.GAMMA)
        return self._section("Training, and validation without truth", body)

    def _bands(self) -> str:
        images = self.run.images
        withheld = images is not None and images.reference is not None
        return self._section(
            "Where in k-space the error lies", self._figure("residual_bands", words.WITHHELD if withheld else words.ACQUIRED)
        )

    def _tuning(self) -> str:
        body = self._table("What the classical methods were tuned to, on validation scans.", tables.tuning_table(self.run))
        return self._section("Baselines", body + self._figure("tuning", "Score over the grid; the ring is what was chosen."))

    def _cost(self) -> str:
        updates = {seed.get("updates") for arm in self.run.networks for seed in arm.seeds.values()} - {None}
        caption = "Means over seeds; times were measured on the device named above."
        if isinstance(workers := self.run.about.get("workers"), int) and workers > 1:
            caption += f" {workers} trainings at a time shared it, so that they depend on which these were."
        if updates and len(self.run.networks) > 1:
            equal = len(updates) == 1
            caption += " All networks had the same number of updates." if equal else " The networks differ in their number of updates."
        return self._section("Cost", self._table(caption, tables.cost_table(self.run)))

    def _setup(self) -> str:
        shared, different = recipe_text.shared_and_different(self.run)
        labels = {arm.name: arm.label for arm in self.run.networks}
        columns = {name: labels.get(name, name) for name in next(iter(different.values()), {})}
        rows = ((field, [values[name] for name in columns]) for field, values in different.items())
        body = self._table(words.RECIPES_DIFFER, tables.columns_table("field", columns, rows))
        body += _collapsible("The recipe: what all arms share", tables.pairs_table(shared.items()))
        about, data = self.run.about, self.run.section("data")
        keys = ("device", "cpu", "threads", "workers", "platform", "seeds", "git_commit", "data_fingerprint", "hash")
        acquired = acquisition_facts(self.run.sampling)
        facts = [("data", data.get("description")), *((f"test scans: {key}", text) for key, text in acquired.items())]
        facts += [(key.replace("_", " "), about.get(key)) for key in keys]
        facts += [(f"version of {name}", version) for name, version in self.run.section("versions").items()]
        known = tables.pairs_table((key, value) for key, value in facts if value not in (None, "", []))
        return self._section("What was run", body + _collapsible("Data, device and versions", known))

    def _caveats(self) -> str:
        points = list(words.CAVEATS)
        if self.scores.conventions:
            points.insert(0, words.RETROSPECTIVE)
        if 0 < self.scores.subjects < MINIMUM_SUBJECTS:
            people = "One subject allows" if self.scores.subjects == 1 else f"{self.scores.subjects} subjects allow"
            points.insert(0, f"<b>{people}</b> no statement about a population.")
        items = "".join(f"<li>{point}</li>" for point in points)
        return self._section("What this report cannot show", f"<ul class='caveats'>{items}</ul>")

    # -- its pieces -------------------------------------------------------------------------------------------------------------------

    def _section(self, title: str, body: str) -> str:
        return f"<section><h2><span class='count'>{next(self.section_numbers)}</span>{title}</h2>\n{body}\n</section>" if body else ""

    def _table(self, caption: str, table: str) -> str:
        return f"<p class='caption'><b>Table {next(self.table_numbers)}.</b> {caption}</p>\n{table}\n" if table else ""

    def _figure(self, name: str, caption: str) -> str:
        return self._numbered_figure(self.drawings.get(name, ""), "", name, caption, name.replace("_", " "))

    def _numbered_figure(self, svg: str, style: str, prefix: str, caption: str, description: str) -> str:
        if not svg:
            return ""
        inline = inline_svg(svg, prefix, escape(description))
        number = next(self.figure_numbers)
        return f"<figure class='{style}'>{inline}<figcaption><b>Figure {number}.</b> {caption}</figcaption></figure>\n"


def _collapsible(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>{body}</details>" if body else ""
