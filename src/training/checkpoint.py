"""Checkpoints: plain containers and tensors, written atomically, with everything that an exact resume needs."""

import os
import pickle
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from src.data.images import Classes
from src.errors import UserError
from src.results.history import Row
from src.training.learner import Learner


@dataclass
class Progress:
    """How far a run has come. All else follows from it, the config, and the states of the learner's parts."""

    epoch: int = 0  # completed
    batch: int = 0  # done in the epoch under way
    step: int = 0  # of the optimizer, in all
    seconds: float = 0.0  # spent training and validating, in all sessions
    loss_sum: float = 0.0  # over the images of the epoch under way
    correct: int = 0
    images: int = 0
    train_seconds: float = 0.0  # of the epoch under way, without validation
    lr: float = 0.0  # of the last step
    best_top1: float | None = None
    best_epoch: int = 0
    history: list[Row] = field(default_factory=list)


def save_checkpoint(path: Path, learner: Learner, progress: Progress, classes: Classes) -> None:
    """Writes `model` (the plain state dict), `optimizer`, `epoch`, `step` and the rest to `path`."""
    content = {
        "model": learner.model.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "scheduler": learner.scheduler.state_dict(),
        "scaler": learner.scaler.state_dict(),
        "random": _random_state(),
        "classes": asdict(classes),
        **asdict(progress),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(content, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The content of a checkpoint. Raises UserError where it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: the run has not come to that checkpoint.")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        other = path.with_name("best.pt" if path.stem == "last" else "last.pt")
        raise UserError(
            f"{path} is damaged and cannot be read ({str(error).splitlines()[0]}); use {other} in its place, "
            "or train the run anew in another folder."
        ) from error


def restore(content: dict[str, Any], learner: Learner, progress: Progress) -> None:
    """Puts the learner, torch's global generators and `progress` into the saved state."""
    learner.model.load_state_dict(content["model"])
    learner.optimizer.load_state_dict(content["optimizer"])
    learner.scheduler.load_state_dict(content["scheduler"])
    learner.scaler.load_state_dict(content["scaler"])
    torch.set_rng_state(content["random"]["cpu"].cpu())
    if torch.cuda.is_available() and content["random"]["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in content["random"]["cuda"]])
    for entry in fields(progress):
        setattr(progress, entry.name, content[entry.name])


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
