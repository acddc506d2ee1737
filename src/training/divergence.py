"""A loss or a weight that is no longer finite ends the run, before anything of it is saved."""

import math
from typing import TYPE_CHECKING

import torch

from src.errors import UserError

if TYPE_CHECKING:
    from src.training.trainer import Trainer


def divergence(trainer: "Trainer") -> UserError:
    """The error that says where, and what to do."""
    state = trainer.state
    place, step = f"epoch {state.epoch + 1}, batch {state.batch}", "this step"
    if not state.batch:
        place, step = f"after epoch {state.epoch}", "the last step"
    return UserError(
        f"the loss is no longer a finite number ({place}): lower optimizer.lr ({state.lr or trainer.lr:g} in "
        f"{step}), clip the gradients with trainer.grad_clip_norm=1, or begin gently with scheduler.warmup_epochs=1."
    )


def finite_loss(trainer: "Trainer") -> float:
    """The mean loss of the epoch under way. Raises UserError where it is not finite."""
    loss = trainer.meter.mean_loss()
    if not math.isfinite(loss):
        raise divergence(trainer)
    return loss


def require_finite(trainer: "Trainer") -> None:
    """Raises UserError where the loss or a weight is not finite."""
    if trainer.meter.images:
        finite_loss(trainer)
    weights = trainer.classifier.model.parameters()
    if not torch.stack([weight.detach().isfinite().all() for weight in weights]).all():
        raise divergence(trainer)
