"""The training loop, read top to bottom: `fit` passes through the epochs, `train_epoch` through the steps of one."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from src.config import RunConfig
from src.data.loader import move_if_it_fits
from src.data.rng import AUGMENTATION, DROPOUT, derive_seed, make_generator
from src.data.split import Splits
from src.errors import require
from src.loggers.logger import Logger, notify
from src.metrics import Metrics, measure
from src.optim.sam import climbed, unchanged_buffers
from src.result import StopReason
from src.run_dir import RunDir
from src.training import saving
from src.training.averaging import build_average, refresh_average, update_average
from src.training.build import build_loader, build_loss, build_optimizer, build_scheduler
from src.training.captured_step import CapturedStep, can_capture
from src.training.chance import warn_of_chance
from src.training.clock import Clock
from src.training.divergence import divergence, finite_loss
from src.training.inference import Classifier
from src.training.initial_weights import unfreeze_gradually
from src.training.meter import Meter
from src.training.profile import profile_steps
from src.training.progressive_resizing import resize_batch, size_at
from src.training.signals import StopRequest
from src.training.state import TrainState

SeededBatch = tuple[int, tuple[Any, ...]]  # the seed of its dropout, the arguments of `Trainer.add_gradient`


class Trainer:
    """Trains a classifier on the images of a split, and keeps its run's folder up to date.

    Args:
        config: the run's settings.
        classifier: the model on its device. With trainer.ema_decay or swa_start an average of its weights is evaluated.
        splits: images, or features where the classifier takes those.
        run_dir: receives checkpoints and progress.
        fingerprint: of the data; a resumed run must have the same.
        loggers: called once a second and after each epoch.
        stop: asks to stop after a signal.
    """

    def __init__(
        self,
        config: RunConfig,
        classifier: Classifier,
        splits: Splits,
        run_dir: RunDir,
        fingerprint: str = "",
        loggers: Sequence[Logger] = (),
        stop: StopRequest | None = None,
    ) -> None:
        device = classifier.placement.device
        self.config, self.classifier, self.splits, self.run_dir = config, classifier, splits, run_dir
        self.fingerprint, self.loggers, self.stop = fingerprint, loggers, stop or StopRequest()
        self.loader, self.augmentation = build_loader(config, splits.train, device)
        self.optimizer, plan = build_optimizer(config, classifier.model), self.loader.plan
        self.scheduler = build_scheduler(config, self.optimizer, plan.num_steps, plan.total_steps / plan.num_steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=classifier.placement.needs_scaler)
        self.loss = build_loss(config, splits, device)
        watched = splits.test if config.data.validation == "test" else splits.validation
        self.validation = move_if_it_fits(watched, device) if watched else None
        self.state, self.meter, self.ranks = TrainState(), Meter(device), classifier.placement.ranks
        self.average = build_average(config.trainer, classifier.model, self.state)
        self.clock = Clock()
        if config.trainer.compile:
            require(self.ranks.size == 1, "trainer.compile=true does not work with several processes yet; leave it out")
            torch.compiler.reset()  # dynamo keeps at most eight graphs of a function: drop those of earlier runs
            self.batch_loss = torch.compile(self.batch_loss, fullgraph=True, dynamic=False)
        self.is_captured = can_capture(config, classifier.placement)
        if self.is_captured:
            self.add_gradient = CapturedStep(self.add_gradient)

    def fit(self, pause_at: int | None = None) -> StopReason:
        """Trains from the present state to the end, or to the end of epoch `pause_at`.

        Raises Interrupted after a signal, with everything saved, and UserError for a loss that is not finite.
        """
        self.clock.start()
        self.saved_at = self.state.epoch, self.state.batch  # a resumed run begins with a saved state
        if self.state.step == 0:
            saving.save(self, "last")
        with profile_steps(self):
            reason = self.train_epochs(pause_at)
        if (self.state.epoch, self.state.batch) != self.saved_at:
            saving.save(self, "last")
        return reason

    def train_epochs(self, pause_at: int | None) -> StopReason:
        """One epoch after the other, each followed by validation."""
        epochs, patience = self.loader.plan.num_epochs, self.config.trainer.patience
        while self.state.epoch < min(pause_at or epochs, epochs):
            if patience and self.state.epoch - self.state.best.get("epoch", 0) >= patience:
                return StopReason.PATIENCE
            saving.stop_if_asked(self)
            unfreeze_gradually(self.classifier, self.optimizer, self.config.init, self.state.epoch)
            ended = self.train_epoch()
            if refresh_average(self):
                self.saved_at = None  # what was saved is no longer the present state
            if not ended:
                return StopReason.MAX_MINUTES
            is_best = self.end_epoch(self.validate())
            # before the saves: after a crash in between, resume logs this epoch again
            notify(self.loggers, "on_epoch_end", self.state.history, is_best)
            warn_of_chance(self)
            if is_best:
                saving.save(self, "best")
            if is_best or self.clock.save_pays:  # the last is never older than the best
                saving.save(self, "last")
        return StopReason.EPOCHS if self.state.epoch >= epochs else StopReason.PAUSE

    def batch_loss(
        self, images: Tensor, labels: Tensor, params: tuple[Tensor, ...], size: int | None
    ) -> tuple[Tensor, Tensor]:
        """Mean loss and number of correct predictions of one batch; compiled as one graph with trainer.compile.

        With several ranks: this rank's part of both; summed over all ranks, the parts are the batch's.

        Args:
            images: (n, 3, H, W) uint8.
            labels: (n,) int64.
            params: what the augmentation has drawn for each image.
            size: pixels of the network's input; None: as the images are.
        """
        inputs = self.network_inputs(images, params, size)
        with self.classifier.placement.autocast():
            logits = self.classifier.trained_module(inputs)
        logits = logits.float()
        targets = self.ranks.own_rows(self.augmentation.targets(labels, params, logits.shape[1]))
        loss = self.loss(logits, targets) if len(targets) else logits.sum()  # no rows: 0, and all gradients are 0
        if self.ranks.size > 1:
            loss = loss * (len(targets) / len(labels))
        main = targets if targets.ndim == 1 else targets.argmax(dim=1)  # of mixed images the larger share's label
        return loss, (logits.detach().argmax(dim=1) == main).sum()

    def network_inputs(self, images: Tensor, params: tuple[Tensor, ...], size: int | None) -> Tensor:
        """(n, 3, size, size) float32: this rank's `images`, augmented, resized and normalized; see `batch_loss`."""
        preprocess = self.classifier.preprocess
        augmented = self.ranks.own_rows(self.augmentation(preprocess.to_float(images), params))
        return preprocess.normalize(resize_batch(augmented, size))

    def train_epoch(self) -> bool:
        """One epoch, or the rest of one; False where max_minutes ran out before its end."""
        self.classifier.train()
        # cuDNN tries out its kernels for each shape, which pays in many equal steps, but not in evaluations; which is
        # fastest may differ from run to run
        torch.backends.cudnn.benchmark = not self.config.trainer.deterministic
        self.tick()
        plan = self.loader.plan
        group: list[SeededBatch] = []  # the batches of one optimizer step
        for images, labels in self.loader.batches(self.state.epoch, start=self.state.batch):
            share = plan.share_of_step(self.state.batch)
            batch = images, labels, self.draw_augmentation(images), self.image_size(), share
            group.append((derive_seed(*self.place, DROPOUT, *self.ranks.dropout_seed), batch))
            loss, correct = self.add_seeded_gradient(*group[-1])
            self.meter.update(self.ranks.sum(loss), self.ranks.sum(correct), len(labels))
            self.state.batch += 1
            if plan.ends_group(self.state.batch):
                self.ranks.sum_gradients(self.classifier.model.parameters())
                if self.config.trainer.sam_rho:
                    self.sharpness_aware_gradient(group)
                self.optimizer_step()
                group.clear()
                if saving.log_save_or_stop(self):
                    return False
        finite_loss(self)
        return True

    def draw_augmentation(self, images: Tensor) -> tuple[Tensor, ...]:
        """The augmentation's random parameters for each image, a function of (seed, epoch, batch)."""
        generator = make_generator(*self.place, AUGMENTATION, device=images.device)
        return self.augmentation.draw(generator, len(images))

    def add_seeded_gradient(self, seed: int, batch: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        """`add_gradient` of the batch; dropout is drawn from `seed`."""
        torch.manual_seed(seed)
        return self.add_gradient(*batch)

    def add_gradient(
        self, images: Tensor, labels: Tensor, params: tuple[Tensor, ...], size: int | None, share: float
    ) -> tuple[Tensor, Tensor]:
        """Adds the gradient of `share` times the batch's mean loss; returns what `batch_loss` returns."""
        loss, correct = self.batch_loss(images, labels, params, size)
        self.scaler.scale(loss * share).backward()
        return loss.detach(), correct

    def sharpness_aware_gradient(self, group: list[SeededBatch]) -> None:
        """Replaces the gradient of `group` by the one at the worst point within trainer.sam_rho (SAM)."""
        settings, model = self.config.trainer, self.classifier.model
        weights = [weight for weight in model.parameters() if weight.grad is not None]
        with climbed(weights, settings.sam_rho, settings.sam_adaptive), unchanged_buffers(model):
            self.zero_grad()
            for seed, batch in group:
                self.add_seeded_gradient(seed, batch)
            self.ranks.sum_gradients(weights)

    def zero_grad(self) -> None:
        self.optimizer.zero_grad(set_to_none=not self.is_captured)  # a graph adds to the same tensors again

    def optimizer_step(self) -> None:
        """Clips the gradients, updates the weights, moves the learning rate."""
        if self.config.trainer.grad_clip_norm:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.classifier.model.parameters(), self.config.trainer.grad_clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.zero_grad()
        if self.average:
            update_average(self.average, self)
        self.state.lr = self.lr
        self.scheduler.step()
        self.state.step += 1

    def validate(self) -> Metrics | None:
        """Metrics of the validation images; None where there are none."""
        if self.validation is None:
            return None
        self.ranks.share_tensors(self.evaluated.model.buffers())  # without sync_batch_norm each rank has its own
        logits = self.evaluated.logits(self.validation.images, between_batches=partial(saving.stop_if_asked, self))
        metrics = measure(logits, self.validation.labels.to(logits.device), self.splits.classes)
        if not math.isfinite(metrics.loss):
            raise divergence(self)
        return metrics

    def end_epoch(self, val: Metrics | None) -> bool:
        """Ends the epoch in the state and the meter; whether it is the best so far and may be chosen."""
        self.tick()
        self.state.end_epoch(self.meter, val)
        self.meter.reset()
        return self.config.data.holds_out and self.state.best is self.state.history[-1]

    @property
    def place(self) -> tuple[int, int, int]:
        """(seed, epoch, batch): all random numbers of a step are functions of it."""
        return self.config.seed, self.state.epoch, self.state.batch

    @property
    def lr(self) -> float:
        return self.optimizer.param_groups[0]["lr"]

    def tick(self, training: bool = False) -> None:
        """Adds the time since the last tick to the run's, and to the epoch's if it was spent training."""
        seconds = self.clock.tick()
        self.state.seconds += seconds
        self.meter.seconds += seconds * training

    def image_size(self) -> int | None:
        """Pixels of the present step's images; None for full size."""
        return size_at(self.share_done, self.config.trainer.progressive_resizing)

    @property
    def share_done(self) -> float:
        """The share of the run's steps that are done, in [0, 1]."""
        return self.loader.plan.share_done(self.state.epoch, self.state.batch)

    @property
    def evaluated(self) -> Classifier:
        """With the averaged weights, once they have been averaged; else with the weights themselves."""
        return self.classifier.with_model(self.average.module) if self.state.averaged else self.classifier
