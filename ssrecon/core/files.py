"""Files are written whole or not at all, so that what is on the disk is always readable."""

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, which is moved over it when the block ends well and removed when it does not.

    A kill at any moment leaves the old file or the new one. A full disk raises OSError and leaves the old one. A file that is replaced
    keeps its permissions; a new one has those that the system gives to any new file of this process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    kept = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    # The kernel applies the umask here. To ask for the umask is to change it for a moment, for every thread of the process. What
    # replaces a private file is private from its first byte. Its owner may write it even where the old file is for reading alone.
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if kept is None else kept | stat.S_IWUSR | stat.S_IRUSR))
    try:
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        if kept is not None and kept != stat.S_IMODE(partial.stat().st_mode):  # Some file systems know no other permissions.
            partial.chmod(kept)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def content_digest(path: Path | str) -> str | None:
    """Return a short hash of all that a file holds, whatever it is called, or None where there is no such file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    except OSError:
        return None


def discard_partial_files(folder: Path) -> None:
    """Remove what a killed process left half-written. It is for folders that no other process writes into."""
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)
