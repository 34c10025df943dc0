"""The sentence at the top of a report, and the few numbers beside it, are computed here from a run's scores."""

from dataclasses import dataclass
from html import escape

import numpy as np

from ssrecon.study.figures import in_noise_units, mean_rank_correlation, validation_pairs
from ssrecon.study.number_text import interval_text, number, signed
from ssrecon.study.run_folder import Arm
from ssrecon.study.scores import Scores, is_quality
from ssrecon.study.statistics import MINIMUM_SUBJECTS, Measure


@dataclass(frozen=True)
class KeyNumber:
    """A key number stands beside the headline with a caption that says what it is; both are HTML."""

    value: str
    caption: str


def headline(scores: Scores) -> str:
    """Return one or two sentences as HTML. They are about the first self-supervised arm of the recipe, not about the best one."""
    arm = _leading_arm(scores)
    if arm is None or not scores.measures:
        return "This run has no scores yet: what it holds so far is shown below."
    psnr = scores.main_measure("psnr")
    if psnr is None or scores.summary(arm, psnr) is None:
        return _sentences_without_reference(scores, arm)
    parts = []
    if scores.supervised is not None and arm is not scores.supervised:
        parts.append(_supervised_clause(scores, arm, scores.supervised, psnr))
    if (baseline := scores.best_baseline(psnr)) is not None and baseline is not arm:
        parts.append(_baseline_clause(scores, arm, baseline, psnr))
    compared = ": " + ", and ".join(parts) if parts else ""
    return _quality_clause(scores, arm, psnr) + compared + "." + _non_inferiority_sentence(scores, arm)


def key_numbers(scores: Scores) -> list[KeyNumber]:
    """Return at most four: quality, distance to supervised training and to the best baseline, and how well Gamma ranks checkpoints."""
    arm, psnr, found = _leading_arm(scores), scores.main_measure("psnr"), []
    if arm is not None and psnr is not None and (summary := scores.summary(arm, psnr)) is not None:
        found.append(KeyNumber(f"{summary.mean:.1f}<small> dB</small>", f"PSNR of {escape(arm.label)}"))
        for other in (scores.supervised, scores.best_baseline(psnr)):
            if other is not None and other is not arm and (gap := scores.difference(arm, other, psnr)) is not None:
                found.append(KeyNumber(f"{signed(gap.mean, 'psnr')}<small> dB</small>", f"against {escape(_name_in_sentence(other))}"))
    elif arm is not None:
        if (best := best_gamma(scores, arm)) is not None:
            found.append(KeyNumber(number(best[1], "residual"), f"lowest Γ score of {escape(arm.label)}"))
        for measure in scores.measures[:2]:
            if (summary := scores.summary(arm, measure)) is not None:
                found.append(KeyNumber(number(summary.mean, "residual"), f"its residual, {escape(measure.convention)}"))
    if arm is not None and (pairs := validation_pairs(scores.run, arm)):
        correlation = mean_rank_correlation(pairs)
        if correlation == correlation:
            found.append(KeyNumber(f"{correlation:.2f}".replace("-", "−"), "rank correlation of the Γ score with the hidden error"))
    return found


def _leading_arm(scores: Scores) -> Arm | None:
    arms = scores.self_supervised or tuple(arm for arm in (scores.supervised,) if arm is not None) or scores.scored[:1]
    return arms[0] if arms else None


def _quality_clause(scores: Scores, arm: Arm, psnr: Measure) -> str:
    summary, ssim = scores.summary(arm, psnr), scores.main_measure("ssim")
    similarity = scores.summary(arm, ssim) if ssim is not None else None
    how = (
        "Trained without a single fully sampled scan, "
        if arm.is_self_supervised
        else "Trained on fully sampled scans, "
        if arm.is_network
        else ""
    )
    quality = f"{number(summary.mean, 'psnr')}\u00a0dB PSNR" if summary is not None else ""
    quality += f" and {similarity.mean:.3f} SSIM" if similarity is not None else ""
    people = f"{scores.subjects} test subject{'s' if scores.subjects != 1 else ''}"
    return f"{how}<b>{escape(arm.label)}</b> reaches {quality} on {people}"


def _supervised_clause(scores: Scores, arm: Arm, twin: Arm, psnr: Measure) -> str:
    gap = scores.difference(arm, twin, psnr)
    if gap is None:
        return "not comparable with supervised training on the same subjects"
    interval = f" (95 % interval of the difference {interval_text(gap.interval, 'psnr')})" if gap.interval is not None else ""
    side = "below" if gap.mean < 0 else "above"
    return f"{number(abs(gap.mean), 'psnr')}\u00a0dB {side} {escape(_name_in_sentence(twin))}{interval}"


def _baseline_clause(scores: Scores, arm: Arm, baseline: Arm, psnr: Measure) -> str:
    arm_summary, baseline_summary = scores.summary(arm, psnr), scores.summary(baseline, psnr)
    gap = arm_summary.mean - baseline_summary.mean if arm_summary is not None and baseline_summary is not None else 0.0
    several = len([other for other in scores.scored if not other.is_network]) > 1
    best = ", the best classical method here" if several else ""
    return f"{number(abs(gap), 'psnr')}\u00a0dB {'below' if gap < 0 else 'above'} {escape(baseline.label)}{best}"


def _non_inferiority_sentence(scores: Scores, arm: Arm) -> str:
    if scores.subjects < MINIMUM_SUBJECTS:
        return f" With {scores.subjects} subject{'s' if scores.subjects != 1 else ''} these figures are descriptive: nothing was tested."
    judged = [n for n in scores.non_inferiorities if n.arm == arm.name and n.measure.selection == scores.run.headline_selection]
    tested = [n for n in judged if n.verdict is not None]
    if not tested:
        return ""
    margins = " and ".join(f"{n.margin:g}{' dB PSNR' if n.measure.metric == 'psnr' else ' ' + n.measure.metric.upper()}" for n in tested)
    if all(n.verdict for n in tested) and not scores.assay_sensitivity:
        return (
            " By the margins it would count as not inferior to supervised training; but that itself does not beat the best classical method"
            " here, so there is nothing to be inferior to (the comparison has no assay sensitivity): train longer, or on more."
        )
    if all(n.verdict for n in tested):
        return f" It is not inferior to supervised training by the margins of {margins} that were written down before the run."
    failed = " and ".join(n.measure.metric.upper() for n in tested if not n.verdict)
    return f" Non-inferiority to supervised training is not shown in {failed}, for the margins of {margins} written down before the run."


def _sentences_without_reference(scores: Scores, arm: Arm) -> str:
    parts = ["There is no truth for these measurements: methods are judged by how well their images predict measured samples."]
    if (best := best_gamma(scores, arm)) is not None:
        first, lowest = (number(value, "residual") for value in best)
        floor = "; the noise alone gives 1" if in_noise_units([scores.run.history(arm)]) else ""
        parts.append(f"On samples that it never saw (Γ), <b>{escape(arm.label)}</b> came from a residual of {first} to {lowest}{floor}.")
    measure = scores.measures[0]
    summary, baseline = scores.summary(arm, measure), scores.best_baseline(measure)
    if is_quality(measure) and summary is not None:
        sentence = f"Its residual on the test scans is {number(summary.mean, 'residual')} ({escape(measure.convention)})"
        if baseline is not None and (other := scores.summary(baseline, measure)) is not None:
            sentence += f", that of {escape(baseline.label)} {number(other.mean, 'residual')}"
        parts.append(sentence + ".")
    return " ".join(parts)


def best_gamma(scores: Scores, arm: Arm) -> tuple[float, float] | None:
    """Return the Gamma score of the first validation and the lowest one, as means over seeds, or None where nothing was validated."""
    columns = [history["gamma"][np.isfinite(history["gamma"])] for history in scores.run.history(arm).values()]
    columns = [column for column in columns if len(column)]
    return (float(np.mean([c[0] for c in columns])), float(np.mean([c.min() for c in columns]))) if columns else None


def _name_in_sentence(arm: Arm) -> str:
    return "its supervised twin" if arm.is_supervised else arm.label
