"""These figures show scores: each subject in each arm, the differences to supervised training, and the grids of the baselines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssrecon.study.figures import WIDTH, plain_log
from ssrecon.study.run_folder import RunFolder
from ssrecon.study.scores import TITLES, Scores
from ssrecon.study.style import FAINT, INK, looks, new_figure, quiet_grid, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ssrecon.study.statistics import Measure


def subject_scores(run: RunFolder) -> "Figure | None":
    """Draw every subject as a line through all arms, with their means and intervals; beside it the differences to supervised training."""
    scores = Scores(run)
    measures = [m for m in (scores.main_measure("psnr"), scores.main_measure("ssim")) if m is not None] or list(scores.measures[:1])
    if not measures or scores.subjects < 2:
        return None
    forest = scores.supervised is not None and bool(scores.self_supervised) and scores.main_measure("psnr") is not None
    with styled():
        figure = new_figure(WIDTH if forest else 7.0, 2.9 if len(scores.scored) <= 8 else 3.6)
        ratios = [1.0] * len(measures) + ([1.15] if forest else [])
        panels = np.ravel(figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios))
        for axes, measure in zip(panels, measures, strict=False):
            _draw_subjects(axes, scores, measure)
        if forest:
            _draw_differences(panels[-1], scores)
    return figure


def tuning_grids(run: RunFolder) -> "Figure | None":
    """Draw the score that each baseline was tuned by over its grid, with a ring at the chosen point. A second parameter gives lines."""
    found = [(arm, grid) for arm in run.arms if len(grid := tuning(run.section("baselines").get(arm.name, {}))) > 1]
    if not found:
        return None
    look = looks(run)
    with styled():
        figure = new_figure(min(WIDTH, 3.3 * len(found) + 0.3), 2.5)
        for axes, (arm, grid) in zip(np.ravel(figure.subplots(1, len(found), squeeze=False)), found, strict=True):
            record = run.section("baselines")[arm.name]
            _draw_tuning(axes, grid, record.get("chosen") or {}, look[arm.name].colour)
            axes.set(ylabel=str(record.get("tuned_by") or "score").split(",")[0])
            axes.set_title(arm.label, color=look[arm.name].colour)
            quiet_grid(axes)
    return figure


def tuning(record: Any) -> list[dict[str, float]]:
    """Return the points of a baseline's grid, each with its numeric parameters and its `score`."""
    points = record.get("tuning") or record.get("grid") or [] if isinstance(record, Mapping) else []
    kept = [{k: float(v) for k, v in point.items() if isinstance(v, (int, float))} for point in points if isinstance(point, Mapping)]
    return [point for point in kept if np.isfinite(point.get("score", np.nan))]


def _draw_subjects(axes: "Axes", scores: Scores, measure: "Measure") -> None:
    look = looks(scores.run)
    arms = [arm for arm in scores.scored if scores.subject_values(arm, measure)]
    values = [scores.subject_values(arm, measure) for arm in arms]
    for subject in sorted({name for of_subjects in values for name in of_subjects}):
        line = [of_subjects.get(subject, np.nan) for of_subjects in values]
        axes.plot(range(len(arms)), line, color=FAINT, alpha=0.4, linewidth=0.6, zorder=1)
    for i, (arm, of_subjects) in enumerate(zip(arms, values, strict=True)):
        colour, summary = look[arm.name].colour, scores.summary(arm, measure)
        axes.scatter([i] * len(of_subjects), list(of_subjects.values()), s=9, color=colour, alpha=0.5, linewidths=0, zorder=2)
        if summary is not None:
            if summary.interval is not None:
                axes.plot([i + 0.22] * 2, [summary.interval.lower, summary.interval.upper], color=colour, linewidth=2.2, zorder=3)
            axes.scatter([i + 0.22], [summary.mean], s=26, marker="D", color=colour, edgecolors="white", linewidths=0.6, zorder=4)
    # Many labels are upright, so that none runs into its neighbour.
    axes.set_xticks(
        range(len(arms)), [arm.label for arm in arms], rotation=32 if len(arms) <= 8 else 90, ha="right", rotation_mode="anchor"
    )
    if len(arms) > 8:
        for text in axes.get_xticklabels():
            text.set_verticalalignment("center")
    axes.set(title=_measure_title(measure), xlim=(-0.4, len(arms) - 0.4))
    quiet_grid(axes)


def _draw_differences(axes: "Axes", scores: Scores) -> None:
    """Draw, in dB, how much better than supervised training each arm is. Negative is worse; what lies within the margin is shaded."""
    lead, twin = scores.main_measure("psnr"), scores.supervised
    if lead is None or twin is None:
        return
    look, margin = looks(scores.run), scores.margins.get("psnr")
    rows = [(arm, d) for arm in scores.self_supervised if (d := scores.difference(arm, twin, lead)) is not None]
    for i, (arm, difference) in enumerate(rows):
        colour, y = look[arm.name].colour, len(rows) - 1 - i
        arm_values, supervised_values = scores.subject_values(arm, lead), scores.subject_values(twin, lead)
        gaps = [arm_values[s] - supervised_values[s] for s in arm_values if s in supervised_values]
        axes.scatter(gaps, [y - 0.2] * len(gaps), s=9, color=colour, alpha=0.5, linewidths=0)
        if difference.interval is not None:
            axes.plot([difference.interval.lower, difference.interval.upper], [y, y], color=colour, linewidth=2.2)
        axes.scatter([difference.mean], [y], s=26, marker="D", color=colour, edgecolors="white", linewidths=0.6, zorder=3)
    axes.axvline(0, color=INK, linewidth=0.8)
    if margin:
        axes.axvspan(-margin, 0, color=FAINT, alpha=0.16, linewidth=0)
        axes.axvline(-margin, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.annotate(
            f"margin −{margin:g} dB", (-margin, 1), (3, -2), ("data", "axes fraction"), "offset points", va="top", color=FAINT, fontsize=6.5
        )
    axes.set_yticks(range(len(rows)), [arm.label for arm, _ in reversed(rows)])
    axes.set(title=f"PSNR minus {twin.label.lower() if twin.label == 'Supervised' else twin.label}, dB", ylim=(-0.55, len(rows) - 0.3))
    axes.margins(x=0.12)
    quiet_grid(axes, "x")


def _draw_tuning(axes: "Axes", grid: Sequence[Mapping[str, float]], chosen: Mapping[str, Any], colour: str) -> None:
    names = [name for name in grid[0] if name != "score"]
    # The parameter with most values runs along the axis; the others make one line each.
    names.sort(key=lambda name: -len({point.get(name) for point in grid}))
    along, others = names[0], names[1:]
    lines: dict[tuple[float | None, ...], list[Mapping[str, float]]] = {}
    for point in sorted(grid, key=lambda p: p.get(along, 0.0)):
        lines.setdefault(tuple(point.get(name) for name in others), []).append(point)
    for i, (values, points) in enumerate(sorted(lines.items(), key=lambda item: tuple(value or 0.0 for value in item[0]))):
        label = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in zip(others, values, strict=True) if value is not None)
        alpha = 1.0 if len(lines) == 1 else 0.35 + 0.65 * i / (len(lines) - 1)
        xs, ys = [p.get(along, np.nan) for p in points], [p["score"] for p in points]
        axes.plot(xs, ys, color=colour, alpha=alpha, linewidth=1.2, marker="o", markersize=2.8, label=label or None)
    best = [p for p in grid if all(isinstance(chosen.get(n), (int, float)) and np.isclose(p.get(n, np.nan), chosen[n]) for n in names)]
    for point in best[:1]:
        axes.scatter([point[along]], [point["score"]], s=70, facecolors="none", edgecolors=INK, linewidths=1.0, zorder=3)
    places = sorted({p[along] for p in grid if along in p})
    positive = [place for place in places if place > 0]
    if positive and positive[-1] / positive[0] >= 8:
        # A grid that starts at zero has no place for it on a logarithmic axis.
        with_zero = len(positive) < len(places)
        axes.set_xscale("symlog" if with_zero else "log", **({"linthresh": positive[0]} if with_zero else {}))
    axes.set(xlabel=along.replace("_", " "), yscale="log")
    plain_log(axes)
    shown = places[:: -(-len(places) // 7)]
    axes.set_xticks(shown, [f"{place:g}" for place in shown])
    axes.set_xticks([], minor=True)
    if any(others):
        axes.legend()


def _measure_title(measure: "Measure") -> str:
    unit = ", dB" if measure.metric == "psnr" else ""
    return TITLES[measure.metric] + unit + ("" if measure.metric != "residual" else f" ({measure.convention})")
