"""Which GPU a process takes, where there are several: runs that are under way together each get their own."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TextIO

_claimed: dict[Path, tuple[int, TextIO]] = {}  # an open file keeps its lock as long as this process lives


LOCKS = Path(tempfile.gettempdir()) / f"cifarlab-gpus-{os.getuid()}"


def claim_gpu(count: int, locks: Path = LOCKS) -> int:
    """The first of `count` GPUs that no other process has claimed; one that is shared where all are taken.

    A process keeps the GPU that it was given first: the jobs of a sweep's worker follow each other on it.
    """
    if locks in _claimed:
        return _claimed[locks][0]
    locks.mkdir(exist_ok=True)
    for index in range(count):
        file = (locks / str(index)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        _claimed[locks] = (index, file)
        return index
    return os.getpid() % count
