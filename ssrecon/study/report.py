"""The report of a run: one HTML file with everything in it, that needs no network, can be printed, and can be sent to anyone."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ssrecon.files import whole_file
from ssrecon.study import recipe_text, tables
from ssrecon.study.effects import subject_scores, tuning_grids
from ssrecon.study.figures import gamma_against_hidden, residual_bands, training_curves
from ssrecon.study.headline import headline, key_numbers
from ssrecon.study.image_rows import MAGNIFIED, Gallery, all_image_rows, image_rows
from ssrecon.study.run_folder import RunFolder
from ssrecon.study.scores import Scores
from ssrecon.study.statistics import MINIMUM_SUBJECTS, Measure
from ssrecon.study.style import inline_svg, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {
    "simulated": (
        "Simulated data",
        "Anatomy, coils and noise were made by a computer: the numbers compare methods, they do not foretell quality on patients.",
    ),
    "semi-synthetic": ("Semi-synthetic data", "Measured images, with simulated coils and noise: k-space was computed, not acquired."),
    "measured": ("Measured data", "K-space as a scanner acquired it."),
    "mixed": ("Mixed data", "Measured and simulated scans stand side by side in this archive."),
}

DRAWINGS: dict[str, "Callable[[RunFolder], Figure | None]"] = {
    "subjects": subject_scores,
    "images": all_image_rows,
    "training_curves": training_curves,
    "gamma_against_hidden": gamma_against_hidden,
    "residual_bands": residual_bands,
    "tuning": tuning_grids,
}
"""The figures that are also kept as files, by name."""


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
    """Sections in reading order, with figures and tables numbered as they come."""

    run: RunFolder
    scores: Scores
    drawings: Mapping[str, str]
    """SVG by the names of `DRAWINGS`, of what this run has."""
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
            kind=kind if kind in KINDS else "unknown",
            kind_label=escape(KINDS[kind][0] if kind in KINDS else "Data of unknown kind"),
            byline=self._byline(),
            notice=self._notice(),
            headline=headline(self.scores),
            key_numbers=f"<dl class='keys'>{keys}</dl>" if keys else "",
            summary=self._summary(),
            sections="\n".join(filter(None, (part() for part in self._parts()))),
            footer=self._footer(),
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
        if self.run.about.get("finished", True) is False or ("arms" in self.run.about and "finished" not in self.run.about):
            return "<p class='notice'>This run is unfinished: the report shows what it has reached so far.</p>"
        return ""

    def _summary(self) -> str:
        data = self.run.section("data")
        known = KINDS.get(str(data.get("kind")), ("", ""))[1]
        parts = [str(data.get("description") or ""), recipe_text.summary(self.run)]
        return " ".join(f"{escape(part).rstrip('.')}." for part in parts if part) + (f" {escape(known)}" if known else "")

    # -- the sections -----------------------------------------------------------------------------------------------------------------

    def _results(self) -> str:
        scores = self.scores
        if not scores.measures:
            return ""
        rule = tables.RULES.get(self.run.headline_selection, self.run.headline_selection)
        leading = scores.conventions[0] if scores.conventions else ""
        named = f" Convention: <b>{escape(leading)}</b>." if leading else ""
        seeds = max((len(arm.seeds) for arm in self.run.networks), default=0)
        spread = f"Mean over {scores.subjects} test subjects and, below it, its 95 % bootstrap interval over subjects."
        spread = spread if scores.subjects > 1 else "One test subject: there is no interval."
        several = ", averaged within a subject; “seeds” is the standard deviation between seeds" if seeds > 1 else ""
        body = self._table(
            f"{spread}{named} {_counted(seeds, 'seed')} per network{several}. "
            f"The headline takes the checkpoint chosen {escape(rule)}. Bold: the best mean of the headline rows, which is no test.",
            tables.scores_table(scores, scores.measures),
        )
        body += self._figure(
            "subjects",
            "Thin lines are subjects, diamonds means, bars their 95 % intervals"
            + (
                "; right, the paired difference to supervised training, with the margin of non-inferiority shaded."
                if scores.non_inferiorities
                else "."
            ),
        )
        body += self._differences() + self._other_conventions()
        if scores.left_out:
            body += "<details><summary>What could not be compared</summary><ul>" + "".join(f"<li>{escape(t)}</li>" for t in scores.left_out)
            body += "</ul></details>"
        return self._section("Image quality" if scores.conventions else "Quality without truth", body)

    def _differences(self) -> str:
        scores = self.scores
        small = (
            f" With fewer than {MINIMUM_SUBJECTS} subjects figures are descriptive: nothing is tested."
            if scores.subjects < MINIMUM_SUBJECTS
            else ""
        )
        tests = sum(one.p is not None for one in scores.differences)
        smallest = min(1.0, tests * 2.0 ** (1 - scores.subjects))
        weak = (
            f" {scores.subjects} subjects and {tests} tests cannot give a p-value below {smallest:.2f}."
            if tests and smallest > 0.05
            else ""
        )
        body = self._table(
            "Paired differences: mean over subjects, 95 % bootstrap interval, the number of subjects for whom the first method is the better one, "
            f"and the two-sided Wilcoxon signed-rank p-value after Holm's correction over this whole table.{weak}{small}",
            tables.differences_table(scores),
        )
        return body + self._table(
            "Non-inferiority to supervised training, under both selection rules. Advantage: how much better the first is, in the metric's own "
            f"unit; its one-sided 95 % bound must lie above minus the margin, which was written down before the run.{small}",
            tables.non_inferiority_table(scores),
        )

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
        for scan, scan_id in enumerate(gallery.images.scan_ids):
            figure = image_rows(self.run, scan)
            svg = to_svg(figure) if figure is not None else ""
            last = scan == len(gallery) - 1
            rows = f"top to bottom: image, zoom, {MAGNIFIED} × error" if gallery.has_reference else "top to bottom: image, zoom"
            text = f"Scan <b>{escape(scan_id)}</b>; {rows}." + (f" {escape(gallery.caption())}" if last else "")
            body += self._drawn(svg, "images", f"images-{scan}", text, f"Images of scan {scan_id} by every method")
        return self._section("Images", body)

    def _training(self) -> str:
        body = self._figure(
            "training_curves",
            "A line is one training; the untrained network is left out. Losses of different objectives have different units and floors and are not "
            "to be compared with one another. The Γ score uses acquired samples that neither network nor calibration saw.",
        )
        body += self._figure(
            "gamma_against_hidden",
            "Each point is one validation, fainter the earlier, a marker a seed. ρ: Spearman's rank correlation, within a training, mean over "
            "seeds. Where it is high, the score that needs no truth would have chosen about the same checkpoint as the truth.",
        )
        return self._section("Training, and validation without truth", body) if body else ""

    def _bands(self) -> str:
        images = self.run.images
        withheld = images is not None and images.reference is not None
        where = "samples that were withheld from every method" if withheld else "the acquired samples, which the methods were given"
        body = self._figure(
            "residual_bands", f"Median over the scans shown of |y − E x|² / |y|², from {where}. Noise alone leaves a residual.", "narrow"
        )
        return self._section("Where in k-space the error lies", body) if body else ""

    def _tuning(self) -> str:
        table = tables.tuning_table(self.run)
        if not table:
            return ""
        body = self._table("What the classical methods were tuned to, on validation scans.", table)
        return self._section("Baselines", body + self._figure("tuning", "Score over the grid; the ring is what was chosen."))

    def _cost(self) -> str:
        table = tables.cost_table(self.run)
        if not table:
            return ""
        updates = {seed.get("updates") for arm in self.run.networks for seed in arm.seeds.values()} - {None}
        equal = (
            "All networks had the same number of updates." if len(updates) == 1 else "The networks did not have the same number of updates."
        )
        return self._section(
            "Cost", self._table(f"{equal if updates else ''} Means over seeds; times were measured on the device named above.", table)
        )

    def _setup(self) -> str:
        shared, different = recipe_text.shared_and_different(self.run)
        labels = {arm.name: arm.label for arm in self.run.networks}
        names = list(next(iter(different.values()), {}))
        body = self._table(
            "Where the arms' recipes differ. In everything else they are equal.",
            tables.columns_table(
                "field", {name: labels.get(name, name) for name in names}, ((k, [v[n] for n in names]) for k, v in different.items())
            ),
        )
        if shared:
            body += f"<details><summary>The recipe: what all arms share</summary>{tables.pairs_table(shared.items())}</details>"
        about, data = self.run.about, self.run.section("data")
        facts = [
            (key, about.get(key)) for key in ("device", "cpu", "threads", "platform", "seeds", "git_commit", "data_fingerprint", "hash")
        ]
        facts += [("data", data.get("description")), *((f"version of {k}", v) for k, v in self.run.section("versions").items())]
        known = tables.pairs_table((key.replace("_", " "), value) for key, value in facts if value not in (None, "", []))
        return self._section(
            "What was run", body + (f"<details><summary>Data, device and versions</summary>{known}</details>" if known else "")
        )

    def _caveats(self) -> str:
        points = [
            "<b>Γ cannot see what nobody sampled.</b> It tests predictions of samples that were acquired. Structure invented in parts of k-space that no "
            "scan of this archive ever covers changes no Γ score.",
            "<b>Γ is dominated by the centre of k-space</b>, where the energy is; detail is judged by the residual per band, not by the total.",
            "<b>Γ needs honest noise.</b> Wrong whitening, regridding or averaging before it, or removed readout oversampling that was not accounted for, "
            "make held-out samples depend on the others. Errors of the coil sensitivities raise the score of every method.",
            "<b>A residual below 1</b> (in units of the noise) on samples that a method was given shows over-fitting, not quality.",
            "<b>PSNR, SSIM and NMSE are not diagnosis.</b> They say little about small lesions, and their reference carries noise of its own, which "
            "bounds what any method can reach. Nothing here is a statement about clinical use.",
        ]
        if self.scores.conventions:
            points.insert(
                0,
                "<b>Undersampling was retrospective</b>: it omits motion, drift and eddy currents that differ between a fast and a slow scan.",
            )
        if 0 < self.scores.subjects < MINIMUM_SUBJECTS:
            points.insert(0, f"<b>{_counted(self.scores.subjects, 'subject')}</b> allow no statement about a population.")
        return self._section(
            "What this report cannot show", "<ul class='caveats'>" + "".join(f"<li>{point}</li>" for point in points) + "</ul>"
        )

    def _footer(self) -> str:
        version = escape(str(self.run.section("versions").get("ssrecon", "")))
        return (
            f"Made by ssrecon {version} from this folder's run.json, metrics.csv, images.npz and histories; figures/ holds the figures as files. "
            "Intervals: percentile bootstrap over subjects. Metrics: NMSE, NRMSE, PSNR, SSIM (Wang et al. 2004), HFEN (Ravishankar &amp; Bresler 2011)."
        )

    # -- its pieces -------------------------------------------------------------------------------------------------------------------

    def _section(self, title: str, body: str) -> str:
        return f"<section><h2><span class='count'>{next(self.section_numbers)}</span>{title}</h2>\n{body}\n</section>" if body else ""

    def _table(self, caption: str, table: str) -> str:
        return f"<p class='caption'><b>Table {next(self.table_numbers)}.</b> {caption}</p>\n{table}\n" if table else ""

    def _figure(self, name: str, caption: str, style: str = "") -> str:
        return self._drawn(self.drawings.get(name, ""), style, name, caption, name.replace("_", " "))

    def _drawn(self, svg: str, style: str, prefix: str, caption: str, description: str) -> str:
        if not svg:
            return ""
        inline = inline_svg(svg, prefix, escape(description))
        return f"<figure class='{style}'>{inline}<figcaption><b>Figure {next(self.figure_numbers)}.</b> {caption}</figcaption></figure>\n"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
