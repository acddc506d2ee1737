"""The run as a person sees it: one aligned row per epoch and, on a terminal, a bar within the epoch."""

import logging
import time
from collections.abc import Mapping, Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from src import screen
from src.formatting import duration, percent
from src.loggers.logger import Logger, Row, RunStart
from src.result import Status

log = logging.getLogger("cifarlab")

WIDTHS = {
    "epoch": 9,
    "train loss": 10,
    "train acc": 9,
    "val loss": 8,
    "val acc": 8,
    "lr": 9,
    "images/s": 9,
    "elapsed": 12,
    "left": 12,
}
DROPPED_FIRST = ("left", "images/s", "lr")  # where the terminal is narrower than all columns
MEASURE_SECONDS = 2.0  # how long the first steps are timed before the cost of the run is told
LONG_RUN_SECONDS = 600.0

WATCHED = {
    "holdout": "val: images held out of the training set; * marks the best epoch so far",
    "fold": "val: the fold held out of the training set; * marks the best epoch so far",
    "test": "val: the TEST set, watched every epoch (the course report's protocol); nothing may be chosen by it",
    "none": "no validation: all training images are used, and the last epoch is evaluated",
}


class ConsoleHandler(logging.Handler):
    """Prints messages above the bar, warnings and those that have a `style` in color."""

    def emit(self, record: logging.LogRecord) -> None:
        style = screen.DOUBTFUL if record.levelno >= logging.WARNING else getattr(record, "style", None)
        screen.say(self.format(record), style)


class ConsoleLogger(Logger):
    def on_run_start(self, run: RunStart) -> None:
        self.run = run
        self.columns = columns_that_fit(screen.console.width if screen.has_bars() else None)
        self.first_log: tuple[float, float] | None = None  # time in seconds, share of the run's time before it
        self.cost_told = False
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=screen.console,
            transient=True,
            disable=not screen.has_bars(),
        )
        self.task = self.bar.add_task("", total=run.plan.batches_in(len(run.history)), numbers="")
        log.info(WATCHED[run.config.data.validation])
        log.info(self._line({name: name for name in WIDTHS}))
        log.info("  ".join("-" * WIDTHS[name] for name in self.columns))
        self.bar.start()

    def on_log(self, epoch: int, batch: int, loss: float, top1: float) -> None:
        left = self._seconds_left(epoch, batch)
        numbers = f"loss {loss:.3f}, acc {percent(top1)}" + (f", {duration(left)} left" if left else "")
        self.bar.update(self.task, description=f"epoch {epoch + 1}", completed=batch, numbers=numbers)

    def on_epoch_end(self, history: Sequence[Row], is_best: bool) -> None:
        row = history[-1]
        done = self._time_share(row["epoch"])
        cells = {
            "epoch": f"{row['epoch']}/{self.run.plan.num_epochs}{'*' if is_best else ' '}",
            "train loss": f"{row['train_loss']:.4f}",
            "train acc": percent(row["train_top1"]),
            "val loss": "-" if row["val_loss"] is None else f"{row['val_loss']:.4f}",
            "val acc": percent(row["val_top1"]),
            "lr": f"{row['lr']:.3g}",
            "images/s": f"{row['images_per_second']:,.0f}",
            "elapsed": duration(row["seconds"]),
            "left": duration(row["seconds"] * (1 - done) / done),
        }
        log.info(self._line(cells), extra={"style": screen.GOOD if is_best else None})
        self.bar.reset(self.task, total=self.run.plan.batches_in(row["epoch"]), numbers="")
        self.cost_told = True  # from here on the table tells it

    def close(self, status: Status) -> None:
        self.bar.stop()

    def _seconds_left(self, epoch: int, batch: int) -> float | None:
        """Time to the end of training at the speed since the first call; None before that has been measured."""
        now, done = time.perf_counter(), self._time_share(epoch, batch)
        if self.first_log is None:
            self.first_log = (now, done)
            return None
        then, done_before = self.first_log
        if now - then < MEASURE_SECONDS or done <= done_before:
            return None
        left = (now - then) * (1 - done) / (done - done_before) * (1 + self.run.val_share)
        if not self.cost_told and left > MEASURE_SECONDS:
            advice = ";\n  trainer.max_minutes=... ends it earlier, evaluated" if left > LONG_RUN_SECONDS else ""
            log.info(f"  at the speed of its first steps the run takes about {duration(left)} more{advice}")
            self.cost_told = True
        return left

    def _time_share(self, epoch: int, batch: int = 0) -> float:
        """The share of the run's time that is over after `epoch` epochs and `batch` batches of the next."""
        return self.run.time_share(self.run.plan.share_done(epoch, batch))

    def _line(self, cells: Mapping[str, str]) -> str:
        return "  ".join(f"{cells[name]:>{WIDTHS[name]}}" for name in self.columns)


def columns_that_fit(width: int | None) -> list[str]:
    """The columns of a table at most `width` characters wide; None: all."""
    columns = list(WIDTHS)
    for name in DROPPED_FIRST:
        if width is None or sum(WIDTHS[column] + 2 for column in columns) - 2 <= width:
            break
        columns.remove(name)
    return columns
