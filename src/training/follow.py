"""What every process but the first does: it waits for runs, and takes part in each."""

import itertools
import os
import pickle
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

import torch.distributed as dist

from src.errors import Interrupted, UserError, explain_os_error
from src.training.launch import Order, join_group, order_key, torchrun_store
from src.training.messages import explain_failure, log
from src.training.ranks import DAYS, Ranks, is_lost_connection
from src.training.run import take_part


def follow() -> NoReturn:
    """Takes part in the leader's runs until it has no more, or has ended; the leader's exit code says how."""
    log.disabled = True
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        store = torchrun_store()
    except UserError as error:  # torchrun then ends the others
        sys.exit(f"error: {error}")
    with suppress(dist.DistError, Interrupted, KeyboardInterrupt):  # the store ends with the leader, who tells why
        for number in itertools.count():
            store.wait([order_key(number)], DAYS)
            order: Order | None = pickle.loads(store.get(order_key(number)))
            if order is None:
                break
            with join_group(store, number, rank, size) as ranks:
                _take_part(order, ranks)
    sys.exit(0)


def _take_part(order: Order, ranks: Ranks) -> None:
    """This process's part of one run. The leader learns why it failed, and tells the user."""
    try:
        take_part(order.config, order.run_dir, order.pause_at, ranks)
    except Exception as error:
        if is_lost_connection(error):  # the leader has ended the run
            return
        explained = explain_os_error(error) if isinstance(error, OSError) else explain_failure(error, order.config)
        ranks.store.set("failure", f"(number {ranks.rank}) failed: {explained or f'{type(error).__name__}: {error}'}")
        if explained is None:
            traceback.print_exc()
