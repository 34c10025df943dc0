"""Intervals for the mean of a few subjects keep to their level: simulated cohorts whose mean is known."""

import numpy as np
import pytest
from scipy import stats

from ssrecon.study import intervals
from ssrecon.study.intervals import bounds, interval, lower_bound

COHORTS = 8000


def cohorts(n: int, law: str) -> np.ndarray:
    """Of mean 0."""
    rng = np.random.default_rng([n, len(law)])
    return rng.normal(size=(COHORTS, n)) if law == "normal" else rng.exponential(size=(COHORTS, n)) - 1


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 1999)


def coverage(values: np.ndarray) -> float:
    upper, lower = bounds(values, (0.025, 0.975))
    return float(((lower <= 0) & (0 <= upper)).mean())


@pytest.mark.parametrize("n", [6, 8, 10, 20])
def test_normal_differences_are_covered_as_often_as_is_said(n):
    assert coverage(cohorts(n, "normal")) == pytest.approx(0.95, abs=0.01)


def test_skewed_differences_are_covered_better_than_by_students_t():
    values = cohorts(6, "exponential")
    assert coverage(values) >= 0.92
    error = values.std(axis=1, ddof=1) / np.sqrt(6)
    student = (np.abs(values.mean(axis=1)) <= stats.t.ppf(0.975, 5) * error).mean()
    assert student == pytest.approx(0.89, abs=0.01)


@pytest.mark.parametrize("n", [6, 8, 10])
def test_false_claims_of_not_inferior_are_as_rare_as_is_said(n):
    """An arm that is worse by exactly the margin: its bound lies above in 5 % of cohorts."""
    (bound,) = bounds(cohorts(n, "normal"), (0.95,))
    assert (bound > 0).mean() == pytest.approx(0.05, abs=0.01)


def test_under_skew_the_error_is_smaller_than_students_and_above_nominal():
    values = -cohorts(6, "exponential")  # a few subjects much worse: the cohorts that miss them look too good
    (bound,) = bounds(values, (0.95,))
    student = values.mean(axis=1) - stats.t.ppf(0.95, 5) * values.std(axis=1, ddof=1) / np.sqrt(6) > 0
    assert 0.05 < (bound > 0).mean() < 0.11 < student.mean() < 0.17


def test_many_subjects_have_students_interval():
    values = np.random.default_rng(0).normal(1, 2, 400)
    t = stats.t.interval(0.95, 399, values.mean(), values.std(ddof=1) / 20)
    assert interval(values) == pytest.approx(t, abs=0.02)


def test_by_hand():
    """Quotients of resamples one by one, and their order statistics."""
    values = np.array([0.3, 1.0, -0.4, 2.2, 0.1, 0.9, 0.0])
    picks = intervals.Draw(3).generator("bootstrap").integers(0, 7, size=(1999, 7))
    found = []
    for pick in picks:
        sample = values[pick]
        spread = np.sqrt(sample.var(ddof=1) + 0.1 * values.var(ddof=1) / 7)
        found.append((sample.mean() - values.mean()) / (spread / np.sqrt(7)))
    found.sort()
    error = values.std(ddof=1) / np.sqrt(7)
    expected = values.mean() - found[1949] * error, values.mean() - found[49] * error
    assert interval(values, seed=3) == pytest.approx(expected)
    assert lower_bound(values, seed=3) == pytest.approx(values.mean() - found[1899] * error)


def test_no_interval_is_many_times_as_long_as_students(monkeypatch):
    """Without its stabilisation one bootstrap-t interval in a hundred is, of six skewed values."""
    values = cohorts(6, "exponential")
    student = 2 * stats.t.ppf(0.975, 5) * values.std(axis=1, ddof=1) / np.sqrt(6)

    def longest():
        upper, lower = bounds(values, (0.025, 0.975))
        return np.quantile((upper - lower) / student, 0.99)

    assert longest() < 2.6
    monkeypatch.setattr(intervals, "STABILISATION", 0.0)
    assert longest() > 4


def test_turned_around_it_is_the_same():
    values = np.random.default_rng(2).exponential(size=9)
    lower, upper = interval(values)
    assert interval(-values) == pytest.approx((-upper, -lower))


def test_few_equal_and_nearly_equal_values():
    assert interval(np.array([2.0, 2.0, 2.0])) == (2.0, 2.0) and interval(np.full(8, 0.1)) == pytest.approx((0.1, 0.1))
    pair = np.array([1.0, 3.0])
    assert interval(pair) == pytest.approx(stats.t.interval(0.95, 1, 2.0, 1.0))
    lower, upper = interval(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))  # a third of the resamples are all zeros
    assert np.isfinite([lower, upper]).all() and lower < 1 / 6 < upper
