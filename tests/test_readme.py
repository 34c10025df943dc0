"""What the README says is there is there, and its example runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_library_examples_run(capsys, tmp_path, monkeypatch):
    """One after the other, as in a notebook."""
    monkeypatch.chdir(tmp_path)
    first, own_scans = re.findall(r"```python\n(.*?)```", README, re.S)
    names = {}
    exec(compile(first, "README.md", "exec"), names)
    assert "torch.Size([1, 1, 128, 128])" in capsys.readouterr().out
    exec(compile(own_scans, "README.md", "exec"), names)
    assert names["network"].recipe.hash == names["recipe"].hash and names["trained"].updates == 20


def test_links_and_files_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    for recipe in re.findall(r"recipes/\w+\.py", README):
        assert (ROOT / recipe).exists(), recipe


def test_the_tree_names_real_places():
    """Every room, and every file that is named beside it, is there; and every room is named."""
    (tree,) = re.findall(r"```\nssrecon/ (.*?)```", README, re.S)
    rooms = set()
    for line in tree.splitlines():
        if not (named := re.match(r"( *)([\w.]+)/ ", line)):
            continue
        room = ROOT / "ssrecon" / named[2] if named[1] else ROOT / named[2]
        assert room.is_dir(), line
        rooms |= {room.name} if named[1] else set()
        for file in re.findall(r"\b\w+\.py\b|\b\w+/(?=[ :,;)]|$)", line[named.end() :]):
            assert (ROOT / file).is_dir() or list(room.rglob(file.rstrip("/"))), line
    assert rooms == {path.parent.name for path in ROOT.glob("ssrecon/*/__init__.py")}


def test_commands_in_the_readme_are_known():
    from ssrecon.cli.main import _parser

    known = _parser().format_help()
    for command in re.findall(r"^ssrecon (\w+)", README, re.M):
        assert command in known
