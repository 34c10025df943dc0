"""The tidy rows of ``metrics.csv`` become statements about people here: the subject is the unit.

Slices and volumes of one subject are not independent, and seeds are not people: values are averaged within a subject (volumes, then
seeds) before anything is compared, subjects are what is resampled, and the spread between seeds stands on its own. With fewer than
`MINIMUM_SUBJECTS` subjects figures are descriptive: no p-values, no verdicts.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ssrecon.core.errors import BadInput
from ssrecon.metrics.volume import HIGHER_IS_BETTER
from ssrecon.recipe.selection import Selection
from ssrecon.study.intervals import interval, lower_bound

MINIMUM_SUBJECTS = 6
"""With fewer subjects the smallest two-sided p-value of the signed-rank test, 2 / 2^n, is above .05."""
Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Measure:
    """A measure is what is compared: one metric in one convention, of the checkpoints that one rule selected."""

    metric: str
    convention: str = "fastmri"
    selection: Selection = Selection.GAMMA
    """The rule that selected the checkpoints of trained arms. Arms without one (baselines: `Selection.NONE`) are taken as they are."""

    @staticmethod
    def truest(metric: str, rows: Rows) -> "Measure":
        """Return the measure against the noiseless image where the archive was simulated, else against the reference."""
        noiseless = any("reference=noiseless" in row["convention"] for row in rows)
        return Measure(metric, "fastmri, reference=noiseless" if noiseless else "fastmri")

    @property
    def sign(self) -> int:
        """This is 1 where higher is better, and -1 where lower is."""
        return 1 if HIGHER_IS_BETTER.get(self.metric, False) else -1


@dataclass(frozen=True)
class Interval:
    """An interval is one over subjects, made by `ssrecon.study.intervals`."""

    lower: float
    upper: float
    level: float = 0.95


@dataclass(frozen=True)
class Summary:
    """A summary of one arm has the mean over subjects of each subject's mean over seeds."""

    arm: str
    measure: Measure
    subjects: int
    seeds: int
    mean: float
    interval: Interval | None
    """The 95 % interval of the mean; None for a single subject."""
    subject_std: float
    """Sample standard deviation between subjects; NaN for one."""
    seed_std: float
    """Sample standard deviation between seeds of the cohort's mean; NaN for one seed."""
    descriptive: bool


@dataclass(frozen=True)
class PairedDifference:
    """A paired difference is `arm` minus `versus` on the same subjects."""

    arm: str
    versus: str
    measure: Measure
    subjects: int
    mean: float
    interval: Interval | None
    better: int
    """The number of subjects for whom `arm` is the better one."""
    p: float | None
    """The p-value of the two-sided Wilcoxon signed-rank test; None where figures are descriptive."""
    p_holm: float | None
    """The same, corrected by Holm's method over the family that was tested together."""

    @property
    def descriptive(self) -> bool:
        return self.p is None


@dataclass(frozen=True)
class NonInferiority:
    """This says whether `arm` is worse than `versus` by less than `margin`, in the metric's own unit, written down before the run."""

    arm: str
    versus: str
    measure: Measure
    subjects: int
    margin: float
    advantage: float
    """Mean over subjects of how much better `arm` is; negative where it is worse."""
    lower_bound: float | None
    """One-sided 95 % bound of `advantage`; None for a single subject."""
    verdict: bool | None
    """``lower_bound > -margin``; None where figures are descriptive."""

    @property
    def descriptive(self) -> bool:
        return self.verdict is None


def by_subject(rows: Rows, arm: str, measure: Measure) -> dict[str, dict[str, float]]:
    """Return values as ``{subject: {seed: value}}``, each the mean over the subject's volumes.

    A volume's own row (``scan`` empty) is its value; where there is none, the mean over its scans. Raises BadInput where the arm has no
    row for the measure, a value is not finite, a row is there twice, or a seed lacks a subject that another seed has.
    """
    rows_of_arm = [row for row in rows if (row["arm"], row["metric"], row["convention"]) == (arm, measure.metric, measure.convention)]
    chosen, untrained = ([row for row in rows_of_arm if row["selection"] == rule] for rule in (measure.selection, Selection.NONE))
    selected = chosen or untrained
    where = f"{arm}, {measure.metric} ({measure.convention}, selected by {measure.selection})"
    if not selected:
        raise BadInput(where, found="no row", expected="at least one row of metrics.csv")
    volumes: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for row in selected:
        value, scan = float(row["value"]), str(row["scan"] or "")
        scans = volumes[str(row["subject"]), "" if row["seed"] is None else str(row["seed"]), str(row["volume"])]
        if not math.isfinite(value):
            raise BadInput(where, found=f"{value} for {row['volume']} {scan}".strip(), expected="finite values")
        if scan in scans:
            raise BadInput(where, found=f"two rows for {row['volume']} {scan}".strip(), expected="one value a scan and seed")
        scans[scan] = value
    grouped: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (subject, seed, _), scans in sorted(volumes.items()):
        grouped[subject][seed].append(scans[""] if "" in scans else _mean(list(scans.values())))
    names = {seed for seeds in grouped.values() for seed in seeds}
    for subject, seeds in grouped.items():
        if missing := names - set(seeds):
            raise BadInput(where, found=f"no value of {subject} for seed {min(missing)}", expected="every subject in every seed")
    return {subject: {seed: _mean(values) for seed, values in seeds.items()} for subject, seeds in grouped.items()}


def summarise(rows: Rows, arm: str, measure: Measure, seed: int = 0) -> Summary:
    """Return mean, interval over subjects, and the two spreads of one arm. Raises BadInput as `by_subject`."""
    values = by_subject(rows, arm, measure)
    subjects = np.array([_mean(list(seeds.values())) for seeds in values.values()])
    per_seed: dict[str, list[float]] = defaultdict(list)
    for seeds in values.values():
        for name, value in seeds.items():
            per_seed[name].append(value)
    return Summary(
        arm,
        measure,
        len(subjects),
        len(per_seed),
        float(subjects.mean()),
        _interval_or_none(subjects, seed),
        _sample_std(subjects),
        _sample_std(np.array([_mean(values_of_seed) for values_of_seed in per_seed.values()])),
        len(subjects) < MINIMUM_SUBJECTS,
    )


def paired_difference(rows: Rows, arm: str, versus: str, measure: Measure, seed: int = 0) -> PairedDifference:
    """Return one comparison with its uncorrected p-value. Raises BadInput where the arms were not scored on the same subjects."""
    difference = _paired_differences(rows, arm, versus, measure)
    enough = len(difference) >= MINIMUM_SUBJECTS
    p = _wilcoxon(difference) if enough else None
    better = int((measure.sign * difference > 0).sum())
    return PairedDifference(
        arm,
        versus,
        measure,
        len(difference),
        float(difference.mean()),
        _interval_or_none(difference, seed),
        better,
        p,
        p if enough else None,
    )


def compare(rows: Rows, pairs: Sequence[tuple[str, str]], measures: Sequence[Measure], seed: int = 0) -> list[PairedDifference]:
    """Compare all pairs (arm, versus) in all measures, as one family: Holm's correction runs over everything that is tested here."""
    rows = list(rows)
    family = [paired_difference(rows, arm, versus, measure, seed) for measure in measures for arm, versus in pairs]
    tested = [i for i, difference in enumerate(family) if difference.p is not None]
    for i, corrected in zip(tested, holm([family[i].p or 0.0 for i in tested]), strict=True):
        family[i] = replace(family[i], p_holm=corrected)
    return family


def non_inferiority(rows: Rows, arm: str, versus: str, measure: Measure, margin: float, seed: int = 0) -> NonInferiority:
    """Judge whether `arm` is not worse than `versus` by `margin` or more, at one-sided 95 %. Both directions of a metric are handled.

    The bound is that of `ssrecon.study.intervals.lower_bound`. Where differences are skewed towards the worse its error is above the
    nominal 5 % (for six to ten exponential differences 8 to 9 %; of Student's t 14 to 15 %): docs/statistics.md has the table.

    Raises BadInput for a margin that is not positive and where the two arms were not scored on the same subjects.
    """
    if not margin > 0:
        raise BadInput(f"margin of {measure.metric}", found=repr(margin), expected="a positive number, written down before the run")
    advantage = measure.sign * _paired_differences(rows, arm, versus, measure)
    bound = lower_bound(advantage, seed) if len(advantage) > 1 else None
    verdict = None if bound is None or len(advantage) < MINIMUM_SUBJECTS else bound > -margin
    return NonInferiority(arm, versus, measure, len(advantage), margin, float(advantage.mean()), bound, verdict)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Return p-values corrected for their family: the i-th smallest of m times m - i + 1, made to rise, at most 1.

    Holm. A simple sequentially rejective multiple test procedure. Scand J Stat 6:65-70 (1979).
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _paired_differences(rows: Rows, arm: str, versus: str, measure: Measure) -> np.ndarray:
    rows = list(rows)
    first, second = by_subject(rows, arm, measure), by_subject(rows, versus, measure)
    if set(first) != set(second):
        apart = ", ".join(sorted(set(first) ^ set(second))[:5])
        raise BadInput(f"{arm} against {versus}", found=f"subjects that only one of them has ({apart})", expected="the same subjects")
    return np.array([_mean(list(first[s].values())) - _mean(list(second[s].values())) for s in sorted(first)])


def _wilcoxon(difference: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    # Without a single difference there is nothing to rank, and nothing to tell the arms apart.
    if not difference.any():
        return 1.0
    # Pratt's way keeps equal pairs in the ranking; scipy takes the exact distribution where there are no ties and the sample is small.
    return float(wilcoxon(difference, zero_method="pratt" if (difference == 0).any() else "wilcox").pvalue)


def _interval_or_none(values: np.ndarray, seed: int) -> Interval | None:
    return Interval(*interval(values, seed)) if len(values) > 1 else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _sample_std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
