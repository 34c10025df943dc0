"""Draw how well the scores that need no truth rank a training's checkpoints: Spearman's rank correlation with the hidden errors.

python figures/gamma_trust.py RUN_FOLDER [--out FILE.png|.svg|.pdf] [--table FILE.md]

Reads the checkpoints.csv of `recipes/gamma_trust.py`. Correlations are taken within each training, of means over test scans, and
averaged over seeds; the table's last line is taken between objectives. A score misleads where a marker stands on grey, or a number is bold
(for any of its seeds).
"""

import csv
import sys
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssrecon.core import BadInput
from ssrecon.study.figures import mean_rank_correlation, plain_log
from ssrecon.study.redraw import redraw
from ssrecon.study.run_folder import arm_label
from ssrecon.study.style import FAINT, INK, MARKERS, SELF_SUPERVISED, SUPERVISED, new_figure, quiet_grid, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORES = ("gamma of lines", "gamma of points", "1 - split-half FRC")
ERRORS = ("hidden NMSE", "hidden 1 - SSIM")
COLOURS = (SELF_SUPERVISED[0], SUPERVISED[0], SELF_SUPERVISED[1])
MISLEADS = -0.2
"""A rank correlation below this tells the opposite of the truth, more often than not."""
Curves = dict[tuple[str, str], dict[str, np.ndarray]]


def read(folder: Path) -> Curves:
    """Return, by arm and seed and by score, the mean over scans at each checkpoint, in their order."""
    path = folder / "checkpoints.csv"
    if not path.is_file():
        raise BadInput(folder, found="no checkpoints.csv", expected="the folder of recipes/gamma_trust.py")
    cells: dict[tuple[str, str], dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            cells[row["arm"], row["seed"]][row["score"]][int(row["step"])].append(float(row["value"]))
    return {
        training: {score: np.array([np.mean(steps[step]) for step in sorted(steps)]) for score, steps in scores.items()}
        for training, scores in cells.items()
    }


def correlations(curves: Curves) -> dict[tuple[str, str, str], dict[str, float]]:
    """Return, by arm, score and error, the correlation over the checkpoints of each seed's training."""
    found: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for ((arm, seed), values), score, error in product(curves.items(), SCORES, ERRORS):
        found[arm, score, error][seed] = mean_rank_correlation({seed: (values[score], values[error])})
    return found


def correlations_between_objectives(curves: Curves) -> dict[tuple[str, str], float]:
    """Return, by score and error, the correlation over the last checkpoints of all objectives, averaged over seeds."""
    seeds = sorted({seed for _, seed in curves})
    return {
        (score, error): mean_rank_correlation(
            {
                seed: tuple(np.array([values[name][-1] for (_, own), values in curves.items() if own == seed]) for name in (score, error))
                for seed in seeds
            }
        )
        for score, error in product(SCORES, ERRORS)
    }


def table(curves: Curves) -> str:
    """Return Markdown with a row for each objective: means over seeds, with the least and the largest where these lie 0.3 apart."""
    found, across = correlations(curves), correlations_between_objectives(curves)
    columns = list(product(ERRORS, SCORES))
    lines = ["| | " + " | ".join(f"{error.removeprefix('hidden ')}: {score}" for error, score in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for arm in dict.fromkeys(arm for arm, _ in curves):
        cells = [cell(list(found[arm, score, error].values())) for error, score in columns]
        lines.append(f"| {arm_label(arm)} | " + " | ".join(cells) + " |")
    lines.append("| *between objectives, at the end* | " + " | ".join(f"{across[score, error]:+.2f}" for error, score in columns) + " |")
    return "\n".join(lines) + "\n"


def cell(values: list[float]) -> str:
    mean = float(np.mean(values))
    text = f"{mean:+.2f}" if np.ptp(values) <= 0.3 else f"{mean:+.2f} ({min(values):+.2f} to {max(values):+.2f})"
    return f"**{text}**" if min(values) < MISLEADS else text


def draw(curves: Curves) -> "Figure":
    """Draw, above, the hidden NMSE over each score, and below the rank correlations of each objective.

    Above, a line is a training that ends at its dot; supervised ones are black. Below, a marker is the mean of an objective's seeds, and a
    line reaches from the least to the largest.
    """
    arms = list(dict.fromkeys(arm for arm, _ in curves))
    across = correlations_between_objectives(curves)
    with styled():
        figure = new_figure(8.2, 0.27 * len(arms) + 4.2)
        grid = figure.add_gridspec(2, 6, height_ratios=[2.6, 0.27 * len(arms) + 0.6])
        above = [figure.add_subplot(grid[0, 2 * i : 2 * i + 2]) for i in range(len(SCORES))]
        below = [figure.add_subplot(grid[1, 3 * i : 3 * i + 3]) for i in range(len(ERRORS))]
        for axes, score in zip(above, SCORES, strict=True):
            for (arm, _), values in curves.items():
                colour = INK if arm == "supervised" else FAINT
                axes.plot(values[score], values[ERRORS[0]], color=colour, linewidth=0.6, alpha=0.5)
                axes.plot(values[score][-1:], values[ERRORS[0]][-1:], "o", color=colour, markersize=3)
            axes.set(xscale="log", yscale="log", xlabel=score, title=f"between objectives {across[score, ERRORS[0]]:+.2f}")
            plain_log(axes, "xy")
            quiet_grid(axes, "both")
        above[0].set_ylabel(ERRORS[0])
        found = correlations(curves)
        for axes, error in zip(below, ERRORS, strict=True):
            for place, score in enumerate(SCORES):
                heights = np.arange(len(arms))[::-1] + 0.24 * (1 - place)
                values = [list(found[arm, score, error].values()) for arm in arms]
                axes.hlines(heights, np.min(values, axis=1), np.max(values, axis=1), color=COLOURS[place], linewidth=1)
                axes.plot(np.mean(values, axis=1), heights, MARKERS[place], color=COLOURS[place], markersize=3.8, label=score)
            axes.axvline(0, color=INK, linewidth=0.7)
            axes.axvspan(-1.05, MISLEADS, color=FAINT, alpha=0.15, linewidth=0)
            axes.set(xlim=(-1.05, 1.05), ylim=(-0.6, len(arms) - 0.4), xlabel=f"rank correlation with the {error}")
            axes.set_yticks(range(len(arms)), [arm_label(arm) for arm in reversed(arms)] if axes is below[0] else [])
            quiet_grid(axes, "x")
        below[0].legend(loc="lower left")
    return figure


if __name__ == "__main__":
    sys.exit(redraw("gamma_trust", draw, read=read, table=table))
