"""What a person sees of a run: lines on the terminal and in the run's log, a live table, a bar within the epoch."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from src.results.history import Row
from src.tables import duration, percent

COLUMNS = ("epoch", "train loss", "top1", "val loss", "top1", "lr", "images/s", "elapsed", "left")
WIDTHS = (9, 11, 8, 9, 8, 10, 9, 13, 13)
MEASURE_SECONDS = 2.0  # how long the first steps are timed before the cost of the run is told


class Terminal:
    """Prints to standard output, unless `quiet`, and appends to `log`; no bar where the output is no terminal."""

    def __init__(self, log: Path, quiet: bool = False, console: Console | None = None) -> None:
        self.log = log
        self.console = console or Console(highlight=False, markup=False, soft_wrap=True, quiet=quiet)

    def say(self, text: str = "") -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
        with self.log.open("a") as file:
            file.write(text + "\n")


class LiveTable:
    """One aligned row per epoch and, on a terminal, a bar within the epoch. An observer of the training loop.

    Args:
        terminal: where to print.
        epochs, batches: of the run, and of each epoch.
        watched_share: images to validate on, as a share of the training images.
        watched: what "val" is in this run, for the heading.
        work_until: the share of the run's work that lies in its first part, both from 0 to 1.
    """

    def __init__(
        self,
        terminal: Terminal,
        epochs: int,
        batches: int,
        watched_share: float,
        watched: str,
        work_until: Callable[[float], float],
    ) -> None:
        self.terminal, self.epochs, self.batches = terminal, epochs, batches
        self.watched_share, self.watched, self.work_until = watched_share, watched, work_until
        self.first_look: tuple[float, int, int] | None = None  # seconds, batch, images
        self.cost_told = False
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("batches, loss {task.fields[loss]:.3f}"),
            console=terminal.console,
            transient=True,
            disable=terminal.console.quiet or not terminal.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=batches, loss=float("nan"))

    def __enter__(self) -> "LiveTable":
        if self.watched:
            self.terminal.say(self.watched)
        self.terminal.say(_line(COLUMNS))
        self.terminal.say("  ".join("-" * width for width in WIDTHS))
        self.bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.bar.stop()

    def looked(self, epoch: int, batch: int, images: int, loss_sum: float) -> None:
        """Moves the bar; `images` and `loss_sum` are those of the epoch under way (`epoch` are completed)."""
        self.bar.update(self.task, description=f"epoch {epoch + 1}", completed=batch, loss=loss_sum / images)
        if not self.cost_told:
            self._tell_cost(epoch, batch, images)

    def epoch_ended(self, row: Row, is_best: bool) -> None:
        epoch, seconds = row["epoch"], row["seconds"]
        done = self._done(epoch)
        left = seconds * (1 - done) / done
        cells = (
            f"{epoch}/{self.epochs}{'*' if is_best else ' '}",
            f"{row['train_loss']:.4f}",
            percent(row["train_top1"]),
            "-" if row["val_loss"] is None else f"{row['val_loss']:.4f}",
            percent(row["val_top1"]),
            f"{row['lr']:.3g}",
            f"{row['images_per_second']:,.0f}",
            duration(seconds),
            duration(left),
        )
        self.terminal.say(_line(cells))
        self.bar.reset(self.task, total=self.batches, loss=float("nan"))
        self.cost_told = True  # from here on the table tells it

    def _tell_cost(self, epoch: int, batch: int, images: int) -> None:
        now = time.perf_counter()
        if self.first_look is None:
            self.first_look = (now, batch, images)
            return
        then, first_batch, first_images = self.first_look
        elapsed = now - then
        if elapsed < MEASURE_SECONDS:
            return
        before, done = self._done(epoch, first_batch), self._done(epoch, batch)
        cost = elapsed * (1 - before) / (done - before)
        cost *= 1 + self.watched_share / 3  # a forward pass is about a third of a step
        speed = (images - first_images) / elapsed
        advice = "" if cost < 600 else "; trainer.max_minutes=... ends it earlier, with everything saved"
        self.terminal.say(f"  at {speed:,.0f} images/s (its first steps) the rest takes about {duration(cost)}{advice}")
        self.cost_told = True

    def _done(self, epoch: int, batch: int = 0) -> float:
        """The share of the run's work that is done after `epoch` epochs and `batch` batches of the next."""
        return self.work_until((epoch + batch / self.batches) / self.epochs)


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
