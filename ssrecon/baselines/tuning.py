"""Tuning a baseline over a grid whose optimum may not lie on its edge."""

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch

from ssrecon.baselines.base import Baseline
from ssrecon.core.draw import Draw
from ssrecon.core.errors import BadInput
from ssrecon.core.progress import track
from ssrecon.core.scan import Estimate, Prepared
from ssrecon.metrics.nmse import nmse
from ssrecon.operators import coil_combined
from ssrecon.partition import Gamma, gamma_score

B = TypeVar("B", bound=Baseline)
Score = Callable[[Baseline, Prepared], float]


class EdgeWarning(UserWarning):
    """The best value still lies on the edge of the grid after all extensions: the baseline may be better than it is shown."""


@dataclass(frozen=True)
class Axis:
    """An axis holds the values at which one field of a baseline is tried, rising.

    `lowest` and `highest` are the ends of what makes sense: an optimum there is no edge (an unregularised solution is a valid one), and no
    extension goes past them.
    """

    values: tuple[float, ...]
    lowest: float | None = None
    highest: float | None = None

    def open_edge(self, value: float) -> int:
        """Return -1 or 1 where `value` is the first or last of several values and more might lie beyond, and else 0."""
        if len(self.values) < 2:
            return 0
        if value == self.values[0] and (self.lowest is None or value > self.lowest):
            return -1
        return int(value == self.values[-1] and (self.highest is None or value < self.highest))

    def extended(self, side: int) -> "Axis":
        """Return the axis with one more value on that side.

        It follows the ratio of the last two there (whole numbers stay whole), and lies no further than the end.
        """
        end, inner = (self.values[-1], self.values[-2]) if side > 0 else (self.values[0], self.values[1])
        # Next to a zero there is no ratio: halve or double.
        value = end * (end / inner if inner else 2.0**side)
        if all(isinstance(v, int) for v in self.values):
            value = max(round(value), end + 1) if side > 0 else min(round(value), end - 1)
        if self.highest is not None:
            value = min(value, self.highest)
        if self.lowest is not None:
            value = max(value, self.lowest)
        return replace(self, values=(*self.values, value) if side > 0 else (value, *self.values))


@dataclass(frozen=True)
class Trial:
    """A trial is one point of the grid: the values of the fields, and its score on each scan and on average."""

    values: Mapping[str, float]
    score: float
    per_scan: tuple[float, ...]


@dataclass(frozen=True)
class Tuned(Generic[B]):
    """The result of a tuning, with everything that was tried."""

    baseline: B
    score: float
    trials: tuple[Trial, ...]
    edges: tuple[str, ...] = ()
    """The fields whose chosen value still lies on the edge of the grid; empty when the optimum is inside."""
    extensions: int = 0

    def record(self) -> dict[str, Any]:
        """Return the tuning as JSON for ``run.json``."""
        chosen = {name: getattr(self.baseline, name) for name in self.trials[0].values}
        table = [{**trial.values, "score": trial.score, "per_scan": list(trial.per_scan)} for trial in self.trials]
        return {
            "baseline": type(self.baseline).__name__,
            "chosen": chosen,
            "score": self.score,
            "on_edge": list(self.edges),
            "extensions": self.extensions,
            "grid": table,
        }

    def table(self) -> str:
        """Return the grid as text, one point a line, the chosen one marked."""
        names = list(self.trials[0].values)
        lines = [" ".join(f"{name:>16}" for name in (*names, "score"))]
        for trial in self.trials:
            chosen = all(getattr(self.baseline, name) == value for name, value in trial.values.items())
            lines.append(" ".join(f"{value:>16.6g}" for value in (*trial.values.values(), trial.score)) + (" <" if chosen else ""))
        return "\n".join(lines)


def tune(
    baseline: B, grid: Mapping[str, Axis], scans: Sequence[Prepared], score: Score, max_extensions: int = 6, tolerance: float = 1e-3
) -> Tuned[B]:
    """Find the point of the grid with the smallest mean score over the scans.

    `grid` maps field names of the baseline to axes; all combinations are tried. Where the best lies on an open edge, that axis is
    extended geometrically and the new points are tried, at most `max_extensions` times; then the result says so in `edges` and an
    `EdgeWarning` is given. A point inside the grid whose score is within `tolerance` (relative) of the best is taken instead of one on an
    edge: a solver that has converged gains nothing from more iterations, for ever. A score that is not finite counts as infinite.

    Raises BadInput for no scans, a field the baseline has not got, and where no point has a finite score.
    """
    unknown = set(grid) - set(vars(baseline))
    if unknown or not grid or not scans:
        found = f"no field {sorted(unknown)[0]!r}" if unknown else f"{len(grid)} axes and {len(scans)} scans"
        raise BadInput(f"tuning of {type(baseline).__name__}", found=found, expected="fields of the baseline and at least one scan")
    axes, extensions = dict(grid), 0
    trials: dict[tuple[float, ...], Trial] = {}
    while True:
        _score_new_points(baseline, axes, scans, score, trials)
        best = _best_trial(axes, trials, tolerance)
        edges = {name: side for name, axis in axes.items() if (side := axis.open_edge(best.values[name]))}
        if not edges or extensions == max_extensions:
            break
        axes = {name: axis.extended(edges[name]) if name in edges else axis for name, axis in axes.items()}
        extensions += 1
    if edges:
        text = f"{type(baseline).__name__}: the best {', '.join(edges)} ({best.values}) is on the grid's edge after {extensions} extensions"
        warnings.warn(text, EdgeWarning, stacklevel=2)
    rows = tuple(trials[key] for key in sorted(trials))
    return Tuned(_with_values(baseline, best.values), best.score, rows, tuple(edges), extensions)


def _score_new_points(
    baseline: Baseline, axes: Mapping[str, Axis], scans: Sequence[Prepared], score: Score, trials: dict[tuple[float, ...], Trial]
) -> None:
    points = [point for point in itertools.product(*(axis.values for axis in axes.values())) if point not in trials]
    for point in track(points, f"Tuning {type(baseline).__name__}"):
        values = dict(zip(axes, point, strict=True))
        candidate = _with_values(baseline, values)
        with torch.inference_mode():
            scores = tuple(float(score(candidate, scan)) for scan in scans)
        mean = sum(scores) / len(scores)
        trials[point] = Trial(values, mean if math.isfinite(mean) else math.inf, scores)


def _with_values(baseline: B, values: Mapping[str, float]) -> B:
    return replace(baseline, **values)  # type: ignore[type-var]


def _best_trial(axes: Mapping[str, Axis], trials: Mapping[tuple[float, ...], Trial], tolerance: float) -> Trial:
    best = min(trials.values(), key=lambda trial: trial.score)
    if not math.isfinite(best.score):
        raise BadInput("tuning", found="no point of the grid with a finite score", expected="scans and a score that the baseline can meet")
    inside = [t for t in trials.values() if not any(axis.open_edge(t.values[name]) for name, axis in axes.items())]
    close = [trial for trial in inside if trial.score <= best.score * (1 + tolerance)]
    return min(close, key=lambda trial: trial.score) if close else best


def reference_nmse(baseline: Baseline, scan: Prepared) -> float:
    r"""Return the score by the reference, :math:`\||x| - |x_{ref}|\|^2 / \|x_{ref}\|^2`, with :math:`x_{ref} = E^H y` of the fully sampled
    scan.

    To the baseline's advantage, for comparisons that have references anyway. Raises BadInput for a scan without one.
    """
    if scan.reference is None:
        raise BadInput(scan.scan.ids[0], found="no reference", expected="a fully sampled scan, or tuning by Gamma")
    return nmse(baseline.reconstruct(scan.scan).magnitude, Estimate(coil_combined(scan.reference)).magnitude)


@dataclass(frozen=True)
class HeldOutResidual:
    """The score without a reference reconstructs without Gamma, and compares the prediction with what was measured on Gamma.

    It is in units of the noise, with floor 1 (see `metrics.heldout_residual`). Gamma is the same for every point of the grid.
    """

    gamma: Gamma
    draw: Draw
    relative: bool = False
    """The score is relative to the data even where the noise is known: for a mean over scans of which it is not known for all."""

    def __call__(self, baseline: Baseline, scan: Prepared) -> float:
        judged = replace(scan.scan, noise_std=None) if self.relative else scan.scan
        score, _ = gamma_score(baseline, judged, self.gamma.hold_out(judged, self.draw))
        return float(score.mean())
