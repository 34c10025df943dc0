"""A folder belongs to one process at a time."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssrecon.core import folder_lock as locks
from ssrecon.core.errors import OutputInUse
from ssrecon.core.folder_lock import NotLocked, folder_lock

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from ssrecon.core.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


def test_a_folder_belongs_to_one_process_until_it_ends_or_is_killed(tmp_path):
    folder = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputInUse, match=f"{folder}: found another process"), folder_lock(folder):
            pass
        assert holder.poll() is None
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert (folder / locks.NAME).exists()
    with folder_lock(folder):
        (folder / "result").write_text("mine")
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_a_lock_file_that_was_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """A process may have opened the file of another one that has removed it since: it takes the new one."""
    opened, real = [], os.open

    def open_and_lose(path, *arguments):
        handle = real(path, *arguments)
        if not opened:
            os.unlink(path)
        opened.append(path)
        return handle

    monkeypatch.setattr(os, "open", open_and_lose)
    with folder_lock(tmp_path):
        assert len(opened) == 2 and (tmp_path / locks.NAME).exists()
        with pytest.raises(OutputInUse), folder_lock(tmp_path):
            pass


def test_a_folder_without_files_is_not_left_behind(tmp_path):
    with folder_lock(tmp_path / "new"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with pytest.warns(NotLocked, match="no locks"), folder_lock(tmp_path):
        assert not list(tmp_path.iterdir())
