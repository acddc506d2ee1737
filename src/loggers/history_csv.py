"""history.csv: one row per epoch."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from src.checksums import verify_checksum
from src.errors import UserError
from src.files import read_text, write_text
from src.loggers.logger import Logger, Row, RunStart

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
    """The rows of a history.csv as numbers; None for what is empty. Raises UserError where the file is damaged."""
    verify_checksum(path)
    text = read_text(path)
    try:
        header, *lines = list(csv.reader(io.StringIO(text))) or [[]]
        if tuple(header) != COLUMNS:
            raise ValueError(f"its first line is not {','.join(COLUMNS)}")
        rows = [dict(zip(COLUMNS, map(_number, cells), strict=True)) for cells in lines]
        if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("its epochs are not 1, 2, 3, ...")
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}); a resumed run writes it anew.") from error
    return rows


def _number(text: str) -> int | float | None:
    if not text:
        return None
    number = int(text) if text.isdecimal() and text.isascii() else float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number
