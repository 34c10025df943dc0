"""How well the scores that need no truth rank a training's checkpoints: Spearman's rank correlation with the hidden errors.

python figures/gamma_trust.py RUN_FOLDER [--out FILE.png|.svg|.pdf]

Reads the checkpoints.csv of `recipes/gamma_trust.py`. Correlations are taken within each training, of means over test scans, and
averaged over seeds; the text lists them.
"""

import argparse
import csv
import sys
from collections import defaultdict
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssrecon.errors import BadInput, SsreconError
from ssrecon.study.figures import mean_rank_correlation, plain_log, save
from ssrecon.study.run_folder import readable
from ssrecon.study.style import DASHES, MARKERS, SELF_SUPERVISED, SUPERVISED, new_figure, quiet_grid, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORES = ("gamma of lines", "gamma of points", "1 - split-half FRC")
ERRORS = ("hidden NMSE", "hidden 1 - SSIM")
Curves = dict[tuple[str, str], dict[str, np.ndarray]]


def read(folder: Path) -> Curves:
    """By arm and seed, by score: the mean over scans at each checkpoint, in their order."""
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


def correlations(curves: Curves) -> dict[tuple[str, str, str], float]:
    """By arm, score and error: the mean over seeds."""
    found: dict[tuple[str, str, str], dict[str, tuple[np.ndarray, np.ndarray]]] = defaultdict(dict)
    for ((arm, seed), values), score, error in product(curves.items(), SCORES, ERRORS):
        found[arm, score, error][seed] = (values[score], values[error])
    return {key: mean_rank_correlation(trainings) for key, trainings in found.items()}


def draw(curves: Curves) -> "Figure":
    """A column a score, a row a hidden error: one line a training, which ends at its marker."""
    arms = list(dict.fromkeys(arm for arm, _ in curves))
    colours = dict(zip([arm for arm in arms if arm != "supervised"], cycle(SELF_SUPERVISED), strict=False)) | {"supervised": SUPERVISED[0]}
    # Colours that come again have other dashes.
    dashes = {arm: "solid" if i < len(SELF_SUPERVISED) or arm == "supervised" else DASHES[1] for i, arm in enumerate(colours)}
    found = correlations(curves)
    with styled():
        figure = new_figure(9.2, 6.8)
        panels = figure.subplots(len(ERRORS), len(SCORES), sharey="row", sharex="col")
        for (row, error), (column, score) in product(enumerate(ERRORS), enumerate(SCORES)):
            axes = panels[row, column]
            for (arm, _), values in curves.items():
                marker = MARKERS[arms.index(arm) % len(MARKERS)]
                axes.plot(values[score], values[error], color=colours[arm], linestyle=dashes[arm], linewidth=0.9, alpha=0.7)
                axes.plot(values[score][-1:], values[error][-1:], marker, color=colours[arm], markersize=4)
            axes.set(xscale="log", yscale="log")
            plain_log(axes, "xy")
            quiet_grid(axes, "both")
            for place, arm in enumerate(arms):
                text = f"{'' if dashes[arm] == 'solid' else '- - '}{readable(arm)}  {found[arm, score, error]:+.2f}"
                axes.text(0.03, 0.97 - 0.05 * place, text, transform=axes.transAxes, va="top", color=colours[arm], fontsize=6.5)
            if row == len(ERRORS) - 1:
                axes.set_xlabel(score)
            if column == 0:
                axes.set_ylabel(error)
        for axes in panels[:, 0]:  # room above the curves for the list
            low, high = axes.get_ylim()
            axes.set_ylim(low, high * (high / low) ** 0.6)
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    try:
        curves = read(options.run_folder)
        for (arm, score, error), value in correlations(curves).items():
            print(f"{arm:18} {score:20} {error:16} {value:+.2f}", file=sys.stderr)
        print(save(draw(curves), options.out or options.run_folder / "gamma_trust.png"))
    except SsreconError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
