"""The leader calls the other processes to a run: those that torchrun started, or those that trainer.gpus=N starts."""

import itertools
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist

from src.config import RunConfig
from src.errors import UserError, first_line, require
from src.processes import LIFELINE, python_path
from src.run_dir import RunDir
from src.torchrun import VARIABLES, is_launched
from src.training.ranks import ALONE, Ranks, is_lost_connection
from src.training.signals import StopRequest

PATIENCE = timedelta(minutes=10)  # with a rank that no longer answers
END_SECONDS = 10  # for followers to end by themselves
_run_numbers = itertools.count()


@dataclass(frozen=True)
class Order:
    """What the leader tells the others: take part in this run."""

    config: RunConfig
    run_dir: RunDir
    pause_at: int | None


@contextmanager
def call_ranks(order: Order, stop: StopRequest) -> Iterator[Ranks]:
    """The leader's Ranks for the run of `order`, after the others were told to take part; ALONE without others.

    Raises UserError where another rank fails or ends within it.
    """
    gpus = order.config.trainer.gpus
    if is_launched():
        number = next(_run_numbers)
        size = int(os.environ["WORLD_SIZE"])
        with _called(torchrun_store(), number, size, order, stop.raise_if_asked) as ranks:
            yield ranks
    elif gpus > 1:
        if order.config.trainer.device != "cpu":
            found = torch.cuda.device_count()
            require(found >= gpus, f"trainer.gpus={gpus}, but PyTorch finds {found} CUDA devices here; lower it")
        with _started_followers(gpus) as (store, processes):

            def check() -> None:
                stop.raise_if_asked()
                ended = any(process.poll() is not None for process in processes)
                require(not ended, "another process of this run ended while it started")

            with _called(store, 0, gpus, order, check) as ranks:
                yield ranks
                dismiss(store, 1)
    else:
        yield ALONE


@contextmanager
def join_group(store: dist.Store, number: int, rank: int, size: int) -> Iterator[Ranks]:
    """The process group of run number `number` of this store, by NCCL between GPUs and by gloo between CPUs."""
    own = _store_of_run(store, number)
    own.set(f"joined/{rank}", "")
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


def _store_of_run(store: dist.Store, number: int) -> dist.Store:
    return dist.PrefixStore(f"run/{number}", store)


def order_key(number: int) -> str:
    """Under which the store holds the order for run number `number`."""
    return f"order/{number}"


def dismiss(store: dist.Store, number: int) -> None:
    """Tells the others that there is no run of that number, nor any later one."""
    store.set(order_key(number), pickle.dumps(None))


def dismiss_torchrun() -> None:
    """At the end of the leader's command, whatever became of it."""
    with suppress(UserError, dist.DistError):  # there is no store, so nobody waits at it
        dismiss(torchrun_store(), next(_run_numbers))


@contextmanager
def _called(store: dist.Store, number: int, size: int, order: Order, check: Callable[[], None]) -> Iterator[Ranks]:
    """The leader's Ranks once the others have come; `check` may raise while it waits for them."""
    store.set(order_key(number), pickle.dumps(order))
    own = _store_of_run(store, number)
    while not own.check([f"joined/{rank}" for rank in range(1, size)]):
        check()  # once in the process group, the wait hears no signal
        time.sleep(0.05)
    with join_group(store, number, 0, size) as ranks:
        try:
            yield ranks
        except Exception as error:
            if not is_lost_connection(error):
                raise
            reason = "ended unexpectedly"
            if "nccl" in str(error).lower():  # it may have failed by itself; gloo only says that the other one is gone
                reason += f" ({first_line(error)})"
            if ranks.store.check(["failure"]):
                reason = ranks.store.get("failure").decode()
            raise UserError(
                f"another process of this run {reason.rstrip('.')}; the run continues from its last checkpoint with "
                f"resume={order.run_dir.path}."
            ) from error


@contextmanager
def _started_followers(size: int) -> Iterator[tuple[dist.Store, list[subprocess.Popen[bytes]]]]:
    """`size` - 1 new processes of this machine, which end with this one, and their store."""
    store = dist.TCPStore("127.0.0.1", 0, size, is_master=True, wait_for_workers=False, timeout=PATIENCE)
    lifeline, other_end = os.pipe()
    threads = torch.get_num_threads()
    each = max(1, threads // size)
    torch.set_num_threads(each)
    own = {"PYTHONPATH": python_path(), LIFELINE: str(lifeline), "OMP_NUM_THREADS": str(each)}
    processes = []
    try:
        for rank in range(1, size):
            place = dict(zip(VARIABLES, map(str, (rank, rank, size, "127.0.0.1", store.port)), strict=True))
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "src.train"],
                    env={**os.environ, **own, **place},
                    pass_fds=(lifeline,),
                    process_group=0,  # Ctrl-C reaches them through the leader
                )
            )
        yield store, processes
    finally:
        os.close(other_end)  # they end, as they would if this process were killed
        os.close(lifeline)
        for process in processes:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        torch.set_num_threads(threads)
