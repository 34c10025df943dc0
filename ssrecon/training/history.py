"""The history of a training: one row a logged step, in a file that survives a kill and is cut back to the checkpoint on resuming."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssrecon.core.files import whole_file
from ssrecon.core.table import read_table

HISTORY_COLUMNS = ("step", "epoch", "loss", "gamma", "hidden_nmse", "learning_rate", "mu", "gamma_floor", "seconds")
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
        table = read_table(path) if path.exists() else []
        history = History(path, [dict(row) for row in table if row.get("step", "").isdigit() and int(row["step"]) <= last_step])
        history._rewrite()
        return history

    def append(self, row: Mapping[str, Any]) -> None:
        self.rows.append(dict(row))
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, HISTORY_COLUMNS, restval="").writerow(_csv_cells(row))

    @property
    def seconds(self) -> float:
        return float(self.rows[-1].get("seconds") or 0.0) if self.rows else 0.0

    def _rewrite(self) -> None:
        with whole_file(self.path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, HISTORY_COLUMNS, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)


def _csv_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: f"{value:.8g}" if isinstance(value, float) else "" if value is None else value for key, value in row.items()}
