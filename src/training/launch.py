"""The leader calls the other processes to a run: those that torchrun started, or those that trainer.gpus=N starts."""

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist

from src.choices import SRC
from src.config import RunConfig
from src.errors import UserError, require
from src.run_dir import RunDir
from src.sweeps.workers import LIFELINE
from src.torchrun import VARIABLES, is_launched
from src.training.ranks import ALONE, Ranks, is_lost_connection

PATIENCE = timedelta(minutes=10)  # with a rank that no longer answers; one that has ended is noticed at once
END_SECONDS = 10  # for followers to end by themselves
_run_numbers = itertools.count()


@dataclass(frozen=True)
class Order:
    """What the leader tells the others: take part in this run."""

    config: RunConfig
    run_dir: RunDir
    pause_at: int | None


@contextmanager
def call_ranks(order: Order) -> Iterator[Ranks]:
    """The leader's Ranks for the run of `order`, after the others were told to take part; ALONE without others.

    Raises UserError where another rank fails or ends within it.
    """
    gpus = order.config.trainer.gpus
    if is_launched():
        number = next(_run_numbers)
        with _called(torchrun_store(), number, int(os.environ["WORLD_SIZE"]), order) as ranks:
            yield ranks
    elif gpus > 1:
        if order.config.trainer.device != "cpu":
            found = torch.cuda.device_count()
            require(found >= gpus, f"trainer.gpus={gpus}, but PyTorch finds {found} CUDA devices here; lower it")
        with _started_followers(gpus) as store, _called(store, 0, gpus, order) as ranks:
            yield ranks
            dismiss(store, 1)
    else:
        yield ALONE


@contextmanager
def join_group(store: dist.Store, number: int, rank: int, size: int) -> Iterator[Ranks]:
    """The process group of run number `number` of this store, by NCCL between GPUs and by gloo between CPUs."""
    own = dist.PrefixStore(f"run/{number}/", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Ranks(rank, size, own)
    finally:
        dist.destroy_process_group()


@cache
def torchrun_store() -> dist.Store:
    """The key-value store that all processes of torchrun share. Raises UserError where its address cannot be had."""
    try:
        store, _, _ = next(dist.rendezvous("env://", timeout=PATIENCE))
    except dist.DistError as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise UserError(
            f"the processes of this run cannot meet at {address}, another program may use it; choose another "
            "MASTER_PORT, or torchrun --standalone."
        ) from error
    return store


def order_key(number: int) -> str:
    """Under which the store holds the order for run number `number`."""
    return f"order/{number}"


def dismiss(store: dist.Store, number: int) -> None:
    """Tells the others that there is no run of that number, nor any later one."""
    store.set(order_key(number), pickle.dumps(None))


def dismiss_torchrun() -> None:
    """At the end of the leader's command, whatever became of it."""
    if is_launched():
        dismiss(torchrun_store(), next(_run_numbers))


@contextmanager
def _called(store: dist.Store, number: int, size: int, order: Order) -> Iterator[Ranks]:
    store.set(order_key(number), pickle.dumps(order))
    with join_group(store, number, 0, size) as ranks:
        try:
            yield ranks
        except Exception as error:
            if not is_lost_connection(error):
                raise
            reason = ranks.store.get("failure").decode() if ranks.store.check(["failure"]) else "ended unexpectedly"
            raise UserError(
                f"another process of this run {reason.rstrip('.')}; the run continues from its last checkpoint with "
                f"resume={order.run_dir.path}."
            ) from error


@contextmanager
def _started_followers(size: int) -> Iterator[dist.Store]:
    """The store of `size` - 1 new processes of this machine; they end with this one."""
    store = dist.TCPStore("127.0.0.1", 0, size, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    lifeline, other_end = os.pipe()
    threads = torch.get_num_threads()
    each = max(1, threads // size)
    torch.set_num_threads(each)
    path = os.pathsep.join(filter(None, [str(SRC.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, LIFELINE: str(lifeline), "OMP_NUM_THREADS": str(each)}
    processes = []
    try:
        for rank in range(1, size):
            place = dict(zip(VARIABLES, map(str, (rank, rank, size, "127.0.0.1", store.port)), strict=True))
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "src.train"],
                    env=environment | place,
                    pass_fds=(lifeline,),
                    process_group=0,  # Ctrl-C reaches them through the leader
                )
            )
        yield store
    finally:
        os.close(other_end)  # they end, as they would if this process were killed
        os.close(lifeline)
        for process in processes:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        torch.set_num_threads(threads)
