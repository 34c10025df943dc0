"""Data walks one way: a room imports only from rooms on floors below its own, and no module lies loose."""

import ast
from pathlib import Path

import pytest

import ssrecon

ROOT = Path(ssrecon.__file__).parent
FLOORS = [
    {"core"},
    {"privacy", "operators", "metrics"},
    {"algorithms", "sampling"},
    {"calibrate", "partition"},
    {"archive"},
    {"simulation", "store"},
    {"baselines"},
    {"networks"},
    {"objectives"},
    {"recipe"},
    {"reconstruction"},
    {"training"},
    {"evaluation", "inspect"},
    {"study"},
    {"cli"},
]
ALLOWED: set[tuple[str, str]] = set()


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports from, in full."""
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def goes_around_the_floors(node: ast.AST) -> bool:
    """Whether a statement imports by way of the package's own door, which is above all rooms, or by a relative name."""
    return any(name == "ssrecon" or name.startswith(".") for name in imported(node))


def test_imports_point_down():
    level = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0]
        if room == "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            for other in (name.split(".")[1] for name in imported(node) if name.startswith("ssrecon.")):
                if other != room and level[other] >= level[room] and (room, other) not in ALLOWED:
                    wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_a_room_imports_from_rooms_by_their_names():
    """``from ssrecon import Recipe`` would run up unseen."""
    for path in ROOT.glob("*/**/*.py"):
        wrong = [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if goes_around_the_floors(node)]
        assert not wrong, f"{path.relative_to(ROOT)}: {wrong[0]}"


@pytest.mark.parametrize("line", ["from ssrecon import Recipe", "import ssrecon", "from . import base", "from ..core import scan"])
def test_a_way_around_would_be_found(line):
    assert goes_around_the_floors(ast.parse(line).body[0])
    assert not goes_around_the_floors(ast.parse("from ssrecon.core import Scan").body[0])


def test_every_module_lies_in_a_room():
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set().union(*FLOORS)


def test_a_rooms_door_is_a_paragraph_and_its_names():
    """An `__init__.py` says what comes in and what goes out, and exports; it computes nothing."""
    for path in ROOT.glob("*/**/__init__.py"):
        tree = ast.parse(path.read_text())
        kinds = [type(node) for node in tree.body]
        if path.parent.parent == ROOT:
            assert ast.get_docstring(tree) and ast.Assign in kinds, path
        other = [node for node in tree.body[1:] if not isinstance(node, (ast.ImportFrom, ast.Assign))]
        assert not other, f"{path}: {ast.unparse(other[0])}"
