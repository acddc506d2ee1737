"""How far a run has come."""

from dataclasses import dataclass, field

from src.loggers.logger import Row
from src.metrics import Metrics
from src.training.meter import Meter


@dataclass
class TrainState:
    """What a checkpoint holds beside weights, optimizer and the sums of the epoch under way."""

    epoch: int = 0  # epochs completed
    batch: int = 0  # batches done in the epoch under way
    step: int = 0  # optimizer steps done
    averaged: int = 0  # of these, those whose weights are in the average (EMA, SWA)
    seconds: float = 0.0  # training and validating, without the time between interruption and resume
    seconds_saving: float = 0.0  # of `seconds`
    lr: float = 0.0  # of the last step
    history: list[Row] = field(default_factory=list)  # one row per completed epoch

    @property
    def best(self) -> Row:
        """The row of the epoch with the highest validation accuracy, the first of equal ones; empty without one."""
        validated = (row for row in self.history if row.get("val_top1") is not None)
        return max(validated, key=lambda row: row["val_top1"], default={})

    def end_epoch(self, meter: Meter, val: Metrics | None) -> None:
        """Adds the row of the epoch under way, from its sums and its validation, to the history; counts the epoch."""
        self.epoch += 1
        self.batch = 0
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": meter.mean_loss(),
                "train_top1": meter.accuracy(),
                "val_loss": val.loss if val else None,
                "val_top1": val.top1 if val else None,
                "lr": self.lr,
                "images_per_second": meter.images / meter.seconds,
                "seconds": self.seconds,
            }
        )
