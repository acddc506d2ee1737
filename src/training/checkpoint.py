"""Checkpoints: plain containers and tensors, written atomically, with everything that an exact resume needs.

`save_progress` lists what is saved, `restore` what is restored.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from src.data.dataset import CLASSES_SHAPE, Classes
from src.errors import UserError, first_line, require
from src.run_dir import RunDir
from src.tensor_file import load_tensors, require_finite, save_tensors
from src.training.inference import Classifier
from src.training.messages import log

if TYPE_CHECKING:
    from src.training.trainer import Trainer

SHAPE = {
    "model": {str: Tensor},
    "base": (str, None),
    "optimizer": {"state": dict, "param_groups": [dict]},
    "scheduler": dict,
    "scaler": dict,
    "classes": CLASSES_SHAPE,
    "fingerprint": str,
    "meter": {"loss_sum": float, "correct": int, "images": int, "seconds": float},
    "epoch": int,
    "batch": int,
    "step": int,
    "seconds": float,
    "lr": float,
    "history": [{str: (float, None)}],
}


def save_progress(name: str, trainer: "Trainer") -> None:
    """Writes the checkpoint `last` or `best`, and how far the run has come to result.json.

    The `last` before becomes `previous`, in case the disk damages a file.
    """
    run_dir, state = trainer.run_dir, trainer.state
    content = {
        "model": trainer.evaluated.trained_state(),
        "raw": trainer.classifier.trained_state() if trainer.average else None,  # before averaging
        "base": trainer.classifier.frozen_hash,
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": trainer.scheduler.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "classes": asdict(trainer.splits.classes),
        "fingerprint": trainer.fingerprint,
        "planned_epochs": trainer.config.trainer.epochs,  # which config.yaml may leave open
        "meter": trainer.meter.state_dict(),
        **asdict(state),
    }
    if name == "last":
        _keep_previous(run_dir)
    save_tensors(run_dir.checkpoint(name), content)
    best = state.best
    run_dir.update_result(
        epochs=state.epoch,
        steps=state.step,
        seconds=round(state.seconds, 3),
        best_epoch=best.get("epoch"),
        best_val_top1=best.get("val_top1"),
        seconds_saving=round(state.seconds_saving, 3),
    )


def restore(content: dict[str, Any], trainer: "Trainer") -> None:
    """Brings the trainer into the state of a checkpoint; random numbers are functions of (seed, epoch, batch).

    Raises UserError where the data, or the frozen part's base run, has changed since, and where the checkpoint is not
    one of this network and optimizer.
    """
    require_same_data(content, trainer.fingerprint, trainer.run_dir)
    require_same_base(content, trainer.classifier, trainer.config.init.run)
    epoch, batch, epochs = content["epoch"], content["batch"], trainer.loader.plan.num_epochs
    fits = 0 <= epoch <= epochs and 0 <= batch <= len(trainer.loader) and len(content["history"]) == epoch
    fits = fits and list(content["classes"]["names"]) == list(trainer.splits.classes.names)
    require(
        fits,
        f"{trainer.run_dir.checkpoint('last')} (epoch {epoch}, batch {batch}) is none of this run; restore it, "
        "or train again in another folder",
    )
    with _explained("network", trainer):
        trainer.classifier.load_trained_state(content["raw"] if trainer.average else content["model"])
        if trainer.average:
            averaged = trainer.classifier.with_model(trainer.average.module)
            averaged.load_trained_state(content["model"])
            trainer.average.n_averaged.fill_(content.get("averaged", content["step"]))
    with _explained("optimizer", trainer):
        require_same_group_keys(content["optimizer"]["param_groups"], trainer.optimizer.param_groups)
        trainer.optimizer.load_state_dict(content["optimizer"])
    with _explained("schedule", trainer):
        trainer.scheduler.load_state_dict(content["scheduler"])
    if content["scaler"]:  # empty for a run that began in another precision
        with _explained("precision", trainer):
            trainer.scaler.load_state_dict(content["scaler"])
    trainer.meter.load_state_dict(content["meter"])
    for entry in fields(trainer.state):
        if entry.name in content:  # checkpoints of older versions lack some
            setattr(trainer.state, entry.name, content[entry.name])


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU.

    Raises UserError where it is missing or damaged, or where a weight is not finite.
    """
    require(path.exists(), f"{path} does not exist: the run has not reached that checkpoint")
    other = path.with_name("best.pt" if path.stem == "last" else "last.pt")
    advice = f"{f'copy {other} over it' if other.exists() else 'restore it'}, or train again in another folder"
    content = load_tensors(path, SHAPE, advice)
    require_finite(content["model"], path, advice)
    Classes.from_saved(content["classes"], path)
    return content


def load_last(run_dir: RunDir) -> dict[str, Any]:
    """The checkpoint from which a run continues: the last, or the one before it where the last is damaged.

    Raises UserError where both are damaged, or where best.pt is, which the final evaluation needs.
    """
    try:
        content = load_checkpoint(run_dir.checkpoint("last"))
    except UserError as error:
        if not run_dir.checkpoint("previous").exists():
            raise
        try:
            content = load_checkpoint(run_dir.checkpoint("previous"))
        except UserError:
            raise error from None  # the last is the one to mend
        log.warning(
            f"WARNING: {error} The run continues from the checkpoint before it, {run_dir.checkpoint('previous')} "
            f"(epoch {content['epoch']}, batch {content['batch']})."
        )
    best = run_dir.checkpoint("best")
    if best.exists():
        try:
            load_checkpoint(best)
        except UserError as error:
            raise UserError(
                f"{str(error).partition(';')[0]}; the final evaluation needs it: restore it, or remove it: then "
                "a later epoch that is better is evaluated, or else the last one."
            ) from error
    return content


def require_nothing_lost(run_dir: RunDir) -> None:
    """Raises UserError where a run without a checkpoint has trained before: it would begin anew, over its results."""
    require(
        not (run_dir.load_result().get("steps") or run_dir.checkpoint("best").exists()),
        f"{run_dir.checkpoint('last')} does not exist, but {run_dir.path} has trained before; restore it, or train "
        "again in another folder",
    )


def require_same_data(content: dict[str, Any], fingerprint: str, run_dir: RunDir) -> None:
    """Raises UserError where the data is not that of the checkpoint."""
    require(
        content["fingerprint"] == fingerprint,
        f"the data is not that on which {run_dir.path} was trained (fingerprint {fingerprint} instead of "
        f"{content['fingerprint']}); name the folder that holds it with data.root=..., or start a new run",
    )


def require_same_base(content: dict[str, Any], classifier: Classifier, base: str | None) -> None:
    """Raises UserError where the frozen part no longer has the weights over which the checkpoint was trained."""
    require(
        content["base"] == classifier.frozen_hash,
        f"the weights of init.run={base} have changed since this run was trained over them; restore its checkpoints, "
        "or train again over it in another folder",
    )


def require_same_group_keys(saved: list[dict[str, Any]], groups: list[dict[str, Any]]) -> None:
    """Raises ValueError where the parameter groups have other keys, as those of another optimizer have."""
    names, saved_names = ([sorted(group) for group in each] for each in (groups, saved))
    if names != saved_names:
        raise ValueError("it holds the state of another optimizer")


def _keep_previous(run_dir: RunDir) -> None:
    """Gives the last checkpoint a second name, which it keeps when another one takes the name `last`."""
    last, previous = run_dir.checkpoint("last"), run_dir.checkpoint("previous")
    if not last.exists():
        return
    previous.unlink(missing_ok=True)
    try:
        previous.hardlink_to(last)
    except OSError:  # a file system without hard links: a copy would cost as much as a save, so there is none
        return


@contextmanager
def _explained(part: str, trainer: "Trainer") -> Iterator[None]:
    """Turns whatever PyTorch raises for a state that does not fit into one sentence."""
    try:
        yield
    except Exception as error:
        raise UserError(
            f"{trainer.run_dir.checkpoint('last')} does not fit the {part} that {trainer.run_dir.config_file} "
            f"describes: {first_line(error).rstrip('.:')}; restore both from the same run, or train again."
        ) from error
