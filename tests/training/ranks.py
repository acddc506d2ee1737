"""Real ranks for tests: forked processes, joined by gloo."""

import multiprocessing
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from src.training.ranks import Ranks


def in_ranks(size: int, folder: Path, work: Callable[[Ranks], Any]) -> list[Any]:
    """What `work` returns in each of `size` ranks; a rank that raises an error fails the test."""
    context = multiprocessing.get_context("fork")
    folder.mkdir(exist_ok=True)
    ends = [context.Pipe() for _ in range(size)]
    processes = [context.Process(target=_be, args=(rank, size, folder, work, ends[rank][1])) for rank in range(size)]
    for process in processes:
        process.start()
    results = [pickle.loads(ours.recv_bytes()) if ours.poll(60) else "no answer within 60 s" for ours, _ in ends]
    for process in processes:
        process.join(10)
        process.kill()
    failures = [str(result) for result in results if isinstance(result, str)]
    assert not failures, "\n".join(failures)
    return [result[0] for result in results]


def _be(rank: int, size: int, folder: Path, work: Callable[[Ranks], Any], answers: Any) -> None:
    torch.set_num_threads(1)
    try:
        store = dist.FileStore(str(folder / "store"), size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=30))
        answers.send_bytes(pickle.dumps((work(Ranks(rank, size, store)),)))
        dist.destroy_process_group()
    except BaseException:
        answers.send_bytes(pickle.dumps(traceback.format_exc()))
