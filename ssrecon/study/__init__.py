"""Comparisons: arms trained side by side, their statistics, the report and its figures.

In comes a `Comparison` (`run`), or a finished run's folder (`write_report`); out come ``metrics.csv``, figures and ``report.html``. Read
``comparison.py`` first for the way of a run, ``statistics.py`` for what is claimed of it.
"""

from ssrecon.study.comparison import run
from ssrecon.study.report import write_report

__all__ = [
    "run",
    "write_report",
]
