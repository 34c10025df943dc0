"""Data walks one way: a room imports only from rooms on floors below its own, and no module lies loose."""

import ast
from pathlib import Path

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


def test_imports_point_down():
    level = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0]
        if room == "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
            for other in (name.split(".")[1] for name in names if name and name.startswith("ssrecon.")):
                if other != room and level[other] >= level[room] and (room, other) not in ALLOWED:
                    wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert not wrong, "\n".join(wrong)


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
