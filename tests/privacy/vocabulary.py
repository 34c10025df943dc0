"""Write the words of the package's own texts anew: ``python -m tests.privacy.vocabulary``, after a text has changed."""

import ast
import re
from pathlib import Path

import ssrecon
from ssrecon.privacy.pseudonyms import OWN_WORDS

PACKAGE = Path(ssrecon.__file__).parent
FILE = PACKAGE / "privacy" / OWN_WORDS
SPEAKING = (
    "archive/**/*.py",
    "calibrate/*.py",
    "core/files.py",
    "core/hdf5.py",
    "core/matlab.py",
    "operators/*.py",
    "privacy/*.py",
    "sampling/**/*.py",
    "simulation/**/*.py",
    "store/*.py",
)
"""Files whose texts become notes, reasons and names of parts of a file."""


def words_of_the_source() -> list[str]:
    """The words of all texts in the source but its docstrings, which name authors."""
    found: set[str] = set()
    for file in (file for place in SPEAKING for file in PACKAGE.glob(place)):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose)
        found |= {word for text in texts if isinstance(text, str) for word in re.findall(r"[^\W\d_]+", text.lower())}
    return sorted(word for word in found if len(word) > 1)


if __name__ == "__main__":
    FILE.write_text("\n".join(words_of_the_source()) + "\n", encoding="utf-8")
    print(f"{FILE}: {len(words_of_the_source())} words")
