"""The history of a training: one row a logged step, in a file that survives a kill and is cut back to the checkpoint on resuming."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = ("step", "epoch", "loss", "gamma", "hidden_nmse", "learning_rate", "mu", "gamma_floor", "seconds")
"""`gamma_floor` is the unit of `gamma`: 1, which is what noise alone gives, in units of the noise variance; it is empty for a relative
residual.
"""


@dataclass
class History:
    """This appends to ``history.csv``. `seconds` is the wall time of the training so far, resumed parts added up."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def resume(path: Path, last_step: int) -> "History":
        """Return what is known up to a checkpoint. Rows after it are dropped, since they will be written again."""
        rows = []
        if path.exists():
            with open(path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if row.get("step", "").isdigit() and int(row["step"]) <= last_step]
        history = History(path, rows)
        history._rewrite()
        return history

    def append(self, row: Mapping[str, Any]) -> None:
        self.rows.append(dict(row))
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, COLUMNS, restval="").writerow(_csv_cells(row))

    @property
    def seconds(self) -> float:
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def _rewrite(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def _csv_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: f"{value:.8g}" if isinstance(value, float) else "" if value is None else value for key, value in row.items()}
