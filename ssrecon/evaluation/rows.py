"""The rows of ``metrics.csv`` are made and written here."""

import csv
from collections.abc import Iterable
from pathlib import Path

from ssrecon.core.files import whole_file
from ssrecon.core.scan import Header

METRIC_COLUMNS = ("arm", "seed", "selection", "subject", "volume", "scan", "metric", "convention", "value")
Row = dict[str, str | float]


def tidy_row(labels: Row, header: Header, scan_id: str, metric: str, convention: str, value: float) -> Row:
    """Return one row: whose value it is (`labels`: arm, seed, selection), of which scan, or of a whole volume where `scan_id` is empty."""
    place: Row = {"subject": header.subject, "volume": header.volume_id, "scan": scan_id}
    return {**labels, **place, "metric": metric, "convention": convention, "value": float(value)}


def write_metrics(path: Path, rows: Iterable[Row]) -> None:
    """Write the tidy table, one number a line."""
    with whole_file(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, METRIC_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "value": repr(float(row["value"]))} for row in rows)
