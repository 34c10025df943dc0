r"""Intervals for the mean of a few subjects: a stabilised bootstrap-t, which keeps to its level where cohorts are small or skewed.

Of B resamples of the n subjects, with replacement, each gives a Student quotient. Their quantiles take the place of Student's:

.. math::

    t^* = \frac{\sqrt n\, (\bar x^* - \bar x)}{\sqrt{s^{*2} + \lambda s^2 / n}}, \qquad
    \big[\, \bar x - t^*_{(1 - \alpha/2)}\, s / \sqrt n,\ \bar x - t^*_{(\alpha/2)}\, s / \sqrt n \,\big]

The term :math:`\lambda s^2 / n` stabilises it. Without it (:math:`\lambda = 0`, as published) a resample that holds nearly one value alone
has next to no spread, its quotient is huge, and some intervals are several times as long as Student's. What the intervals cover, and how
long they are, is measured by ``benchmarks/coverage.py`` and stands in docs/statistics.md. With fewer than `FEWEST` subjects the resamples
are too few different ones, and the quantiles are Student's own.

Efron. Nonparametric standard errors and confidence intervals. Can J Stat 9:139-158 (1981). doi:10.2307/3314608. Hall. Theoretical
comparison of bootstrap confidence intervals. Ann Stat 16:927-953 (1988). doi:10.1214/aos/1176350933. The lengths: Owen. Better bootstrap t
confidence intervals for the mean. arXiv:2508.10083 (2025)
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ssrecon.core.draw import Draw
from ssrecon.core.shapes import checked

RESAMPLES = 9_999
"""So many that the levels of 2.5, 5 and 97.5 % fall on order statistics: (B + 1) times each is a whole number."""
FEWEST = 5
"""Subjects from which on quotients of resamples are used."""
STABILISATION = 0.1
"""The weight :math:`\\lambda` of the cohort's variance in a resample's: more makes the longest intervals shorter, and they cover less."""


@checked
def interval(values: Float[np.ndarray, " n"], seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Return the two-sided interval, at a level, of the mean of two values or more. It is the same for the same `seed`."""
    tail = (1 - level) / 2
    upper, lower = (float(bound) for bound in bounds(values, (tail, 1 - tail), seed))
    return lower, upper


@checked
def lower_bound(values: Float[np.ndarray, " n"], seed: int = 0, level: float = 0.95) -> float:
    """Return the one-sided bound, at a level, that the mean of two values or more lies above."""
    return float(bounds(values, (level,), seed)[0])


@checked
def bounds(values: Float[np.ndarray, "*cohorts n"], quantiles: Sequence[float], seed: int = 0) -> Float[np.ndarray, "q *cohorts"]:
    r"""Return :math:`\bar x - t_q s / \sqrt n` of each cohort, for each quantile of the quotient; the mean where all values are equal."""
    n = values.shape[-1]
    mean, error = values.mean(axis=-1), values.std(axis=-1, ddof=1) / math.sqrt(n)
    if n < FEWEST:
        return np.stack([mean - _student(q, n - 1) * error for q in quantiles])
    quotients = np.sort(_quotients(values, seed), axis=-1)
    places = [min(max(round((RESAMPLES + 1) * q) - 1, 0), RESAMPLES - 1) for q in quantiles]
    return np.stack([mean - quotients[..., place] * error for place in places])


def _quotients(values: Float[np.ndarray, "*cohorts n"], seed: int) -> Float[np.ndarray, "*cohorts resamples"]:
    n = values.shape[-1]
    picks = Draw(seed).generator("bootstrap").integers(0, n, size=(RESAMPLES, n))
    # How often each subject is in each resample: means and squares of all resamples are two products.
    shares = np.stack([(picks == subject).sum(axis=1) for subject in range(n)]) / n
    centred = values - values.mean(axis=-1, keepdims=True)
    means, squares = centred @ shares, centred**2 @ shares
    spread = (centred**2).mean(axis=-1, keepdims=True)
    variance = (np.maximum(squares - means**2, 0.0) + STABILISATION / n * spread) * n / (n - 1)
    return np.where(variance > 0, means * math.sqrt(n) / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)


def _student(quantile: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(quantile, freedom))
