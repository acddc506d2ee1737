"""What torchrun tells a process by its environment. Importing this module does not import torch."""

import os

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_launched() -> bool:
    """Whether torchrun has started this process beside others, or a run with trainer.gpus has started it."""
    return all(name in os.environ for name in VARIABLES) and int(os.environ["WORLD_SIZE"]) > 1


def is_follower() -> bool:
    """Whether another process reads the command line, and this one helps with its runs."""
    return is_launched() and int(os.environ["RANK"]) > 0


def local_rank() -> int:
    """This process's number among those on its machine, from 0."""
    return int(os.environ["LOCAL_RANK"]) if is_launched() else 0
