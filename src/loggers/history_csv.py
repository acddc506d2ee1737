"""history.csv: one row per epoch."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from src.loggers.base import Logger, Row, RunStart
from src.run_dir import write_text

COLUMNS = (
    "epoch",  # completed, from 1
    "train_loss",  # mean over the epoch's images, as trained: augmented, smoothed, while weights change
    "train_top1",
    "val_loss",
    "val_top1",
    "lr",  # of the epoch's last step
    "images_per_second",  # of training alone
    "seconds",  # since the run's start, without the time between interruption and resume
    "clean_train_top1",  # accuracy on training images without augmentation; only in the evaluated epoch's row
)


class HistoryCsvLogger(Logger):
    def on_run_start(self, run: RunStart) -> None:
        self.path = run.run_dir.history_file
        if run.history:  # without the epochs after the checkpoint
            write_history(self.path, run.history)

    def on_epoch_end(self, history: Sequence[Row], is_best: bool) -> None:
        write_history(self.path, history)

    def on_run_end(self, history: Sequence[Row], metrics: object, figures: object) -> None:
        write_history(self.path, history)


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Writes all rows; what was not measured stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_history(path: Path) -> list[Row]:
    """The rows of a history.csv as numbers; None for what is empty."""
    with path.open(newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> int | float | None:
    if not text:
        return None
    return int(text) if text.isdigit() else float(text)
