"""What the README says is there is there, and its example runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_library_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(code, "README.md", "exec"), {})
    assert "torch.Size([1, 1, 128, 128])" in capsys.readouterr().out


def test_links_and_files_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
    for recipe in re.findall(r"recipes/\w+\.py", README):
        assert (ROOT / recipe).exists(), recipe


def test_the_tree_names_real_places():
    (tree,) = re.findall(r"```\nssrecon/\n(.*?)```", README, re.S)
    for line in tree.splitlines():
        if line.startswith("  "):
            names = re.match(r"  ((?:[\w.]+/?(?:  )?)+)", line).group(1).split()
            for name in (n for n in names if n.endswith((".py", "/"))):
                assert (ROOT / "ssrecon" / name).exists(), name


def test_commands_in_the_readme_are_known():
    from ssrecon.cli import _parser

    known = _parser().format_help()
    for command in re.findall(r"^ssrecon (\w+)", README, re.M):
        assert command in known
