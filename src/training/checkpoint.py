"""Checkpoints: plain containers and tensors, written atomically, with everything that an exact resume needs."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from src.data.images import Classes
from src.errors import UserError
from src.results.history import Row
from src.results.run_folder import write_atomically
from src.training.learner import Learner, load_trained_state, trained_state


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


def save_checkpoint(path: Path, learner: Learner, progress: Progress, classes: Classes, fingerprint: str) -> None:
    """Writes `model` (the plain state dict), `optimizer`, `epoch`, `step` and the rest to `path`."""
    content = {
        "model": trained_state(learner.network, learner.frozen_name),
        "base": learner.frozen_hash,
        "optimizer": learner.optimizer.state_dict(),
        "scheduler": learner.scheduler.state_dict(),
        "scaler": learner.scaler.state_dict(),
        "random": _random_state(),
        "classes": asdict(classes),
        "fingerprint": fingerprint,
        **asdict(progress),
    }
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Raises UserError where it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: the run has not come to that checkpoint.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file may make of the unpickling
        raise UserError(_damaged(path, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")) from error
    if not isinstance(content, dict) or not {"model", "optimizer", "epoch", "step"} <= content.keys():
        raise UserError(_damaged(path, "it is not a checkpoint of a run"))
    return content


def _damaged(path: Path, reason: str) -> str:
    other = path.with_name("best.pt" if path.stem == "last" else "last.pt")
    return (
        f"{path} is damaged and cannot be read ({reason.rstrip(': ')}); put {other} in its place, or "
        "train the run anew in another folder."
    )


def require_base(content: dict[str, Any], frozen_hash: str | None, base: str | None) -> None:
    """Raises UserError where the frozen part is no longer the one over which the checkpoint was trained."""
    if content.get("base") != frozen_hash:
        raise UserError(
            f"init.run={base} is no longer what it was when this run was trained over it: its weights have changed. "
            "Put back its checkpoints, or train anew over it in another folder."
        )


def restore(content: dict[str, Any], learner: Learner, progress: Progress) -> None:
    """Puts the learner, torch's global generators and `progress` into the saved state."""
    load_trained_state(learner.network, content["model"], learner.frozen_name)
    learner.optimizer.load_state_dict(content["optimizer"])
    learner.scheduler.load_state_dict(content["scheduler"])
    if content["scaler"]:  # a run that began in another precision has none
        learner.scaler.load_state_dict(content["scaler"])
    torch.set_rng_state(content["random"]["cpu"])
    if len(content["random"]["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(content["random"]["cuda"])
    for entry in fields(progress):
        setattr(progress, entry.name, content[entry.name])


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
