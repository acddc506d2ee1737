"""One step before the first epoch, on a copy of the network: mistakes that only a step meets show in a second."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from src.config import RunConfig
from src.data.dataset import LabeledImages
from src.data.split import Splits
from src.errors import UserError, first_line
from src.run_dir import RunDir
from src.targets import is_device_failure, without_determinism
from src.training.inference import Classifier
from src.training.progressive_resizing import resize_batch
from src.training.trainer import Trainer

NUM_IMAGES = 8
NEVER = 1e9  # minutes


def rehearse(trainer: Trainer) -> None:
    """Takes one step with a few images: augmentation, network, loss, gradients, optimizer, validation.

    Neither the trainer nor torch's generators are changed. Raises UserError, which names the part that fails.
    """
    config = trainer.config
    count = max(NUM_IMAGES, 2 * trainer.ranks.size)  # rows for each rank
    count = min(count, max(2, config.data.batch_size), len(trainer.splits.train))
    epochs = math.ceil(config.trainer.epochs)  # at least one batch
    settings = replace(config.trainer, cuda_graph=False, grad_accumulation_steps=1, epochs=epochs)
    config = replace(config, trainer=settings, data=replace(config.data, batch_size=count, drop_last=False))
    with trainer.classifier.placement.kept_generators():
        double = build_double(config, trainer.classifier, trainer.splits, trainer.run_dir, count)
        preprocess = double.classifier.preprocess
        with _blaming("augmentation", config.augmentation):  # a transform of single images is called by the loader
            images, labels = next(iter(double.loader.batches(0)))
            params = double.draw_augmentation(images)
            inputs = double.augmentation(preprocess.to_float(images), params)
            _require_shape(inputs, tuple(images.shape))
            inputs = resize_batch(inputs, double.image_size())
        with _blaming("model", config.model), double.classifier.placement.autocast():
            double.classifier.train()
            logits = double.classifier.trained_module(preprocess.normalize(inputs))
            _require_shape(logits, (len(labels), len(double.splits.classes.names)))
        with _blaming("loss", config.loss):
            loss, _ = double.batch_loss(images, labels, params, double.image_size())
            _require_shape(loss, ())
            if not loss.requires_grad:
                raise ValueError("its value has no gradient")
        with _blaming("model", config.model):
            double.scaler.scale(loss).backward()
        double.validate()
        with _blaming("optimizer", config.optimizer):
            double.optimizer_step()


def build_double(
    config: RunConfig, classifier: Classifier, splits: Splits, run_dir: RunDir, count: int, workers: int | None = 0
) -> Trainer:
    """A trainer of a copy of the network on `count` of the training images; it saves and logs nothing."""
    few = torch.linspace(0, len(splits.train) - 1, count).long()
    data = replace(config.data, workers=workers)
    settings = replace(config.trainer, compile=False, max_minutes=None, checkpoint_minutes=NEVER)
    twin = classifier.with_model(copy.deepcopy(classifier.model))
    return Trainer(replace(config, data=data, trainer=settings), twin, _some(splits, few), run_dir)


def _some(splits: Splits, few: Tensor) -> Splits:
    """The training images `few` (n,) int64, and the first of the others."""

    def first(data: LabeledImages) -> LabeledImages:
        return LabeledImages(data.images[: len(few)], data.labels[: len(few)])

    validation = None if splits.validation is None else first(splits.validation)
    return replace(splits, train=splits.train[few], validation=validation, test=first(splits.test))


def _require_shape(value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"it returns a {type(value).__name__}, not a tensor")
    if tuple(value.shape) != shape:
        raise ValueError(f"it returns a tensor of shape {tuple(value.shape)} instead of {shape}")


@contextmanager
def _blaming(name: str, node: dict[str, Any]) -> Iterator[None]:
    """Turns whatever the part `name` raises into one sentence; the traceback goes to train.log."""
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or is_device_failure(error) or "more than 1 value per" in str(error):
            raise
        if operation := without_determinism(error):
            raise UserError(
                f"{name} ({node['_target_']}) calls {operation}; use trainer.deterministic=false."
            ) from error
        settings = ", ".join(f"{name}.{key}={value}" for key, value in node.items() if not key.startswith("_"))
        raise UserError(
            f"{name} ({node['_target_']}) fails in its first step: {type(error).__name__}: "
            f"{first_line(error).rstrip('.')}; check {settings or 'it'}. The traceback is in train.log."
        ) from error
