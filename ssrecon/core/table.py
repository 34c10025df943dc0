"""Tables that ssrecon wrote are read back here: CSV in UTF-8, which a kill or another program may have damaged."""

import csv
from pathlib import Path

from ssrecon.core.errors import BadInput


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names in its first line. A cell that is missing is empty, and one too many is dropped.

    Raises BadInput, naming the file, where it is no CSV in UTF-8.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(path, found=f"no readable table ({error})", expected="CSV in UTF-8, as ssrecon wrote it") from error
    return [{name: text for name, text in row.items() if name is not None} for row in rows]
