"""The training loop, read top to bottom: `fit` goes through the epochs, `train_epoch` through the steps of one."""

import math

import torch

from src.data.loading import AUGMENTATION
from src.data.seeds import make_generator
from src.results.history import Row, write_history
from src.results.metrics import Metrics, measure
from src.training.checkpoint import Progress
from src.training.evaluation import compute_logits
from src.training.session import Run, Session, diverged
from src.training.sizes import resized, size_at


def fit(run: Run, progress: Progress) -> str:
    """Trains from `progress` on and returns why it ended: "epochs", "pause", "patience" or "max_minutes".

    Raises Interrupted after a signal, with everything saved, and UserError for a loss that is no number.
    """
    session = Session(run, progress)
    if progress.step == 0:
        session.save("last")
    last = run.pause_at or run.settings.epochs
    while progress.epoch < min(last, run.settings.epochs):
        if run.settings.patience and progress.epoch - progress.best_epoch >= run.settings.patience:
            return "patience"
        session.enter_epoch()
        session.interrupt_if_asked()
        if not train_epoch(run, progress, session):
            session.save("last")
            return "max_minutes"
        row, is_best = close_epoch(progress, validate(run, session), session)
        is_best = is_best and run.chooses_checkpoint
        write_history(run.folder.history, progress.history)
        for observer in run.observers:  # before the checkpoint: what lies behind it is dropped and done again
            observer.epoch_ended(row, is_best)
        if is_best:
            session.save("best")
        session.save("last")
    return "epochs" if progress.epoch >= run.settings.epochs else "pause"


def train_epoch(run: Run, progress: Progress, session: Session) -> bool:
    """One epoch, or what is left of it; False where the time ran out before its end."""
    learner, batches, accumulate = run.learner, len(run.loader), run.settings.accumulate
    learner.train()
    for images, labels in run.loader.batches(progress.epoch, start=progress.batch):
        place = (run.seed, progress.epoch, progress.batch, AUGMENTATION)
        draws = learner.augmentation.draw(make_generator(*place, device=images.device), len(labels))
        images = resized(
            images, size_at((progress.epoch + progress.batch / batches) / run.settings.epochs, run.settings)
        )
        loss, correct = learner.objective(images, labels, draws)

        group = min(accumulate, batches - progress.batch // accumulate * accumulate)  # the epoch's last may be smaller
        learner.scaler.scale(loss / group).backward()
        session.add(loss, correct, len(labels))
        progress.batch += 1
        if progress.batch % accumulate and progress.batch < batches:
            continue

        if run.settings.clip_norm:
            learner.scaler.unscale_(learner.optimizer)
            torch.nn.utils.clip_grad_norm_(learner.model.parameters(), run.settings.clip_norm)
        learner.scaler.step(learner.optimizer)
        learner.scaler.update()
        learner.optimizer.zero_grad(set_to_none=True)
        progress.lr = learner.lr
        learner.scheduler.step()
        progress.step += 1

        session.look()
        session.interrupt_if_asked()
        if session.out_of_time() and progress.batch < batches:
            return False
    session.read()
    return True


def validate(run: Run, session: Session) -> Metrics | None:
    """How the network does on the watched images; None where there are none."""
    if run.validation is None:
        return None
    learner = run.learner
    images, labels = run.validation.images, run.validation.labels
    logits = compute_logits(
        learner.model, images, learner.preprocess, learner.placement, between_batches=session.interrupt_if_asked
    )
    metrics = measure(logits, labels.to(logits.device), run.classes)
    if not math.isfinite(metrics.loss):
        raise diverged(learner, session.progress)
    return metrics


def close_epoch(progress: Progress, watched: Metrics | None, session: Session) -> tuple[Row, bool]:
    """Turns the epoch's sums into a row of the history; says also whether its accuracy is the best so far."""
    session.tick()
    progress.epoch += 1
    row: Row = {
        "epoch": progress.epoch,
        "train_loss": progress.loss_sum / progress.images,
        "train_top1": progress.correct / progress.images,
        "val_loss": watched.loss if watched else None,
        "val_top1": watched.top1 if watched else None,
        "lr": progress.lr,
        "images_per_second": progress.images / progress.train_seconds,
        "seconds": progress.seconds,
    }
    progress.history.append(row)
    progress.batch = progress.correct = progress.images = 0
    progress.loss_sum = progress.train_seconds = 0.0
    is_best = watched is not None and (progress.best_top1 is None or watched.top1 > progress.best_top1)
    if is_best:
        progress.best_top1, progress.best_epoch = watched.top1, progress.epoch
    session.enter_epoch()
    return row, is_best
