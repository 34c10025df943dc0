"""Draw the rooms of ssrecon and their imports, from the source itself: ``python docs/draw_architecture.py`` writes docs/architecture.svg.

An arrow points from a room to one that it imports. Arrows that follow from others (A imports B, B imports C, so that A may import C as
well) are left out. The layout is Graphviz's: its ``dot`` has to be installed (``apt-get install graphviz``).
"""

import ast
import re
import subprocess
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ssrecon"
PICTURE = ROOT / "docs" / "architecture.svg"
STYLE = """
  rankdir=TB; nodesep=0.2; ranksep=0.4; fontname="sans-serif";
  node [shape=box, style="rounded,filled", fillcolor="#eef2fa", color="#555577", fontname="sans-serif", fontsize=11, margin="0.12,0.07"];
  edge [color="#9999aa", arrowsize=0.6];
"""


def imports() -> dict[str, set[str]]:
    """The rooms that each room imports from."""
    found: dict[str, set[str]] = {path.parent.name: set() for path in sorted(PACKAGE.glob("*/__init__.py"))}
    for room, others in found.items():
        for path in (PACKAGE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ssrecon."):
                    others.add(node.module.split(".")[1])
        others.discard(room)
    return found


def arrows() -> set[tuple[str, str]]:
    """The imports that do not follow from others, as (room, what it imports)."""
    found = imports()

    def reached(room: str) -> set[str]:
        return found[room].union(*(reached(other) for other in found[room]))

    return {(room, other) for room, others in found.items() for other in others if not any(other in reached(between) for between in others)}


def drawn() -> set[tuple[str, str]]:
    """The arrows of the picture as it lies beside this file."""
    return set(re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", PICTURE.read_text()))


def label(room: str) -> str:
    """A room's name, and the first sentence that its ``__init__.py`` says of it."""
    said = (ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or "").partition("\n")[0]
    plain = re.sub(r":math:`(.+?)`", lambda found: found[1].replace("\\", "").replace(" cup ", " and "), said).replace("`", "")
    lines = "".join(f'<br/><font point-size="9">{line}</font>' for line in textwrap.wrap(plain, 34))
    return f"<<b>{room}</b>{lines.replace('->', '→').replace('&', '&amp;')}>"


def main() -> None:
    """Write the picture."""
    nodes = "".join(f"  {room} [label={label(room)}];\n" for room in imports())
    edges = "".join(f"  {room} -> {other};\n" for room, other in sorted(arrows()))
    graph = f"digraph rooms {{{STYLE}{nodes}{edges}}}\n"
    PICTURE.write_bytes(subprocess.run(["dot", "-Tsvg"], input=graph.encode(), capture_output=True, check=True).stdout)
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
