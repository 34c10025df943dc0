"""Provenance: enough to find the code and data again, nothing that names a person or a machine."""

import getpass
import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from ssrecon.core.provenance import END_BYTES, cpu_model, data_fingerprint, device_name, git_state, provenance, versions


def test_it_is_json_with_all_its_keys():
    found = json.loads(json.dumps(provenance("cpu", (0, 1), "ab")))
    keys = {"date", "versions", "git_commit", "git_modified", "device", "cpu", "threads", "platform", "seeds", "data_fingerprint"}
    assert set(found) == keys
    assert found["seeds"] == [0, 1] and found["data_fingerprint"] == "ab"
    assert {"python", "torch", "numpy"} <= set(found["versions"])
    assert found["device"] == found["cpu"] == cpu_model() == device_name("cpu")


def test_nothing_personal():
    text = json.dumps(provenance("cpu", (0,), None))
    assert platform.node() not in text or len(platform.node()) < 4
    assert str(Path.home()) not in text or Path.home() == Path("/")
    assert str(Path(__file__).resolve().parents[2]) not in text
    values = list(json.loads(text).values())
    assert getpass.getuser() not in values and '"/' not in text


def test_versions_are_those_installed():
    import numpy
    import torch

    assert versions()["numpy"] == numpy.__version__ and versions()["torch"] == str(torch.__version__)


@pytest.fixture
def repository(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    return package, git


def test_commit_of_a_checkout_and_whether_it_was_changed(repository):
    package, git = repository
    git("add", ".")
    git("commit", "-q", "-m", "first")
    assert git_state(package) == (git("rev-parse", "HEAD"), False)
    (package / "__init__.py").write_text("# changed\n")
    assert git_state(package) == (git("rev-parse", "HEAD"), True)


def test_a_package_installed_inside_somebody_elses_checkout_has_no_commit(repository):
    package, git = repository
    (package.parent / "other.txt").write_text("theirs")
    git("add", "other.txt")
    git("commit", "-q", "-m", "theirs")
    assert git_state(package) == (None, None)


def test_no_repository_and_no_git(tmp_path, monkeypatch):
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == (None, None)


def test_fingerprint_is_of_names_and_contents_not_of_places_or_order(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.h5").write_bytes(b"one")
        (tmp_path / folder / "two.h5").write_bytes(b"two")
    a, b = ([tmp_path / folder / name for name in ("one.h5", "two.h5")] for folder in ("a", "b"))
    assert data_fingerprint(a) == data_fingerprint(reversed(b))
    assert data_fingerprint(a[:1]) != data_fingerprint(a)
    b[0].write_bytes(b"One")
    assert data_fingerprint(a) != data_fingerprint(b)
    b[0].write_bytes(b"one")
    b[0].rename(tmp_path / "b" / "three.h5")
    assert data_fingerprint(a) != data_fingerprint([tmp_path / "b" / "three.h5", b[1]])


@pytest.mark.parametrize("place", [0, END_BYTES - 1, -1])
def test_large_files_are_told_apart_by_their_ends(tmp_path, place):
    content = bytearray(2 * END_BYTES + 5)
    file = tmp_path / "large.h5"
    file.write_bytes(content)
    before = data_fingerprint([file])
    content[place] = 1
    file.write_bytes(content)
    assert data_fingerprint([file]) != before
    file.write_bytes(content + b"\0")
    assert data_fingerprint([file]) != before
