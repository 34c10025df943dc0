"""JSON that somebody else may have written or damaged is read here."""

import json
from typing import Any

from ssrecon.core.errors import BadInput

DEEPEST = 100
"""Levels within each other: records of ssrecon have about ten, and what goes through them level by level has no room for thousands."""


def json_object(text: str | bytes, where: object, expected: str, error: type[BadInput] = BadInput) -> dict[str, Any]:
    """Return the JSON object that a text holds.

    Raises `error`, naming `where`, for text that is no JSON, for any other value of JSON, and for one of more than `DEEPEST` levels.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise error(where, found=f"no readable JSON ({reason})", expected=expected) from None
    if not isinstance(found, dict):
        raise error(where, found=f"a JSON {type(found).__name__}", expected=expected)
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())]
    if any(isinstance(item, (dict, list)) for item in level):
        raise error(where, found=f"JSON of more than {DEEPEST} levels within each other", expected=expected)
    return found
