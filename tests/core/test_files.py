"""Files are whole or not there, with the permissions of the file that they replace or those that any new file gets."""

import os
import stat
import threading

import pytest

from ssrecon.core.files import whole_file


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_whole_file_has_the_permissions_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        with whole_file(tmp_path / "whole") as partial:
            assert mode(partial) == 0o666 & ~mask
            partial.write_text("text")
    finally:
        os.umask(before)
    assert mode(tmp_path / "whole") == 0o666 & ~mask and [path.name for path in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize("kept", [0o600, 0o444, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, kept):
    path = tmp_path / "whole"
    path.write_text("old")
    path.chmod(kept)
    before = os.umask(0o022)
    try:
        with whole_file(path) as partial:
            assert mode(partial) & 0o077 & ~kept == 0, "nobody else reads the new text before it is in place"
            partial.write_text("new")
    finally:
        os.umask(before)
    assert path.read_text() == "new" and mode(path) == kept


def test_files_of_other_threads_keep_their_permissions(tmp_path):
    """With a umask of 0 for a moment, 1166 of 4000 files of another thread could be read by others."""
    before, stop = os.umask(0o077), threading.Event()

    def write_whole_files():
        while not stop.is_set():
            with whole_file(tmp_path / "whole") as partial:
                partial.write_text("text")

    writer = threading.Thread(target=write_whole_files)
    try:
        writer.start()
        for number in range(4000):
            os.close(os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY, 0o666))
    finally:
        stop.set()
        writer.join()
        os.umask(before)
    assert {mode(tmp_path / str(number)) for number in range(4000)} == {0o600}


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:
        partial.write_text("new")
        raise ZeroDivisionError
    assert path.read_text() == "old" and [item.name for item in tmp_path.iterdir()] == ["file"]
