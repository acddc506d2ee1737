"""The GPUs of this machine as nvidia-smi knows them, and which of them this process uses."""

import functools
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from src.lock import try_lock

GPU_LOCKS = Path(tempfile.gettempdir()) / f"cifarlab-gpus-{os.getuid()}"
_claimed: dict[Path, tuple[str, TextIO]] = {}  # UUID and lock: an open file keeps it as long as this process lives


class Gpu(NamedTuple):
    """What nvidia-smi says of a GPU."""

    free_mebibytes: int  # 0 where it is not known
    driver: str


@functools.cache
def query_gpus() -> dict[str, Gpu]:
    """The GPUs by UUID, as PyTorch writes it: "8d2f91a0-..."; empty where there is no nvidia-smi, as with AMD's."""
    command = ["nvidia-smi", "--query-gpu=uuid,memory.free,driver_version", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines()]
    gpus = (row for row in rows if len(row) == 3)  # others are messages
    return {uuid.removeprefix("GPU-"): Gpu(int(free) if free.isdigit() else 0, driver) for uuid, free, driver in gpus}


def claim_gpu(uuids: Sequence[str], gpus: Mapping[str, Gpu], locks: Path = GPU_LOCKS) -> int:
    """The index in `uuids` of the GPU with the most free memory that no other process has claimed.

    Where all are taken, of all of them. Claims go by UUID, for processes may number the GPUs differently
    (CUDA_VISIBLE_DEVICES). A process keeps the GPU that it was given first, so that the runs of a sequential sweep stay
    on one.
    """
    if locks in _claimed and _claimed[locks][0] in uuids:
        return uuids.index(_claimed[locks][0])
    locks.mkdir(exist_ok=True)
    free = [gpus[uuid].free_mebibytes if uuid in gpus else 0 for uuid in uuids]
    freest = sorted(range(len(uuids)), key=free.__getitem__, reverse=True)
    for index in freest:
        file = try_lock(locks / uuids[index])
        if file is not None:
            _claimed[locks] = (uuids[index], file)  # one that was claimed before is free again
            return index
    return freest[0]
