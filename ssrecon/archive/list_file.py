"""Text files that list names, one a line, and what an archive may call a thing of such a name."""

from collections.abc import Iterator
from pathlib import Path

from ssrecon.core.errors import BadInput
from ssrecon.privacy.pseudonyms import safe_name, safe_subject


def read_list(path: Path, expected: str) -> list[tuple[int, str]]:
    """Return the names in a text file, each with the number of its line; ``#`` begins a comment.

    Raises BadInput naming the file where it cannot be read; `expected` says what it should be.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors write a mark of the encoding at the front
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(path, found=f"no readable list ({error})", expected=expected) from None
    named = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, start=1))
    return [(number, name) for number, name in named if name]


def spellings(name: str) -> Iterator[str]:
    """Yield what an archive may call a volume or subject of this name: with or without the suffix of its file, and by a pseudonym."""
    stem = Path(name).with_suffix("").as_posix() if Path(name).name else name
    yield from (name, stem)
    # Only a name that is not known as it is needs the key.
    yield from (safe_name(name), safe_name(stem), safe_subject(name))
