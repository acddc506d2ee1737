"""Locks between processes: a locked file is released when its process ends, however it ends.

Some disks of clusters have no locks: there every file counts as free, and two processes in one run folder are not
noticed.
"""

import errno
import fcntl
import functools
import warnings
from pathlib import Path
from typing import TextIO

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def try_lock(path: Path) -> TextIO | None:
    """The opened file `path`, locked for this process until it is closed; None where another process holds it."""
    file = path.open("a")
    if _try_flock(file, fcntl.LOCK_EX):
        return file
    file.close()
    return None


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of `path`."""
    if not path.exists():
        return False
    with path.open() as file:
        return not _try_flock(file, fcntl.LOCK_SH)


def _try_flock(file: TextIO, kind: int) -> bool:
    """Whether no other process holds the lock; `file` then has it, where its disk has locks."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        _warn_once()
    return True


@functools.cache
def _warn_once() -> None:
    warnings.warn("this disk has no locks: start no second process in a run's folder", stacklevel=4)
