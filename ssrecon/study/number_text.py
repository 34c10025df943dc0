"""Numbers become the text of a report here: each metric with its own digits, and a true minus sign."""

import math
from typing import Any

from ssrecon.study.scores import DIGITS
from ssrecon.study.statistics import Interval

MISSING = '<span class="none">—</span>'
"""This stands where there is no number."""


def number(value: float, metric: str) -> str:
    """Return a value with the metric's own number of digits, and a true minus sign."""
    if metric == "residual":
        return f"{value:.3g}".replace("-", "−")
    return f"{value:.{DIGITS.get(metric, 4)}f}".replace("-", "−")


def signed(value: float, metric: str) -> str:
    """Return a value as `number` does, with a plus sign where it is positive."""
    return ("+" if value > 0 else "") + number(value, metric)


def spread_text(value: float, metric: str) -> str:
    """Return a standard deviation in the metric's digits. What would round to nothing is said to be less than the last of them."""
    smallest = 10.0 ** -DIGITS.get(metric, 4)
    return f"± {number(value, metric)}" if metric == "residual" or value >= smallest / 2 else f"< {smallest:g}".replace("1e-04", "0.0001")


def interval_text(interval: Interval | None, metric: str) -> str:
    """Return an interval in the metric's digits; without one the text is empty."""
    return f"{number(interval.lower, metric)} to {number(interval.upper, metric)}" if interval is not None else ""


def p_text(p: float) -> str:
    """Return a p-value with three digits, or that it is below the last of them."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def duration(seconds: float | None) -> str:
    """Return a time in seconds, minutes or hours."""
    if seconds is None:
        return MISSING
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def with_thin_spaces(value: float | None) -> str:
    """Return a whole number whose thousands thin spaces set apart."""
    return MISSING if value is None else f"{value:,.0f}".replace(",", "\u2009")


def with_prefix(value: float | None) -> str:
    """Return a count with a decimal prefix, as 3.2 G."""
    if value is None or value <= 0:
        return MISSING
    power = min(int(math.log10(value)) // 3, 6)
    return f"{value / 1000**power:.3g}\u2009{('', 'k', 'M', 'G', 'T', 'P', 'E')[power]}"


def short_number(value: Any) -> str:
    """Return a number with three digits; whatever else it is as text."""
    return f"{value:.3g}" if isinstance(value, (int, float)) else str(value)
