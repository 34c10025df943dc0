"""Scores of every method on every test scan.

In come methods and test scans, or two folders of reconstructions and references; out come tidy rows for ``metrics.csv``, and images for the
figures. Read ``evaluate.py`` first.
"""

from ssrecon.evaluation.evaluate import evaluate
from ssrecon.evaluation.evaluate_folder import evaluate_folder

__all__ = [
    "evaluate",
    "evaluate_folder",
]
