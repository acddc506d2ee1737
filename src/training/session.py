"""What one process adds to a run: a clock, sums that stay on the device until they are read, and saves."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from src.data.images import Classes, LabelledImages
from src.data.loading import PerImageLoader, ResidentLoader
from src.errors import Interrupted, UserError
from src.results.history import Row
from src.results.run_folder import RunFolder
from src.schemas import TrainerConfig
from src.training.checkpoint import Progress, save_checkpoint
from src.training.interruption import StopRequest
from src.training.learner import Learner
from src.training.sizes import size_at, step_work

LOOK_SECONDS = 1.0  # how often the sums are read within an epoch: every reading waits for the device


class Observer(Protocol):
    """Who watches a run: the terminal, TensorBoard."""

    def looked(self, epoch: int, batch: int, images: int, loss_sum: float) -> None:
        """About once a second: `epoch` are completed, the rest is of the epoch under way."""

    def epoch_ended(self, row: Row, is_best: bool) -> None:
        """After each epoch, with its row of the history."""


@dataclass
class Run:
    """All that training works with. `validation` is None where nothing is to be watched."""

    learner: Learner
    loader: ResidentLoader | PerImageLoader
    validation: LabelledImages | None
    classes: Classes
    seed: int
    settings: TrainerConfig
    pause_at: int | None  # the epoch after which to stop for now
    chooses_checkpoint: bool  # whether there is an accuracy by which to keep the best epoch
    closing_images: int  # to be evaluated after training: `max_minutes` leaves time for them
    folder: RunFolder
    fingerprint: str  # of the data: a resumed run must have the same
    observers: Sequence[Observer]
    stop: StopRequest


def diverged(learner: Learner, progress: Progress) -> UserError:
    """What to raise where a loss or a weight is no finite number."""
    return UserError(
        f"the loss is no longer a finite number (epoch {progress.epoch + 1}, batch {progress.batch}): lower "
        f"optimizer.lr (now {learner.lr:g}), cut the gradients with trainer.clip_norm=1, or begin gently with "
        "scheduler.warmup_epochs=1."
    )


class Session:
    """Keeps `progress` and the folder of `run` up to date while this process trains."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self.run, self.progress = run, progress
        self.started = self.saved = self.looked = time.perf_counter()
        self.seconds_before = progress.seconds
        self.enter_epoch()

    def enter_epoch(self) -> None:
        """Starts the epoch's sums, at what an interrupted epoch had come to."""
        device = self.run.learner.placement.device
        self.loss_sum = torch.tensor(self.progress.loss_sum, dtype=torch.float64, device=device)
        self.correct = torch.tensor(self.progress.correct, device=device)
        self.epoch_entered, self.train_seconds_before = time.perf_counter(), self.progress.train_seconds

    def add(self, loss: Tensor, correct: Tensor, images: int) -> None:
        self.loss_sum += loss.detach() * images
        self.correct += correct
        self.progress.images += images

    def read(self) -> None:
        """Brings `progress` up to date. Raises UserError for a loss that is no number."""
        progress = self.progress
        progress.loss_sum, progress.correct = self.loss_sum.item(), int(self.correct.item())
        progress.train_seconds = self.train_seconds_before + time.perf_counter() - self.epoch_entered
        self.tick()
        if not math.isfinite(progress.loss_sum):
            raise diverged(self.run.learner, self.progress)

    def tick(self) -> None:
        self.progress.seconds = self.seconds_before + time.perf_counter() - self.started

    def look(self) -> None:
        """Once a second: reads the sums, tells the observers, saves where that is due."""
        if time.perf_counter() - self.looked < LOOK_SECONDS:
            return
        self.read()
        progress = self.progress
        for observer in self.run.observers:
            observer.looked(progress.epoch, progress.batch, progress.images, progress.loss_sum)
        if time.perf_counter() - self.saved > 60 * self.run.settings.checkpoint_minutes:
            self.save("last")
        self.looked = time.perf_counter()

    def save(self, name: str) -> None:
        """Writes a checkpoint. Raises UserError instead where the weights are no numbers any more."""
        self.read()
        weights = self.run.learner.model.parameters()
        if not torch.stack([weight.detach().isfinite().all() for weight in weights]).all():
            raise diverged(self.run.learner, self.progress)
        path = self.run.folder.checkpoint(name)
        save_checkpoint(path, self.run.learner, self.progress, self.run.classes, self.run.fingerprint)
        self.saved = time.perf_counter()

    def interrupt_if_asked(self) -> None:
        """Raises Interrupted, everything saved, once a signal has asked the run to stop."""
        if self.run.stop.signal_number is None:
            return
        self.save("last")
        raise Interrupted(self.run.stop.signal_number)

    def out_of_time(self) -> bool:
        """Whether `max_minutes` leaves no more than it takes to evaluate; a forward pass is a third of a step."""
        minutes, progress = self.run.settings.max_minutes, self.progress
        if minutes is None or not progress.images:
            return False
        closing = self.run.closing_images * progress.train_seconds / progress.images / 3
        done = (progress.epoch + progress.batch / len(self.run.loader)) / self.run.settings.epochs
        full = self.run.loader.data.images.shape[-1]  # what is evaluated, and what images may still have to grow to
        closing *= step_work(full) / step_work(size_at(done, self.run.settings) or full)
        closing = min(closing, 30 * minutes)  # half of the time at most: the first steps are slow and mislead
        return time.perf_counter() - self.started + closing > 60 * minutes
