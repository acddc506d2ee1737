"""Checkpoints: plain containers and tensors, written atomically, with everything that an exact resume needs.

`save_checkpoint` lists what is saved, `restore` what is restored.
"""

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from src.errors import UserError, require
from src.run_dir import write_atomically
from src.training.inference import Classifier

if TYPE_CHECKING:
    from src.training.trainer import Trainer


def save_checkpoint(path: Path, trainer: "Trainer") -> None:
    """Writes `model` (the plain state dict), `optimizer`, `epoch`, `step` and the rest to `path`."""
    content = {
        "model": trainer.classifier.trained_state(),
        "base": trainer.classifier.frozen_hash,
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "random": _random_state(),
        "classes": asdict(trainer.splits.classes),
        "fingerprint": trainer.fingerprint,
        "meter": trainer.meter.state_dict(),
        **asdict(trainer.state),
    }
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: torch.save(content, file))


def restore(content: dict[str, Any], trainer: "Trainer") -> None:
    """Brings the trainer and torch's global generators into the state of a checkpoint.

    Raises UserError where the data, or the frozen part's base run, has changed since.
    """
    if content["fingerprint"] != trainer.fingerprint:
        raise UserError(
            f"the data has changed since {trainer.run_dir.path} began (fingerprint {trainer.fingerprint} instead of "
            f"{content['fingerprint']}); restore what data.root held, or start a new run."
        )
    require_same_base(content, trainer.classifier, trainer.config.init.run)
    trainer.classifier.load_trained_state(content["model"])
    trainer.optimizer.load_state_dict(content["optimizer"])
    trainer.scheduler.load_state_dict(content["scheduler"])
    if content["scaler"]:  # empty for a run that began in another precision
        trainer.scaler.load_state_dict(content["scaler"])
    torch.set_rng_state(content["random"]["cpu"])
    if len(content["random"]["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(content["random"]["cuda"])
    trainer.meter.load_state_dict(content["meter"])
    for entry in fields(trainer.state):
        setattr(trainer.state, entry.name, content[entry.name])


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU. Raises UserError where it is missing or damaged."""
    require(path.is_file(), f"{path} does not exist: the run has not reached that checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a damaged file may raise anything
        raise UserError(_damaged(path, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")) from error
    if not isinstance(content, dict) or not {"model", "optimizer", "epoch", "step"} <= content.keys():
        raise UserError(_damaged(path, "it is not a checkpoint of a run"))
    return content


def require_same_base(content: dict[str, Any], classifier: Classifier, base: str | None) -> None:
    """Raises UserError where the frozen part no longer has the weights over which the checkpoint was trained."""
    require(
        content.get("base") == classifier.frozen_hash,
        f"the weights of init.run={base} have changed since this run was trained over them; restore its checkpoints, "
        "or train again over it in another folder",
    )


def _damaged(path: Path, reason: str) -> str:
    other = path.with_name("best.pt" if path.stem == "last" else "last.pt")
    return (
        f"{path} is damaged and cannot be read ({reason.rstrip(': ')}); copy {other} over it, or train again in "
        "another folder."
    )


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
