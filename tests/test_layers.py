"""Data walks one way: a file imports only from layers below its own."""

import ast
from pathlib import Path

import ssrecon

LAYERS = [
    {"errors"},
    {"identity"},
    {"scan", "draw", "metrics", "provenance", "progress", "files", "description", "lines"},
    {"engines", "catalogue"},
    {"operators"},
    {"algorithms"},
    {"archive", "undersampling", "calibrate", "partition", "store", "domain", "checkpoint", "distributed", "history"},
    {"networks", "baselines", "loader", "hybrid"},
    {"objectives"},
    {"recipe", "validation"},
    {"simulate", "prepare", "train", "trained", "evaluate", "reconstruct"},
    {"preflight", "overrides", "evaluate_folder"},
    {"study", "inspect"},
    {"cli"},
]
ALLOWED: set[tuple[str, str]] = set()


def test_imports_point_down():
    root = Path(ssrecon.__file__).parent
    level = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}
    wrong = []
    for path in root.rglob("*.py"):
        room = path.relative_to(root).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
            for other in (name.split(".")[1] for name in names if name and name.startswith("ssrecon.")):
                if other != room and level[other] >= level[room] and (room, other) not in ALLOWED:
                    wrong.append(f"{path.relative_to(root)} imports {other}")
    assert not wrong, "\n".join(wrong)
