"""From settings to what they describe: data, model, loader, optimizer, schedule."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from src.config import RunConfig
from src.data.augment import Augmentation
from src.data.balance import balanced_weights
from src.data.dataset import ImageDataset, LabeledImages, fingerprint
from src.data.image_rows import ImageRows, read_rows
from src.data.loader import BatchPlan, DeviceLoader, PerImageLoader
from src.data.split import Splits
from src.errors import UserError, require
from src.loggers.logger import Logger
from src.optim.build import parameter_groups
from src.parsing import separate_lr_of
from src.targets import build, call
from src.training.device import Placement
from src.training.finetune import split_as_configured
from src.training.inference import Preprocess
from src.training.initial_weights import require_parts

NUM_INIT_IMAGES = 5000  # enough images to estimate the statistics from which a model may start


def load_splits(config: RunConfig, between: Callable[[], None] = lambda: None) -> Splits:
    """Reads the data set and splits it. `between` is called while images are decoded, and may raise to end early.

    Raises UserError where it has other classes than data.num_classes says.
    """
    dataset = build(config.data.source, "data.source")
    require(
        isinstance(dataset, ImageDataset),
        f"data.source ({config.data.source['_target_']}) returns a {type(dataset).__name__}, not an ImageDataset of "
        "src.data.dataset",
    )
    try:
        dataset.check()
    except ValueError as error:
        raise UserError(f"data.source ({config.data.source['_target_']}): {error}.") from error
    dataset = dataset.resized(config.data.image_size)
    found, expected = len(dataset.classes.names), config.data.num_classes
    require(
        expected in (None, found),
        f"data.num_classes={expected}, but the data set has {found} classes; leave data.num_classes out",
    )
    splits = split_as_configured(dataset, config)
    parts = (splits.train, splits.validation, splits.test)
    read_rows([part.images for part in parts if part is not None and isinstance(part.images, ImageRows)], between)
    return splits


def fingerprint_of(splits: Splits) -> str:
    """A hash of all images and labels and of their split."""
    return fingerprint(splits.train, splits.validation, splits.test)


def build_model(config: RunConfig, num_classes: int, placement: Placement) -> nn.Module:
    """The model on its device, its weights drawn from the seed.

    Raises UserError where it does not take the data's images at all sizes of the run, or does not return one logit per
    class.
    """
    torch.manual_seed(config.seed)
    found = {"num_classes": num_classes} if config.model.get("num_classes", 0) is None else {}
    model = build(config.model, "model", **found)
    target = config.model["_target_"]
    require(isinstance(model, nn.Module), f"model ({target}) is a {type(model).__name__}, not a torch.nn.Module")
    require(next(model.parameters(), None) is not None, f"model ({target}) has no weights to train")
    model = placement.place(model)
    was_training = model.training
    size = config.data.image_size
    with torch.no_grad():
        output = call(config.model, "model", model.eval(), _blank_image(size, placement))
        for _, pixels in config.trainer.progressive_resizing:
            try:
                call(config.model, "model", model, _blank_image(pixels, placement))
            except UserError as error:
                raise UserError(
                    f"trainer.progressive_resizing={config.trainer.progressive_resizing}: this model does not take "
                    f"images of {pixels} pixels beside those of {size}; choose larger ones."
                ) from error
    model.train(was_training)
    returned = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else type(output).__name__
    require(
        isinstance(output, torch.Tensor) and output.shape == (1, num_classes) and output.is_floating_point(),
        f"model ({target}) returns {returned} for an image; the data has {num_classes} classes, so it must return a "
        f"tensor of {num_classes} logits, float",
    )
    return model


def initialize_from_data(model: nn.Module, config: RunConfig, train: LabeledImages, placement: Placement) -> None:
    """Calls `model.fit_to`, where it exists, with at most NUM_INIT_IMAGES normalized training images."""
    if not hasattr(model, "fit_to"):
        return
    preprocess = build_preprocess(config, placement)
    some = train.images[:: -(-len(train) // NUM_INIT_IMAGES)]  # of all classes, however they are ordered
    model.fit_to(preprocess.normalize(preprocess.to_float(some.to(placement.device))))


def build_preprocess(config: RunConfig, placement: Placement) -> Preprocess:
    return Preprocess(config.data.pixel_mean, config.data.pixel_std, placement)


def build_loader(
    config: RunConfig, train: LabeledImages, device: torch.device
) -> tuple[DeviceLoader | PerImageLoader, Augmentation]:
    """The loader of the training images, and the augmentation of its batches.

    An `augmentation` that is no src.data.augment.Augmentation is taken for a torchvision transform of single images.
    """
    data, trainer = config.data, config.trainer
    drops = "trainer.compile=true" if trainer.compile else "data.drop_last=true" if data.drop_last else None
    require(
        not drops or data.batch_size <= len(train),
        f"data.batch_size={data.batch_size} is more than the {len(train)} training images, and {drops} leaves out "
        "batches that are not full",
    )
    plan = BatchPlan(
        num_images=len(train),
        batch_size=data.batch_size,
        seed=config.seed,
        epochs=trainer.epochs,
        drop_last=drops is not None,
        grad_accumulation_steps=trainer.grad_accumulation_steps,
        sampling_weights=balanced_weights(train.labels) if data.balanced_sampling else None,
    )
    require(
        plan.batches_in(0) > 0,
        f"trainer.epochs={trainer.epochs} is less than one optimizer step, of which an epoch has {plan.num_steps}",
    )
    augmentation = build(config.augmentation, "augmentation") if data.augment else Augmentation()
    if isinstance(augmentation, Augmentation):
        for name, step in augmentation.named_modules(prefix="augmentation"):  # augmentation.steps.1 in a chain
            pixels = getattr(step, "pixels", 0)
            require(
                pixels < data.image_size,
                f"{name}.pixels={pixels} must be smaller than the images, which have {data.image_size} pixels",
            )
        return DeviceLoader(train, plan, device, augmentation.alternates_flip), augmentation
    workers = torch.get_num_threads() if data.workers is None else data.workers
    return PerImageLoader(train, plan, device, augmentation, workers), Augmentation()


def build_loss(config: RunConfig, splits: Splits, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss, as conf/loss/cross_entropy.yaml describes it; one with `fit_to` is shown the training labels."""
    loss = build(config.loss, "loss")
    if hasattr(loss, "fit_to"):
        loss.fit_to(splits.train.labels, len(splits.classes.names))
    return loss.to(device) if isinstance(loss, nn.Module) else loss  # it may hold class weights


def build_optimizer(config: RunConfig, model: nn.Module) -> Optimizer:
    """The optimizer of all trainable weights; optimizer.lr_of gives parts of the model learning rates of their own."""
    node, lr_of = separate_lr_of(config.optimizer)
    for part in lr_of:
        require_parts(model, "optimizer.lr_of", [part])
    groups = parameter_groups(model, config.trainer.decay_norms_and_biases, lr_of)
    optimizer = call(node, "optimizer", build(node, "optimizer"), groups)
    require(
        isinstance(optimizer, Optimizer),
        f"optimizer ({config.optimizer['_target_']}) is a {type(optimizer).__name__}, not a torch.optim.Optimizer",
    )
    return optimizer


def build_scheduler(config: RunConfig, optimizer: Optimizer, steps_per_epoch: int, epochs: float) -> LambdaLR:
    """Multiplies the learning rates, at every step, by the schedule's value at that point of a run of `epochs`."""
    schedule: Callable[[float, int], float] = build(config.scheduler, "scheduler")
    for epoch in (0.0, epochs / 2, float(epochs)):  # its mistakes show now, not at the last step
        factor = call(config.scheduler, "scheduler", schedule, epoch, epochs)
        require(
            isinstance(factor, int | float) and math.isfinite(factor) and factor >= 0,
            f"scheduler ({config.scheduler['_target_']}) returns {factor} for epoch {epoch:g}, no factor of 0 or more",
        )
    return call(
        config.scheduler,
        "scheduler",
        LambdaLR,
        optimizer,
        lambda step: call(config.scheduler, "scheduler", schedule, step / steps_per_epoch, epochs),
    )


def build_loggers(config: RunConfig) -> list[Logger]:
    loggers = [build(node, f"logger.{name}") for name, node in config.logger.items()]
    for name, logger in zip(config.logger, loggers, strict=True):
        kind = type(logger).__name__
        require(isinstance(logger, Logger), f"logger.{name} is a {kind}, not a subclass of src.loggers.logger.Logger")
    return loggers


def _blank_image(size: int, placement: Placement) -> torch.Tensor:
    return torch.zeros(1, 3, size, size, device=placement.device)
