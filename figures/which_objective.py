"""Draw the study of objectives: quality by condition, as a picture and as a table.

python figures/which_objective.py runs/which_objective [--out FILE.png|.svg|.pdf] [--table FILE.md]

It takes the folder of `recipes/which_objective.py` (a run folder for each condition), or one run folder. Scores are against the noiseless
truth where the archive is simulated, else against the reference; Gamma chose the checkpoints.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ssrecon.core import BadInput
from ssrecon.study.redraw import redraw
from ssrecon.study.run_folder import RunFolder, arm_label
from ssrecon.study.statistics import Interval, Measure, Summary, paired_difference, summarise
from ssrecon.study.style import FAINT, INK, new_figure, quiet_grid, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VERSUS = ("supervised", "multi_mask_ssdu")
"""The others are compared, subject by subject, with the first of these that is there."""
METRICS = {"psnr": ("PSNR, dB", "{:.2f}"), "ssim": ("SSIM", "{:.3f}"), "nmse": ("NMSE", "{:.4f}")}


def conditions(folder: Path) -> dict[str, RunFolder]:
    """Return the finished runs in a folder, or the folder itself."""
    names = [folder] if (folder / "run.json").is_file() else sorted(path.parent for path in folder.glob("*/run.json"))
    runs = {path.name: RunFolder.open(path) for path in names}
    finished = {name: run for name, run in runs.items() if run.metrics}
    if not finished:
        raise BadInput(folder, found="no finished run", expected="the folder of recipes/which_objective.py")
    return finished


def summaries(run: RunFolder, metric: str) -> list[Summary]:
    """Return one summary for each arm, the best first."""
    measure = Measure.truest(metric, run.metrics)
    found = [summarise(run.metrics, arm.name, measure) for arm in run.arms]
    return sorted(found, key=lambda summary: -measure.sign * summary.mean)


def draw(runs: dict[str, RunFolder]) -> "Figure":
    """Draw a panel for each condition: PSNR of every arm with its interval over subjects, and the supervised arm as a line.

    Zero-filling, far below, is left to the table.
    """
    # Those with most arms first, so that the panels of a row are about equally tall.
    runs = dict(sorted(runs.items(), key=lambda item: -len(item[1].arms)))
    columns = min(3, len(runs))
    tallest = [max(len(run.arms) for run in list(runs.values())[start : start + columns]) for start in range(0, len(runs), columns)]
    heights = [0.155 * arms + 0.8 for arms in tallest]
    with styled():
        figure = new_figure(3.0 * columns + 0.2, sum(heights))
        panels = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights).ravel()
        for axes, run in zip(panels, runs.values(), strict=False):
            found = [summary for summary in summaries(run, "psnr")[::-1] if summary.arm != "zero_filled"]
            by_name = {arm.name: arm for arm in run.arms}
            for y, summary in enumerate(found):
                arm = by_name[summary.arm]
                colour = "#8a8a8a" if not arm.is_network else "#0072b2" if arm.needs_reference else "#d55e00"
                if summary.interval is not None:
                    axes.plot([summary.interval.lower, summary.interval.upper], [y, y], color=colour, linewidth=1)
                axes.plot(summary.mean, y, "o", color=colour, markersize=3.5)
                if summary.arm == "supervised":
                    axes.axvline(summary.mean, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
            axes.set_yticks(range(len(found)), [arm_label(summary.arm) for summary in found], color=INK)
            axes.set_title(run.title.removeprefix("Which objective: ").replace(", ", ",\n", 1))
            axes.set_xlabel("PSNR, dB")
            quiet_grid(axes, "x")
        for axes in panels[len(runs) :]:
            axes.set_visible(False)
    return figure


def interval_in_brackets(interval: Interval | None) -> str:
    return "" if interval is None else f" ({interval.lower:.2f} to {interval.upper:.2f})"


def overview(runs: dict[str, RunFolder]) -> list[str]:
    """Return the lines of the table of PSNR: a row for each arm, the conditions side by side."""
    values = {name: {summary.arm: summary.mean for summary in summaries(run, "psnr")} for name, run in runs.items()}
    arms = sorted({arm for of in values.values() for arm in of}, key=lambda arm: -max(of.get(arm, 0.0) for of in values.values()))
    lines = ["| PSNR, dB | " + " | ".join(arm_label(name) for name in runs) + " |", "|---|" + "---|" * len(runs)]
    for arm in arms:
        cells = [METRICS["psnr"][1].format(of[arm]) if arm in of else "" for of in values.values()]
        lines.append(f"| {arm_label(arm)} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def table(runs: dict[str, RunFolder]) -> str:
    """Return Markdown: all conditions side by side, then each with intervals over subjects, paired differences and other metrics."""
    lines = overview(runs)
    for run in runs.values():
        by_metric = {metric: {summary.arm: summary for summary in summaries(run, metric)} for metric in METRICS}
        first = next(iter(by_metric["psnr"].values()))
        seeds = max(summary.seeds for summary in by_metric["psnr"].values())
        lines += [f"### {run.title.removeprefix('Which objective: ')}", ""]
        versus = next((name for name in VERSUS if name in by_metric["psnr"]), first.arm)
        lines += [
            f"{first.subjects} test subject{'s' * (first.subjects > 1)}, {seeds} seed{'s' * (seeds > 1)}; 95 % intervals over subjects.",
            "",
        ]
        heads = [name for name, _ in METRICS.values()]
        heads.insert(1, f"minus {arm_label(versus)}, dB")
        lines += ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
        for name, summary in by_metric["psnr"].items():
            cells = [METRICS[metric][1].format(by_metric[metric][name].mean) for metric in METRICS]
            cells[0] += interval_in_brackets(summary.interval)
            difference = paired_difference(run.metrics, name, versus, summary.measure)
            cells.insert(1, "" if name == versus else f"{difference.mean:+.2f}" + interval_in_brackets(difference.interval))
            lines.append(f"| {arm_label(name)} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(redraw("which_objective", draw, read=conditions, table=table))
