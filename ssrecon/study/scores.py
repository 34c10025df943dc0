"""A run's scores are arranged here as its report needs them: which measures there are, which one leads, and their statistics."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ssrecon.core.errors import BadInput
from ssrecon.recipe.selection import TRAINED, Selection
from ssrecon.study.run_folder import Arm, RunFolder
from ssrecon.study.statistics import Measure, NonInferiority, PairedDifference, Summary, by_subject, compare, non_inferiority, summarise

T = TypeVar("T")
P = ParamSpec("P")
METRICS = ("nmse", "nrmse", "psnr", "ssim", "hfen")
"""The columns of a table stand in this order."""
DIGITS = {"psnr": 2, "ssim": 4, "nmse": 4, "nrmse": 4, "hfen": 3, "residual": 3}
TITLES = {"psnr": "PSNR", "ssim": "SSIM", "nmse": "NMSE", "nrmse": "NRMSE", "hfen": "HFEN", "residual": "residual"}
TESTED = ("psnr", "ssim")
"""Paired differences are tested in these metrics; they are few, as each of them weakens all the others after Holm's correction."""


def is_quality(measure: Measure) -> bool:
    """Tell whether a better value means a better image. It does not for the residual of samples that the methods were given."""
    return not (measure.metric == "residual" and measure.convention.startswith("acquired"))


@dataclass(frozen=True)
class Scores:
    """Scores are statistics over the subjects of one run. What cannot be computed is None, and the reason is kept in `left_out`."""

    run: RunFolder

    @cached_property
    def left_out(self) -> list[str]:
        return []

    @cached_property
    def _rows(self) -> Mapping[tuple[str, str], list[dict[str, Any]]]:
        """These are the rows by metric and convention, as statistics go through all rows that they are given, over and over."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.run.metrics:
            found[row["metric"], row["convention"]].append(row)
        return dict(found)

    @cached_property
    def conventions(self) -> tuple[str, ...]:
        """These are the conventions of the metrics that need a reference, the leading one first: fastMRI's where it is there."""
        names = list(dict.fromkeys(convention for metric, convention in self._rows if metric in METRICS))
        return tuple(sorted(names, key=lambda name: name != "fastmri"))

    def metrics(self, convention: str) -> tuple[str, ...]:
        return tuple(metric for metric in METRICS if (metric, convention) in self._rows)

    @cached_property
    def residuals(self) -> tuple[str, ...]:
        """These are the conventions of the residual, which needs no reference image; held-out samples come first."""
        rank = {"gamma": 0, "withheld": 1, "acquired": 2}
        names = [convention for metric, convention in self._rows if metric == "residual"]
        return tuple(sorted(names, key=lambda name: rank.get(name.split(",")[0], 3)))

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """These are the columns of the main table, for the checkpoints of the headline's rule.

        They are the metrics of the leading convention, or, without any reference, the residuals.
        """
        selection = self.run.headline_selection
        if self.conventions:
            leading = self.conventions[0]
            return tuple(Measure(metric, leading, selection) for metric in self.metrics(leading))
        return tuple(Measure("residual", name, selection) for name in self.residuals)

    def main_measure(self, metric: str) -> Measure | None:
        """Return the measure of one metric in the main table, or None where it has none."""
        return next((measure for measure in self.measures if measure.metric == metric), None)

    def selections(self, arm: Arm) -> tuple[Selection, ...]:
        """Return the selection rules that an arm has values for, the headline's first."""
        found = {row["selection"] for row in self.run.metrics if row["arm"] == arm.name}
        return tuple(sorted(found, key=lambda rule: (rule != self.run.headline_selection, rule)))

    @cached_property
    def scored(self) -> tuple[Arm, ...]:
        """These are the arms that have any value."""
        names = {row["arm"] for row in self.run.metrics}
        return tuple(arm for arm in self.run.arms if arm.name in names)

    @cached_property
    def subjects(self) -> int:
        return len({row["subject"] for row in self.run.metrics})

    @cached_property
    def supervised(self) -> Arm | None:
        return next((arm for arm in self.scored if arm.is_supervised), None)

    @cached_property
    def self_supervised(self) -> tuple[Arm, ...]:
        return tuple(arm for arm in self.scored if arm.is_self_supervised)

    def best_baseline(self, measure: Measure) -> Arm | None:
        """Return the baseline with the best mean, which a claim of improvement has to beat."""
        baselines = [arm for arm in self.scored if not arm.is_network]
        summaries = [(arm, found) for arm in baselines if (found := self.summary(arm, measure)) is not None]
        return max(summaries, key=lambda pair: measure.sign * pair[1].mean)[0] if summaries else None

    def summary(self, arm: Arm, measure: Measure) -> Summary | None:
        return self._computed_or_none(summarise, self._rows_of(measure), arm.name, measure)

    def subject_values(self, arm: Arm, measure: Measure) -> dict[str, float]:
        """Return each subject's mean over seeds. There are none where the arm has no values."""
        values = self._computed_or_none(by_subject, self._rows_of(measure), arm.name, measure) or {}
        return {subject: sum(seeds.values()) / len(seeds) for subject, seeds in values.items()}

    @cached_property
    def differences(self) -> tuple[PairedDifference, ...]:
        """Every self-supervised arm (without any, the supervised one) is compared with all others in all tested metrics, as one family.

        A pair that cannot be compared is left out before the family is formed.
        """
        compared = self.self_supervised or tuple(arm for arm in (self.supervised,) if arm is not None)
        others = [arm for arm in reversed(self.scored) if arm not in compared]
        measures = [measure for metric in TESTED if (measure := self.main_measure(metric)) is not None]
        measures = measures or [measure for measure in self.measures[:1] if is_quality(measure)]
        rows = [row for measure in measures for row in self._rows_of(measure)]
        pairs = [(arm.name, other.name) for other in others for arm in compared]
        sound = [pair for pair in pairs if self._computed_or_none(compare, rows, [pair], measures) is not None]
        return tuple(self._computed_or_none(compare, rows, sound, measures) or ()) if sound and measures else ()

    def difference(self, arm: Arm, versus: Arm, measure: Measure) -> PairedDifference | None:
        return next((d for d in self.differences if (d.arm, d.versus, d.measure) == (arm.name, versus.name, measure)), None)

    @cached_property
    def non_inferiorities(self) -> tuple[NonInferiority, ...]:
        """Every self-supervised arm is held against the supervised result, in each metric with a margin and by each rule of selection."""
        if (twin := self.supervised) is None:
            return ()
        rules = [rule for rule in self.selections(twin) if rule in TRAINED]
        leads = [(lead, margin) for metric, margin in self.margins.items() if (lead := self.main_measure(metric)) is not None]
        found = []
        for arm in self.self_supervised:
            for lead, margin in leads:
                for measure in (Measure(lead.metric, lead.convention, rule) for rule in rules):
                    found.append(self._computed_or_none(non_inferiority, self._rows_of(measure), arm.name, twin.name, measure, margin))
        return tuple(result for result in found if result is not None)

    @cached_property
    def assay_sensitivity(self) -> bool:
        """This says whether supervised training beats the best baseline by more than two standard errors.

        A twin that learned nothing is easily equalled, and not to be inferior to it means nothing (ICH E10, section 1.5).
        """
        lead, twin = self.main_measure("psnr"), self.supervised
        baseline = self.best_baseline(lead) if lead is not None else None
        if lead is None or twin is None or baseline is None:
            return True
        supervised, best = self.subject_values(twin, lead), self.subject_values(baseline, lead)
        gaps = [lead.sign * (supervised[subject] - best[subject]) for subject in supervised if subject in best]
        error = float(np.std(gaps, ddof=1)) / len(gaps) ** 0.5 if len(gaps) > 1 else 0.0
        return bool(gaps) and float(np.mean(gaps)) > 2 * error

    @property
    def margins(self) -> dict[str, float]:
        """These are the margins of non-inferiority by metric, as written down before the run."""
        return {k: float(v) for k, v in self.run.section("margins").items() if isinstance(v, (int, float)) and v > 0}

    def _rows_of(self, measure: Measure) -> list[dict[str, Any]]:
        return self._rows.get((measure.metric, measure.convention), [])

    def _computed_or_none(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
        try:
            return function(*arguments, **options)
        except BadInput as error:
            if str(error) not in self.left_out:
                self.left_out.append(str(error))
            return None
