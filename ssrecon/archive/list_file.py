"""Text files that list names, one a line."""

from pathlib import Path

from ssrecon.core.errors import BadInput


def read_list(path: Path, expected: str) -> list[tuple[int, str]]:
    """Return the names in a text file, each with the number of its line; ``#`` begins a comment.

    Raises BadInput naming the file where it cannot be read; `expected` says what it should be.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(path, found=f"no readable list ({error})", expected=expected) from None
    named = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, start=1))
    return [(number, name) for number, name in named if name]
