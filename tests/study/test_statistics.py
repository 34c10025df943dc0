"""Statements about subjects, with answers known beforehand."""

import math

import numpy as np
import pytest
from scipy import stats

from ssrecon.core.errors import BadInput
from ssrecon.recipe.selection import Selection
from ssrecon.study.intervals import interval
from ssrecon.study.statistics import Measure, by_subject, compare, holm, non_inferiority, paired_difference, summarise

PSNR = Measure("psnr")


def row(arm, subject, value, seed="0", volume="v0", scan="", metric="psnr", convention="fastmri", selection="gamma"):
    """Text, as csv gives it."""
    names = dict(arm=arm, seed=seed, selection=selection, subject=subject, volume=volume, scan=scan, metric=metric, convention=convention)
    return names | {"value": str(value)}


def cohort(values: dict[str, list[float]], **more) -> list[dict]:
    return [row(arm, f"s{i:02d}", value, **more) for arm, column in values.items() for i, value in enumerate(column)]


def test_subjects_are_the_unit():
    """A subject with three volumes of many slices weighs as much as one with one; a volume's own row stands for its slices."""
    rows = [row("a", "s0", value, volume=f"v{i}") for i, value in enumerate((1, 2, 6))]
    rows += [row("a", "s0", 1000, volume="v0", scan=f"v0/{i}") for i in range(5)]
    rows += [row("a", "s1", value, volume="v9", scan=f"v9/{i}") for i, value in enumerate((10, 20))]
    assert by_subject(rows, "a", PSNR) == {"s0": {"0": 3.0}, "s1": {"0": 15.0}}
    assert summarise(rows, "a", PSNR).mean == 9.0


def test_seeds_are_not_subjects():
    """Three seeds of four subjects are four values, and the spread between seeds stands on its own."""
    rows = [row("a", f"s{i}", 30 + i + offset, seed=str(k)) for k, offset in enumerate((-0.5, 0.0, 0.5)) for i in range(4)]
    summary = summarise(rows, "a", PSNR)
    assert (summary.subjects, summary.seeds, summary.mean, summary.seed_std) == (4, 3, 31.5, 0.5)
    assert summary.subject_std == pytest.approx(np.std([30, 31, 32, 33], ddof=1))
    assert summary.interval == summarise(rows[4:8], "a", PSNR).interval
    assert math.isnan(summarise(rows[:4], "a", PSNR).seed_std)


def test_the_selection_is_respected_and_baselines_have_none():
    rows = (
        cohort({"a": [1.0, 2.0]}) + cohort({"a": [5.0, 6.0]}, selection="reference") + cohort({"b": [3.0, 3.0]}, selection="none", seed="")
    )
    assert summarise(rows, "a", PSNR).mean == 1.5
    assert summarise(rows, "a", Measure("psnr", selection=Selection.REFERENCE)).mean == 5.5
    assert summarise(rows, "b", PSNR).mean == 3.0
    assert paired_difference(rows, "a", "b", PSNR).mean == -1.5


def test_a_paired_difference_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(33, 3, 14), rng.normal(32.4, 3, 14)
    found = paired_difference(cohort({"a": list(a), "b": list(b)}), "a", "b", PSNR)
    assert found.p == pytest.approx(stats.wilcoxon(a - b).pvalue, rel=1e-9)
    assert found.mean == pytest.approx(float(np.mean(a - b)))
    assert (found.subjects, found.better, found.descriptive) == (14, int((a > b).sum()), False)
    assert (found.interval.lower, found.interval.upper) == interval(np.array(a) - np.array(b))


def test_the_exact_p_of_a_clean_sweep():
    """Seven subjects, all better: 2 / 2^7."""
    found = paired_difference(cohort({"a": [1.0 + 0.1 * i for i in range(7)], "b": [0.01 * i for i in range(7)]}), "a", "b", PSNR)
    assert found.p == pytest.approx(2 / 2**7) and found.better == 7


def test_equal_arms_are_no_evidence():
    same = [30.0, 31.0, 32.0, 33.0, 34.0, 35.0, 36.0]
    found = paired_difference(cohort({"a": same, "b": same}), "a", "b", PSNR)
    assert (found.p, found.mean, found.better) == (1.0, 0.0, 0)
    assert (found.interval.lower, found.interval.upper) == (0.0, 0.0)
    some = [*same[:4], 33.5, 34.7, 35.9]
    assert 0 < paired_difference(cohort({"a": same, "b": some}), "a", "b", PSNR).p <= 1


def test_everything_is_the_same_twice_and_for_any_order():
    rng = np.random.default_rng(3)
    rows = cohort({"a": list(rng.normal(1, 1, 9)), "b": list(rng.normal(0, 1, 9))})
    assert paired_difference(rows, "a", "b", PSNR) == paired_difference(rows[::-1], "a", "b", PSNR)
    assert paired_difference(rows, "a", "b", PSNR).interval != paired_difference(rows, "a", "b", PSNR, seed=1).interval
    turned = paired_difference(rows, "b", "a", PSNR)
    assert turned.mean == -paired_difference(rows, "a", "b", PSNR).mean and turned.p == paired_difference(rows, "a", "b", PSNR).p


def test_holm_by_hand():
    """.005 x 4, .01 x 3, .03 x 2, then .04 x 1, which may not fall below .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


def test_the_family_is_corrected_together():
    rng = np.random.default_rng(5)
    columns = {arm: list(rng.normal(mean, 1, 10)) for arm, mean in (("a", 2.0), ("b", 1.0), ("c", 0.0))}
    rows = cohort(columns) + cohort(columns, metric="ssim")
    pairs, measures = [("a", "b"), ("a", "c"), ("b", "c")], [PSNR, Measure("ssim")]
    family = compare(iter(rows), pairs, measures)
    assert [(one.arm, one.versus, one.measure) for one in family] == [(*pair, measure) for measure in measures for pair in pairs]
    assert [one.p_holm for one in family] == holm([one.p for one in family])
    assert family[0].p_holm > family[0].p == compare(rows, pairs[:1], measures[:1])[0].p_holm


@pytest.mark.parametrize("subjects", [1, 2, 5])
def test_fewer_than_six_subjects_are_described(subjects):
    rows = cohort({"a": [33.0 + i for i in range(subjects)], "b": [30.0] * subjects})
    (one,) = compare(rows, [("a", "b")], [PSNR])
    judged = non_inferiority(rows, "a", "b", PSNR, 0.5)
    assert one.descriptive and one.p is None and one.p_holm is None
    assert judged.descriptive and judged.verdict is None
    assert summarise(rows, "a", PSNR).descriptive
    assert (one.interval is None) == (judged.lower_bound is None) == (subjects == 1)
    assert one.mean == pytest.approx(3.0 + (subjects - 1) / 2)


def test_non_inferiority_is_about_the_bound_and_not_the_mean():
    """.2 dB worse on average: within the margin of .5 where subjects agree, not shown where they scatter."""
    supervised = [30.0 + i for i in range(10)]
    scatter = stats.norm.ppf((np.arange(10) + 0.5) / 10)[[3, 8, 1, 9, 0, 5, 6, 2, 7, 4]]
    for spread, verdict in ((0.1, True), (1.5, False)):
        ssdu = [value - 0.2 + spread * s for value, s in zip(supervised, scatter, strict=True)]
        judged = non_inferiority(cohort({"ssdu": ssdu, "supervised": supervised}), "ssdu", "supervised", PSNR, 0.5)
        assert judged.advantage == pytest.approx(-0.2) and judged.verdict is verdict and not judged.descriptive
        # Of ten values that are normal: Student's t with 9 degrees of freedom, 1.833, times their standard error.
        assert judged.lower_bound == pytest.approx(-0.2 - 1.833 * spread * scatter.std(ddof=1) / math.sqrt(10), abs=0.05 * spread)


@pytest.mark.parametrize(("metric", "worse"), [("nmse", 0.02), ("psnr", -0.02)])
def test_the_better_direction_of_a_metric(metric, worse):
    rows = cohort({"a": [1.0 + worse] * 6, "b": [1.0] * 6}, metric=metric)
    judged = non_inferiority(rows, "a", "b", Measure(metric), 0.01)
    assert judged.advantage == pytest.approx(-0.02) and judged.verdict is False
    assert non_inferiority(rows, "a", "b", Measure(metric), 0.03).verdict is True
    assert paired_difference(rows, "a", "b", Measure(metric)).better == 0
    assert paired_difference(rows, "b", "a", Measure(metric)).better == 6


def test_the_false_alarms_of_a_family_are_bounded():
    """No arm differs: at most about 5 % of families of three say that one does."""
    rng, alarms = np.random.default_rng(9), 0
    for _ in range(200):
        p_values = [stats.wilcoxon(rng.normal(size=12)).pvalue for _ in range(3)]
        alarms += min(holm(p_values)) < 0.05
    assert alarms / 200 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (cohort({"b": [1.0]}), r"a, psnr \(fastmri, selected by gamma\): found no row"),
        (cohort({"a": [math.inf], "b": [1.0]}), "found inf for v0; expected finite values"),
        (cohort({"a": [1.0], "b": [1.0]}) * 2, "found two rows for v0"),
        (cohort({"a": [1.0, 2.0], "b": [1.0]}), r"a against b: found subjects that only one of them has \(s01\)"),
        (cohort({"a": [1.0, 2.0], "b": [1.0, 1.0]}) + [row("a", "s00", 1, seed="1")], "found no value of s01 for seed 1"),
    ],
)
def test_refuses_rows_that_do_not_pair(rows, text):
    with pytest.raises(BadInput, match=text):
        compare(rows, [("a", "b")], [PSNR])


def test_refuses_a_margin_that_is_none():
    with pytest.raises(BadInput, match="margin of psnr: found 0.0"):
        non_inferiority(cohort({"a": [1.0], "b": [1.0]}), "a", "b", PSNR, 0.0)
