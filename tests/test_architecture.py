"""What docs/architecture.md says of the code is so: places, names and the picture."""

import importlib
import re
import runpy
from functools import reduce
from pathlib import Path

import pytest

from ssrecon.core.folder_lock import NAME

ROOT = Path(__file__).parents[1]
DOCS = {path.name: path.read_text() for path in sorted(ROOT.glob("docs/*.md"))}
TEXTS = {**DOCS, "README.md": (ROOT / "README.md").read_text()}
PAGE = DOCS["architecture.md"]


@pytest.mark.parametrize("page", TEXTS)
def test_paths_and_links_exist(page):
    for place in re.findall(r"`((?:ssrecon|tests|figures|recipes|docs|benchmarks)/[\w./]*)`", TEXTS[page]):
        assert (ROOT / place).exists(), place
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for target in re.findall(r"\]\(([^)#]+)\)", TEXTS[page]):
        assert target.startswith("http") or (folder / target).exists(), target


def resolved(name: str) -> object:
    """The object behind a dotted name: the longest module in front of it, then its attributes."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[split:], module)
    raise AssertionError(name)


@pytest.mark.parametrize("name", sorted({name for text in TEXTS.values() for name in re.findall(r"`(ssrecon(?:\.\w+)+)`", text)}))
def test_names_are_there(name):
    assert resolved(name) is not None


def test_the_page_of_the_run_folder_names_its_lock():
    assert f"`{NAME}`" in DOCS["run_folder.md"]


def test_the_picture_is_that_of_the_imports():
    """Where this fails, draw it again: python docs/draw_architecture.py."""
    script = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    assert script["drawn"]() == script["arrows"]()
