"""Locks between processes: a locked file is released when its process ends, however it ends.

Some disks of clusters have no locks: there every file counts as free, and two processes in one run folder are not
noticed.
"""

import errno
import fcntl
import functools
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def hold_lock(path: Path, while_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Lets one process in at a time; `while_waiting` is called ten times a second, and may raise to end early."""
    while (file := try_lock(path)) is None:
        while_waiting()
        time.sleep(0.1)
    with file:
        yield


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
