"""When a run logs, saves and stops: between two steps, at the end of an epoch, after a signal."""

from typing import TYPE_CHECKING

from src.errors import Interrupted
from src.loggers.logger import notify
from src.training.checkpoint import save_progress
from src.training.divergence import finite_loss, require_finite
from src.training.final_eval import evaluation_seconds

if TYPE_CHECKING:
    from src.training.trainer import Trainer


def log_save_or_stop(trainer: "Trainer") -> bool:
    """Once a second informs the loggers, and saves where that is due; whether max_minutes has run out.

    Raises Interrupted, everything saved, once a signal has asked the run to stop.
    """
    trainer.tick(training=True)
    clock, state = trainer.clock, trainer.state
    if clock.log_is_due and trainer.ranks.is_leader:
        loss = finite_loss(trainer)
        notify(trainer.loggers, "on_log", state.epoch, state.batch, loss, trainer.meter.accuracy())
        if clock.ticked - clock.saved > 60 * trainer.config.trainer.checkpoint_minutes:
            save(trainer, "last")
        clock.note_log()
    stop_if_asked(trainer)
    return is_out_of_time(trainer) and state.batch < trainer.loader.plan.batches_in(state.epoch)


def save(trainer: "Trainer", name: str) -> None:
    """Writes the checkpoint `name`, and progress to result.json: the leader does.

    Raises UserError for a loss or a weight that is not finite.
    """
    if trainer.ranks.is_leader:
        require_finite(trainer)
        trainer.tick()
        save_progress(name, trainer)
        trainer.state.seconds_saving += trainer.clock.note_save()
        trainer.tick()  # else the next step would count the save as training
    if name == "last":
        trainer.saved_at = trainer.state.epoch, trainer.state.batch


def stop_if_asked(trainer: "Trainer") -> None:
    """Raises Interrupted, everything saved, once a signal has asked any rank to stop."""
    try:
        trainer.stop.raise_if_asked(trainer.ranks)
    except Interrupted:
        save(trainer, "last")
        raise


def is_out_of_time(trainer: "Trainer") -> bool:
    """Whether max_minutes leaves no more time than a validation and the final evaluation take."""
    minutes = trainer.config.trainer.max_minutes
    if minutes is None:
        return False
    is_over = trainer.clock.ticked - trainer.clock.started + evaluation_seconds(trainer) > 60 * minutes
    return bool(trainer.ranks.largest(is_over))
