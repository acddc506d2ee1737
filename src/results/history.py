"""history.csv: one row per epoch."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from src.results.run_folder import write_text

COLUMNS = (
    "epoch",  # completed, from 1
    "train_loss",  # mean over the epoch's batches, as trained: augmented, smoothed, weights moving
    "train_top1",
    "val_loss",
    "val_top1",
    "lr",  # of the epoch's last step
    "images_per_second",  # of training alone
    "seconds",  # since the run's start, without the time between interruption and resume
    "clean_train_top1",  # of the evaluated network, on its training images as they are; in that network's row only
)

Row = dict[str, int | float | None]


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
