"""The figures of a run are drawn here from the files in its folder: nothing trains or runs a network.

Each function that draws takes a `RunFolder` and returns a matplotlib figure, or None where the folder holds nothing to draw it from.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssrecon.core.errors import BadInput
from ssrecon.core.files import whole_file
from ssrecon.recipe.selection import TRAINED, Selection
from ssrecon.study.run_folder import Arm, RunFolder
from ssrecon.study.style import FAINT, Look, legend, looks, new_figure, quiet_grid, styled, to_pdf, to_png, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.6
"""A figure of the whole width has this many inches: the report shows it at 1:1."""

CURVES = (("loss", "training loss"), ("gamma", "held-out residual on Γ"), ("hidden_nmse", "hidden error (NMSE)"))


def training_curves(run: RunFolder) -> "Figure | None":
    """Draw loss, Gamma score and, where references exist, the NMSE that training never saw, against the number of updates.

    Each seed is a thin line, with a dot where Gamma chose the checkpoint and a ring where the reference would have.
    """
    histories = {arm: history for arm in run.networks if (history := run.history(arm))}
    columns = [(key, label) for key, label in CURVES if any(_has_values(h, key) for h in histories.values())]
    if not columns:
        return None
    look = looks(run)
    with styled():
        figure = new_figure(WIDTH, 2.75)
        for axes, (key, label) in zip(np.ravel(figure.subplots(1, len(columns), squeeze=False)), columns, strict=True):
            for arm, history in histories.items():
                for seed, columns_of in history.items():
                    _draw_curve(axes, columns_of, key, look[arm.name], _selected_steps(arm, seed))
            axes.set(title=label, xlabel="updates", yscale="log")
            plain_log(axes)
            quiet_grid(axes)
            if key == "gamma" and in_noise_units(histories.values()):
                axes.axhline(1, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
                axes.annotate(
                    "noise floor", (1, 1), (-2, 2), ("axes fraction", "data"), "offset points", ha="right", color=FAINT, fontsize=6.5
                )
        legend(figure, list(histories), look, _selection_marks())
    return figure


def gamma_against_hidden(run: RunFolder) -> "Figure | None":
    """Draw each validation as a point: the score that needs no truth against the error that does, one panel for each arm.

    Spearman's rank correlation is taken in each training on its own, over the validations after the first step, and averaged over seeds.
    """
    found = [(arm, pairs) for arm in run.networks if (pairs := validation_pairs(run, arm))]
    if not found:
        return None
    look = looks(run)
    with styled():
        columns = min(4, len(found))
        rows = -(-len(found) // columns)
        figure = new_figure(min(WIDTH, 3.2 * columns + 0.2), 3.0 if rows == 1 else 2.4 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        panels = grid.ravel()
        for axes in panels[len(found) :]:
            axes.remove()
        for axes, (arm, pairs) in zip(panels, found, strict=False):
            for i, (gamma, hidden) in enumerate(pairs.values()):
                progress = np.linspace(0.25, 1.0, len(gamma))
                colour, marker = look[arm.name].colour, "osD^v"[i % 5]
                axes.scatter(gamma, hidden, s=18, c=colour, alpha=progress, marker=marker, linewidths=0)
            axes.set(xscale="log", yscale="log")
            axes.set_title(f"{arm.label}   ρ = {_signed_text(mean_rank_correlation(pairs))}", color=look[arm.name].colour)
            plain_log(axes, "xy")
            quiet_grid(axes, "both")
        for axes in panels[max(0, len(found) - columns) : len(found)]:
            axes.set_xlabel("held-out residual on Γ")
            axes.tick_params(labelbottom=True)
        for axes in grid[:, 0]:
            axes.set_ylabel("hidden error (NMSE)")
    return figure


def residual_bands(run: RunFolder) -> "Figure | None":
    """Draw the relative residual energy per radial band of k-space: the median over the scans shown, one line for each arm."""
    residuals = run.images.kspace_residual if run.images else {}
    arms = [arm for arm in run.arms if arm.name in residuals and np.isfinite(residuals[arm.name]).any()]
    if not arms:
        return None
    look = looks(run)
    with styled():
        figure = new_figure(5.4, 3.2)
        axes = figure.subplots()
        for arm in arms:
            values = np.atleast_2d(residuals[arm.name]).astype(float)
            known = np.isfinite(values).any(axis=0)
            median = np.full(values.shape[1], np.nan)
            median[known] = np.nanmedian(values[:, known], axis=0)
            centres = (np.arange(len(median)) + 0.5) / len(median)
            style = look[arm.name]
            axes.plot(centres, median, color=style.colour, linestyle=style.dashes, marker=style.marker, markersize=3, linewidth=1.4)
        of = "withheld" if run.images is not None and run.images.reference is not None else "acquired"
        axes.axhline(1, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.annotate(
            "nothing predicted", (1, 1), (-2, 6), ("axes fraction", "data"), "offset points", ha="right", color=FAINT, fontsize=6.5
        )
        axes.set(
            xlabel="distance from the centre of k-space / largest", ylabel=f"residual / energy of {of} samples", yscale="log", xlim=(0, 1)
        )
        plain_log(axes)
        quiet_grid(axes)
        legend(figure, arms, look)
    return figure


def validation_pairs(run: RunFolder, arm: Arm) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, by seed, Gamma scores and hidden NMSE of the validations that have both, without the untrained network's (step 0)."""
    pairs = {}
    for seed, columns in run.history(arm).items():
        both = np.isfinite(columns["gamma"]) & np.isfinite(columns["hidden_nmse"]) & (columns["step"] > 0)
        if both.sum() >= 2:
            pairs[seed] = (columns["gamma"][both], columns["hidden_nmse"][both])
    return pairs


def mean_rank_correlation(pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> float:
    """Return Spearman's rank correlation of each training, averaged over trainings.

    A training in which either score is constant does not count; where none counts the result is NaN.
    """
    from scipy.stats import spearmanr

    correlations = [float(spearmanr(*pair).statistic) for pair in pairs.values() if all(np.ptp(scores) > 0 for scores in pair)]
    return float(np.mean(correlations)) if correlations else float("nan")


def in_noise_units(histories: Any) -> bool:
    """Tell whether the Gamma scores of every training are multiples of the noise variance, whose floor is 1: ``gamma_floor`` says so.

    Runs from before that was written down do not say it. There scores that all lie above .9 are taken for multiples, as relative residuals
    of a trained network mostly lie below.
    """
    validated = [history for seeds in histories for history in seeds.values() if np.isfinite(history["gamma"]).any()]
    if any("gamma_floor" in history for history in validated):
        return all(bool((history.get("gamma_floor", np.array(np.nan)) == 1).all()) for history in validated)
    return bool(validated) and min(np.nanmin(history["gamma"]) for history in validated) > 0.9


def save(figure: "Figure", path: Path) -> Path:
    """Write a figure in the format that the suffix names: svg, png or pdf. Raises BadInput for another."""
    writers = {".svg": lambda f: to_svg(f).encode(), ".png": to_png, ".pdf": to_pdf}
    if path.suffix.lower() not in writers:
        raise BadInput(path, found=f"the suffix {path.suffix!r}", expected="one of " + ", ".join(writers))
    with whole_file(path) as partial:
        partial.write_bytes(writers[path.suffix.lower()](figure))
    return path


def _has_values(history: dict[str, dict[str, np.ndarray]], key: str) -> bool:
    return any(np.isfinite(columns[key]).any() for columns in history.values())


def _draw_curve(axes: "Axes", columns: dict[str, np.ndarray], key: str, look: Look, selected: dict[Selection, float]) -> None:
    steps, values = columns["step"], columns[key]
    # The untrained network's score would set the scale of the whole panel.
    known = np.isfinite(steps) & np.isfinite(values) & (steps > 0) & (values > 0)
    alone = "o" if known.sum() == 1 else ""
    axes.plot(steps[known], values[known], color=look.colour, linestyle=look.dashes, marker=alone, markersize=3, linewidth=1.1, alpha=0.85)
    if key == "loss":
        return
    for rule, filled in ((Selection.REFERENCE, False), (Selection.GAMMA, True)):
        at = known & (steps == selected.get(rule, -1))
        face, size = (look.colour, 20) if filled else ("none", 46)
        axes.scatter(steps[at], values[at], s=size, facecolors=face, edgecolors=look.colour, linewidths=1.0, zorder=3)


def _selected_steps(arm: Arm, seed: str) -> dict[Selection, float]:
    steps = arm.seeds.get(seed, {}).get("selected_step") or {}
    return {rule: float(steps[rule]) for rule in TRAINED if isinstance(steps.get(rule), (int, float))}


def _selection_marks() -> Sequence[tuple[Any, str]]:
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"linestyle": "none", "color": FAINT}
    dot = Line2D([], [], marker="o", markersize=4.5, **style)
    ring = Line2D([], [], marker="o", markersize=7, markerfacecolor="none", **style)
    return (dot, "chosen by Γ"), (ring, "would be chosen by the reference")


def plain_log(axes: "Axes", which: str = "y") -> None:
    """Write numbers, not powers of ten, on a logarithmic axis that seldom spans two decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        low, high = sorted(axis.get_view_interval())
        span = high / low if low > 0 else float("inf")
        if span < 5:
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        else:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 30 else (1,), numticks=8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axis.set_minor_formatter(NullFormatter())


def _signed_text(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−") if np.isfinite(value) else "—"
