"""JSON of others is an object of some levels, or an error that names its file."""

import json

import pytest

from ssrecon.core.errors import BadInput, OutputInUse
from ssrecon.core.json_text import DEEPEST, json_object


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("text", ["{", "[1]", "5", "", b"\xff\xfe\x00", "[" * 100_000 + "]" * 100_000, nested(DEEPEST + 1)])
def test_what_is_no_object_is_named(text):
    with pytest.raises(OutputInUse, match="^a.json: found .*; expected a record$"):
        json_object(text, "a.json", "a record", OutputInUse)
    with pytest.raises(BadInput):
        json_object(text, "a.json", "a record")


def test_an_object_is_read():
    assert json_object(b'{"a": [1, {"b": null}]}', "a.json", "a record") == {"a": [1, {"b": None}]}
    assert json_object(nested(DEEPEST), "a.json", "a record") == json.loads(nested(DEEPEST))
