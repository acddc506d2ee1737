"""What a run says to its user: its heading, the commands that come next, what can be done about a failure."""

import torch
from omegaconf import DictConfig

from src.config import choice
from src.data.split import Splits
from src.errors import UserError
from src.overrides import quoted_override
from src.results.run_folder import RunFolder


def resume_command(folder: RunFolder) -> str:
    return f"python -m src.train {quoted_override('resume', folder.path)}"


def next_commands(folder: RunFolder) -> list[str]:
    run = quoted_override("run", folder.path)
    return [
        f"python -m src.evaluate {run}",
        f"python -m src.predict {run} images='path/*.png'",
        "tensorboard --logdir outputs",
    ]


def heading(config: DictConfig, folder: RunFolder, splits: Splits, device: str) -> str:
    parts = [f"{len(splits.train):,} training images"]
    if splits.validation:
        parts.append(f"{len(splits.validation):,} held out for validation")
    parts.append(f"{len(splits.test):,} for the test")
    groups = ("model", "data", "augmentation", "optimizer", "scheduler")
    chosen = " ".join(f"{group}={choice(config, group)}" for group in groups)
    return (
        f"{folder.path}\n{chosen}\n{', '.join(parts)}; {len(splits.classes.names)} classes\n"
        f"batches of {config.data.batch_size}, {config.trainer.epochs} epochs, seed {config.seed}, on {device}"
    )


def reason_of(error: Exception, config: DictConfig) -> UserError | None:
    """What the user can do about `error`; None where it is a fault of the program."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return UserError(
            f"out of GPU memory with batches of {config.data.batch_size}: halve data.batch_size and double "
            "trainer.accumulate, which trains alike, or take a smaller model.width or data.image_size."
        )
    if config.trainer.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return UserError(f"trainer.compile=true fails on this network or machine ({_first_line(error)}); leave it out.")
    if isinstance(error, OSError):
        return UserError(f"{error}; the run goes on from its last checkpoint with resume=... once that is mended.")
    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
