"""What a logger is. To add one: a subclass of `Logger`, and a node that names it in conf/logger/."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.config import RunConfig
from src.errors import UserError, first_line
from src.result import Status
from src.run_dir import RunDir

if TYPE_CHECKING:  # the sweeps read history.csv without importing torch
    from matplotlib.figure import Figure
    from torch import Tensor

    from src.data.loader import BatchPlan
    from src.metrics import Metrics

Row = dict[str, int | float | None]  # of history.csv: one epoch


@dataclass(frozen=True)
class RunStart:
    """What is known when a run begins or resumes."""

    run_dir: RunDir
    config: RunConfig
    summary: str  # the layer table
    history: Sequence[Row]  # epochs completed before; empty for a new run
    plan: "BatchPlan"  # how many epochs, and batches in each
    val_share: float  # time of validation as a share of the training's
    time_share: Callable[[float], float]  # the share of the run's time that its first part takes, both in [0, 1]
    sample_images: "Tensor"  # (<= 32, 3, H, W) float32 in [0, 1]: training images, augmented as in training


def notify(loggers: "Sequence[Logger]", method: str, *arguments: Any) -> None:
    """Calls a method of each logger. Raises UserError, which names the logger, for what its code raises."""
    for logger in loggers:
        try:
            getattr(logger, method)(*arguments)
        except (UserError, OSError):
            raise
        except Exception as error:
            raise UserError(
                f"the logger {type(logger).__name__} fails in {method}: {type(error).__name__}: "
                f"{first_line(error).rstrip('.')}; mend it, or leave it out with ~logger.<its name>. The traceback is "
                "in train.log."
            ) from error


class Logger:
    """Is told of a run's progress; a subclass overrides what it needs."""

    def on_run_start(self, run: RunStart) -> None:
        """Before the first step of this process. What was logged after the last epoch of `run.history` is redone."""

    def on_log(self, epoch: int, batch: int, loss: float, top1: float) -> None:
        """About once a second: `epoch` are completed; batches, mean loss and accuracy are of the epoch under way."""

    def on_epoch_end(self, history: Sequence[Row], is_best: bool) -> None:
        """After validation: the last row of `history` is the epoch's."""

    def on_run_end(
        self, history: Sequence[Row], metrics: "Mapping[str, Metrics]", figures: "Mapping[str, Figure]"
    ) -> None:
        """After the final evaluation: `metrics` by part of the data, `figures` by name."""

    def close(self, status: Status) -> None:
        """However the run ends: `status` is completed, paused, interrupted or failed."""
