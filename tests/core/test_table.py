"""Tables that somebody damaged name their file."""

import pytest

from ssrecon.core.errors import BadInput
from ssrecon.core.table import read_table
from ssrecon.training.history import History


def test_cells_that_are_missing_are_empty_and_those_too_many_are_dropped(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n4,5,6\n")
    assert read_table(tmp_path / "t.csv") == [{"a": "1", "b": "2"}, {"a": "3", "b": ""}, {"a": "4", "b": "5"}]


def test_what_is_no_text_names_the_file(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(BadInput, match=r"t\.csv: found no readable table .*; expected CSV in UTF-8"):
        read_table(tmp_path / "t.csv")


def test_a_history_goes_on_after_a_line_that_was_cut(tmp_path):
    path = tmp_path / "arm/history.csv"
    history = History.resume(path, 0)
    for step in (1, 2, 3):
        history.append({"step": step, "loss": 0.5, "seconds": 1.5 * step})
    with open(path, "a") as file:
        file.write("4,1,0")
    again = History.resume(path, 2)
    assert [row["step"] for row in again.rows] == ["1", "2"] and again.seconds == 3.0
    assert [row["step"] for row in read_table(path)] == ["1", "2"]
    with open(path, "ab") as file:
        file.write(b"\xff")
    with pytest.raises(BadInput, match=r"history\.csv"):
        History.resume(path, 2)
