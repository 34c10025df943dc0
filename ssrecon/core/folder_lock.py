"""A lock sees to it that one process at a time writes into a folder."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ssrecon.core.errors import OutputInUse

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".ssrecon.lock"
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What the system answers where a file system has no locks."""


class NotLocked(UserWarning):
    """A folder's file system has no locks: nothing keeps a second process from writing into it."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Give the folder to this process until the block ends. Raises OutputInUse, naming the folder, where it belongs to another one.

    The lock is the kernel's (``flock`` of a hidden file in the folder): it ends with the process however that ends, so that a killed
    process leaves a small file behind and no lock. The file is removed when the block ends. On NFS the lock is one of the server and holds
    between machines; where the mount was made with ``nolock`` or ``local_lock`` it holds between the processes of one machine only. Where
    there are no locks at all, a `NotLocked` warning says so and the block runs. The folder is made where it does not exist, and is removed
    again where the block has put nothing into it.
    """
    known = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    handle = _locked(folder, path)
    try:
        yield
    finally:
        if handle is not None:
            # Removed while it is still locked: whoever has opened it meanwhile finds that it is no longer the folder's, and makes another.
            path.unlink(missing_ok=True)
            os.close(handle)
        if not known:
            with suppress(OSError):  # not empty
                folder.rmdir()


def _locked(folder: Path, path: Path) -> int | None:
    """Return the open file that is locked, or None where there are no locks."""
    while fcntl is not None:
        # Closed by exec: workers that are spawned do not hold it after this process has ended.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, handle):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise OutputInUse(
                folder, found="another process that is writing into it", expected="its end, or another folder (--out)"
            ) from None
        except OSError as error:
            os.close(handle)
            if error.errno not in WITHOUT_LOCKS:
                raise
            break
        os.close(handle)
    path.unlink(missing_ok=True)
    warnings.warn(f"{folder}: its file system has no locks; make sure that nothing else writes into it", NotLocked, stacklevel=4)
    return None


def _is_still(path: Path, handle: int) -> bool:
    """Tell whether a path leads to an open file, which another process may have removed before this one locked it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
