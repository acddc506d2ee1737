"""A network that learns, but validates as if it guessed: the likely cause and the setting to change, in one line."""

import logging
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from src.data.loader import BatchPlan
from src.loggers.logger import Row
from src.models.convnet import ConvNet
from src.optim.sam import unchanged_buffers
from src.training.inference import Classifier

if TYPE_CHECKING:
    from src.training.trainer import Trainer

EPOCHS = 2  # at chance, one after the other, before anything is said
NUM_IMAGES = 1000  # training images by which causes are told apart

log = logging.getLogger("cifarlab")


def warn_of_chance(trainer: "Trainer") -> None:
    """After the second epoch in a row that ends at chance, logs the likely cause; once, unless it happens anew.

    Says nothing where the network, as it is evaluated, has learned its training images: then it has memorized them.
    """
    num_classes, history = len(trainer.splits.classes.names), trainer.state.history
    recent = [learns_but_guesses(row, trainer, num_classes) for row in history[-EPOCHS - 1 :]]
    if not all(recent[-EPOCHS:]) or len(history) < EPOCHS or (len(recent) > EPOCHS and recent[0]):
        return
    step = max(1, len(trainer.splits.train) // NUM_IMAGES)  # the images may lie class by class
    images, labels = trainer.splits.train.images[::step], trainer.splits.train.labels[::step]
    top1 = measure_top1(trainer.evaluated, images, labels)
    if top1 <= chance_level(num_classes, len(images)) and top1 < history[-1]["train_top1"] / 2:
        log.warning(f"  validation is at chance although training is not: {find_cause(trainer, images, labels)}")


def find_cause(trainer: "Trainer", images: Tensor, labels: Tensor) -> str:
    """What is wrong, by what the network does with training `images` once a suspect is taken away; what to change."""
    own, config, steps = trainer.classifier, trainer.config, trainer.state.step
    level = chance_level(len(trainer.splits.classes.names), len(images))
    if trainer.state.averaged and measure_top1(own, images, labels) > level:
        setting = "lower trainer.ema_decay" if config.trainer.ema_decay is not None else "raise trainer.swa_start"
        return f"the averaged weights lag behind the others after {steps} steps; {setting}, or raise trainer.epochs"
    norms = batch_norms(trainer.evaluated.trained_module)
    if norms and measure_top1(trainer.evaluated, images, labels, config.data.batch_size) > level:
        momentum = min(norm.momentum or 1.0 for norm in norms)
        raised = "model.batch_norm_momentum=0.1, " if isinstance(own.model, ConvNet) and momentum < 0.1 else ""
        return (
            f"batch norm's running statistics, means over about {1 / momentum:.0f} steps, lag behind the weights after "
            f"{steps} steps; try {raised}more steps (a smaller data.batch_size, more trainer.epochs), or a lower "
            f"optimizer.lr ({trainer.state.lr:g} in the last step)"
        )
    return (
        "what the network learns in an epoch is lost at its end; lower optimizer.lr "
        f"({trainer.state.lr:g} in the last step), or clip the gradients with trainer.grad_clip_norm=1"
    )


def learns_but_guesses(row: Row, trainer: "Trainer", num_classes: int) -> bool:
    """Whether an epoch's validation accuracy is chance, and that in training at least three times as much.

    Of two to five classes, where three times is more than a network may reach, half of what chance leaves.
    """
    if row["val_top1"] is None:
        return False
    learned = min(3 / num_classes, (1 + 1 / num_classes) / 2)
    return (
        row["val_top1"] <= chance_level(num_classes, len(trainer.validation))
        and row["train_top1"] >= learned
        and row["train_top1"] > chance_level(num_classes, len(trainer.splits.train))
    )


def chance_level(num_classes: int, count: int) -> float:
    """What guessing does not exceed on `count` images: its mean and three standard deviations."""
    chance = 1 / num_classes
    return chance + 3 * math.sqrt(chance * (1 - chance) / count)


@torch.no_grad()
def measure_top1(classifier: Classifier, images: Tensor, labels: Tensor, batch_statistics: int | None = None) -> float:
    """Accuracy on (N, 3, H, W) uint8 images; with `batch_statistics` batch norm takes those of batches of that size."""
    if batch_statistics is None:
        logits = classifier.logits(images)
        return (logits.argmax(dim=1) == labels.to(logits.device)).float().mean().item()
    placement, preprocess, correct = classifier.placement, classifier.preprocess, 0
    with unchanged_buffers(classifier.model):
        for norm in batch_norms(classifier.trained_module):
            norm.train()
        sizes = BatchPlan(len(images), batch_statistics, seed=0).sizes  # none of one image, which has no variance
        batches = zip(images.split(sizes), labels.split(sizes), strict=True)
        for batch, truth in batches:
            inputs = preprocess.normalize(preprocess.to_float(batch.to(placement.device)))
            with placement.autocast():
                predicted = classifier.trained_module(inputs).argmax(dim=1)
            correct += (predicted == truth.to(predicted.device)).sum().item()
    classifier.model.eval()
    return correct / len(images)


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
