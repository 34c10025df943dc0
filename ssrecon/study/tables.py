"""The tables of a report are written here, as HTML. Every text that comes from a file is escaped."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ssrecon.recipe.selection import Selection
from ssrecon.study.number_text import (
    MISSING,
    duration,
    interval_text,
    number,
    p_text,
    short_number,
    signed,
    spread_text,
    with_prefix,
    with_thin_spaces,
)
from ssrecon.study.run_folder import Arm, RunFolder
from ssrecon.study.scores import TITLES, Scores, is_quality
from ssrecon.study.statistics import Measure, PairedDifference, Summary
from ssrecon.study.style import looks

RULES = {Selection.GAMMA: "by Γ", Selection.REFERENCE: "by reference", Selection.NONE: "not trained"}


def scores_table(scores: Scores, measures: Sequence[Measure]) -> str:
    """Tabulate arms and selection rules against measures: means over subjects with 95 % intervals. The headline's rows are marked."""
    run, body = scores.run, []
    best = {m: _best_mean([scores.summary(arm, m) for arm in scores.scored], m) if is_quality(m) else None for m in measures}
    for arm in scores.scored:
        for rule in scores.selections(arm):
            headline = rule in (run.headline_selection, Selection.NONE)
            cells = [_arm_cell(run, arm) if headline else "<td></td>", _rule_cell(rule, headline and arm.is_network)]
            for measure in measures:
                summary = scores.summary(arm, Measure(measure.metric, measure.convention, rule))
                lead = headline and summary is not None and summary.mean == best[measure]
                cells.append(_summary_cell(summary, measure.metric, lead))
            body.append((("headline" if headline else "other"), cells))
    heads = ["method", "checkpoint", *(_measure_heading(measure) for measure in measures)]
    return _table(heads, body)


def differences_table(scores: Scores) -> str:
    """Tabulate paired differences: the mean over subjects, its interval, for how many subjects it is better, and Holm's p-value."""
    found = scores.differences
    measures = list(dict.fromkeys(d.measure for d in found))
    pairs = list(dict.fromkeys((d.arm, d.versus) for d in found))
    body = []
    for arm, versus in pairs:
        names = f"{_arm_label(scores.run, arm)} <span class='minus'>−</span> {_arm_label(scores.run, versus)}"
        cells = [f"<td>{_colour_dot(scores.run, arm)}{names}</td>"]
        for measure in measures:
            difference = next((d for d in found if (d.arm, d.versus, d.measure) == (arm, versus, measure)), None)
            cells.append(_difference_cell(difference))
        body.append(("", cells))
    return _table(["difference", *(_measure_heading(measure) for measure in measures)], body) if body else ""


def non_inferiority_table(scores: Scores) -> str:
    """Tabulate each self-supervised arm against supervised training, under both selection rules."""
    run, body = scores.run, []
    for result in scores.non_inferiorities:
        metric, headline = result.measure.metric, result.measure.selection == run.headline_selection
        verdict = {True: "not inferior", False: "not shown", None: "descriptive"}[result.verdict]
        style = {True: "yes", False: "no", None: "none"}[result.verdict]
        if result.verdict and not scores.assay_sensitivity:
            verdict, style = "says nothing: supervised does not beat the best baseline", "none"
        cells = [
            f"<td>{_colour_dot(run, result.arm)}{_arm_label(run, result.arm)} against {_arm_label(run, result.versus)}</td>",
            _rule_cell(result.measure.selection, headline),
            f"<td>{TITLES.get(metric, escape(metric))}</td>",
            _number_cell(signed(result.advantage, metric)),
            _number_cell(signed(result.lower_bound, metric) if result.lower_bound is not None else MISSING),
            _number_cell(f"−{result.margin:g}"),
            f"<td class='{style}'>{verdict}</td>",
        ]
        body.append(("headline" if headline else "other", cells))
    heads = ["comparison", "checkpoint", "metric", "mean advantage", "lower 95 % bound", "must exceed", "verdict"]
    return _table(heads, body) if body else ""


def cost_table(run: RunFolder) -> str:
    """Tabulate what each trained arm cost, as means over its seeds, and the steps that each rule selected."""
    body = []
    for arm in run.networks:
        seeds = list(arm.seeds.values())
        flops, updates = _mean_over_seeds(seeds, "flops_per_update"), _mean_over_seeds(seeds, "updates")
        total = flops * updates if flops is not None and updates is not None else None
        cells = [
            _arm_cell(run, arm),
            f"<td>{escape(arm.objective) or MISSING}</td>",
            _number_cell(f"{len(seeds)}"),
            _number_cell(with_thin_spaces(_mean_over_seeds(seeds, "parameters"))),
            _number_cell(with_thin_spaces(updates)),
            _number_cell(with_prefix(flops)),
            _number_cell(with_prefix(total)),
            _number_cell(duration(_mean_over_seeds(seeds, "seconds"))),
            _number_cell(_selected_steps_cell(seeds, Selection.GAMMA)),
            _number_cell(_selected_steps_cell(seeds, Selection.REFERENCE)),
        ]
        body.append(("", cells))
    heads = [
        "network",
        "objective",
        "seeds",
        "parameters",
        "updates",
        "FLOPs an update",
        "FLOPs in all",
        "time a seed",
        "step by Γ",
        "by reference",
    ]
    return _table(heads, body) if body else ""


def tuning_table(run: RunFolder) -> str:
    """Tabulate what was chosen for each baseline, over which grid, by which score."""
    body = []
    for arm in run.arms:
        record = run.section("baselines").get(arm.name)
        if arm.is_network or not isinstance(record, Mapping):
            continue
        grid = record.get("tuning") or record.get("grid") or []
        names = [name for name in (grid[0] if grid else {}) if name not in ("score", "per_scan")]
        values = record.get("chosen", {})
        chosen = ", ".join(f"{name.replace('_', ' ')} = {short_number(values.get(name))}" for name in names) or "nothing to tune"
        tried = "; ".join(
            f"{name.replace('_', ' ')}: " + ", ".join(short_number(v) for v in sorted({p.get(name, 0) for p in grid})) for name in names
        )
        edge = "on the grid's edge: it may do better than shown" if record.get("on_edge") else "inside the grid" if grid else ""
        by = str(record.get("tuned_by") or "") if grid else ""
        cells = [_arm_cell(run, arm), *(f"<td>{escape(text) or MISSING}</td>" for text in (chosen, tried, by, edge))]
        body.append(("", cells))
    return _table(["baseline", "chosen", "tried", "by", "optimum"], body) if body else ""


def pairs_table(pairs: Iterable[tuple[str, Any]]) -> str:
    """Tabulate names and values."""
    rows = "".join(f"<tr><th scope='row'>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in pairs)
    return f"<table class='pairs'><tbody>{rows}</tbody></table>" if rows else ""


def columns_table(first: str, columns: Mapping[str, str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Tabulate plain texts, one column for each key of `columns`, whose value is the heading."""
    body = []
    for name, values in rows:
        cells = [f"<td class='path'>{escape(name)}</td>", *(f"<td>{escape(value) or MISSING}</td>" for value in values)]
        body.append(("", cells))
    return _table([escape(first), *(escape(heading) for heading in columns.values())], body) if body else ""


def _table(heads: Sequence[str], body: Sequence[tuple[str, Sequence[str]]]) -> str:
    head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
    rows = "".join(f"<tr class='{style}'>{''.join(cells)}</tr>" for style, cells in body)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _measure_heading(measure: Measure) -> str:
    arrow = "" if not is_quality(measure) else "↑" if measure.sign > 0 else "↓"
    unit = ", dB" if measure.metric == "psnr" else ""
    extra = f"<br><small>{escape(measure.convention)}</small>" if measure.metric == "residual" else ""
    return f"{TITLES.get(measure.metric, escape(measure.metric))}{unit} <span class='arrow'>{arrow}</span>{extra}"


def _arm_label(run: RunFolder, name: str) -> str:
    return escape(next((arm.label for arm in run.arms if arm.name == name), name))


def _colour_dot(run: RunFolder, name: str) -> str:
    return f"<i class='dot' style='background:{looks(run)[name].colour}'></i>" if name in looks(run) else ""


def _arm_cell(run: RunFolder, arm: Arm) -> str:
    return f"<td class='arm'>{_colour_dot(run, arm.name)}{escape(arm.label)}</td>"


def _rule_cell(rule: Selection, headline: bool) -> str:
    return f"<td class='rule'>{RULES[rule]}{' <b class=tag>headline</b>' if headline else ''}</td>"


def _number_cell(text: str) -> str:
    return f"<td class='number'>{text}</td>"


def _summary_cell(summary: Summary | None, metric: str, lead: bool) -> str:
    if summary is None:
        return _number_cell(MISSING)
    mean = number(summary.mean, metric)
    spread = f"<br>seeds {spread_text(summary.seed_std, metric)}" if math.isfinite(summary.seed_std) else ""
    small = interval_text(summary.interval, metric) + spread
    return _number_cell(f"{f'<b>{mean}</b>' if lead else mean}<small>{small}</small>")


def _difference_cell(difference: PairedDifference | None) -> str:
    if difference is None:
        return _number_cell(MISSING)
    metric = difference.measure.metric
    p = p_text(difference.p_holm) if difference.p_holm is not None else "no test"
    lines = [interval_text(difference.interval, metric), f"{difference.better} of {difference.subjects} better · {p}"]
    return _number_cell(f"{signed(difference.mean, metric)}<small>{'<br>'.join(filter(None, lines))}</small>")


def _best_mean(summaries: Sequence[Summary | None], measure: Measure) -> float | None:
    means = [summary.mean for summary in summaries if summary is not None]
    return max(means, key=lambda mean: measure.sign * mean) if means else None


def _mean_over_seeds(seeds: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [float(seed[key]) for seed in seeds if isinstance(seed.get(key), (int, float))]
    return sum(values) / len(values) if values else None


def _selected_steps_cell(seeds: Sequence[Mapping[str, Any]], rule: Selection) -> str:
    steps = [(seed.get("selected_step") or {}).get(rule) for seed in seeds]
    return ", ".join(str(step) for step in steps if isinstance(step, (int, float))) or MISSING
