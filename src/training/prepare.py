"""From a config to what it describes: data, network, learner, loader."""

from collections.abc import Callable

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from src.config import build, call, typed
from src.data.augment import Augmentation
from src.data.images import LabelledImages
from src.data.loading import Batching, PerImageLoader, ResidentLoader
from src.data.split import Splits
from src.errors import UserError, require
from src.training.device import Placement
from src.training.features import AsGiven
from src.training.learner import Learner, Preprocess, frozen_hash, make_objective
from src.training.warm_start import freeze, split_as_configured, take_weights

FIT_IMAGES = 5000  # that a network may start from: the statistics of so many are those of all


def load_data(config: DictConfig) -> Splits:
    """Reads the data set and splits it; writes the number of classes found into `config` where it says null."""
    dataset = build(config, "data.source").resized(config.data.image_size)
    found, expected = len(dataset.classes.names), config.data.num_classes
    if expected not in (None, found):
        raise UserError(f"data.num_classes={expected}, but the data set has {found} classes; leave it as it is.")
    config.data.num_classes = found
    return split_as_configured(dataset, config)


def make_network(config: DictConfig, placement: Placement) -> nn.Module:
    """The config's network on its device: weights drawn from `config.seed`, or taken from init.run.

    Raises UserError where it does not take the data's images at all sizes of the run, give one logit per class, or fit
    init.run.
    """
    torch.manual_seed(config.seed)
    network = placement.place(build(config, "model"))
    size, classes = config.data.image_size, config.data.num_classes
    was_training = network.training
    with torch.no_grad():
        output = call(config, "model", network.eval(), torch.zeros(1, 3, size, size, device=placement.device))
        for _, pixels in config.trainer.sizes:
            try:
                call(config, "model", network, torch.zeros(1, 3, pixels, pixels, device=placement.device))
            except UserError as error:
                raise UserError(
                    f"trainer.sizes={config.trainer.sizes}: this model takes no images of {pixels} pixels beside those "
                    f"of {size}; choose larger ones."
                ) from error
    network.train(was_training)
    if output.shape != (1, classes):
        raise UserError(f"model gives {tuple(output.shape[1:])} outputs per image; the data has {classes} classes.")
    if config.init.run:
        take_weights(network, OmegaConf.to_object(config.init))
    return network


def fit_to_data(network: nn.Module, config: DictConfig, train: LabelledImages, placement: Placement) -> None:
    """Lets a network that starts from its data, as `SpeedrunNet` does, see some thousands of it."""
    if not hasattr(network, "fit_to") or config.init.run:
        return
    preprocess = make_preprocess(config, placement)
    some = train.images[:: -(-len(train) // FIT_IMAGES)]  # from all classes, however they are ordered
    network.fit_to(preprocess.normalise(preprocess.pixels(some.to(placement.device))))


def make_preprocess(config: DictConfig, placement: Placement) -> Preprocess:
    return Preprocess(config.data.mean, config.data.std, placement)


def make_learner(
    config: DictConfig,
    network: nn.Module,
    placement: Placement,
    augmentation: Augmentation,
    batches_per_epoch: int,
    on_features: bool = False,
) -> Learner:
    """The network with its optimizer and schedule, at the start of training; its head alone with `on_features`."""
    _, settings = typed(config)
    frozen = freeze(network, OmegaConf.to_object(config.init))
    model = network.head if on_features else network
    preprocess = (AsGiven if on_features else Preprocess)(config.data.mean, config.data.std, placement)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = call(config, "optimizer", build(config, "optimizer"), weights)
    schedule: Callable[[float, int], float] = build(config, "scheduler")
    for epoch in (0.0, settings.epochs / 2, float(settings.epochs)):
        call(config, "scheduler", schedule, epoch, settings.epochs)  # its mistakes show now, not at the last step
    steps_per_epoch = -(-batches_per_epoch // settings.accumulate)
    scheduler = call(
        config, "scheduler", LambdaLR, optimizer, lambda step: schedule(step / steps_per_epoch, settings.epochs)
    )
    objective = make_objective(model, preprocess, augmentation, placement, settings.label_smoothing)
    if settings.compile:
        torch.compiler.reset()  # a process may hold eight graphs of one function: those of earlier runs are not needed
        objective = torch.compile(objective, fullgraph=True, dynamic=False)
    scaler = torch.amp.GradScaler(placement.device.type, enabled=placement.needs_scaler)
    return Learner(
        network,
        model,
        None if on_features else frozen,
        config.init.freeze,
        frozen_hash(network, config.init.freeze),
        preprocess,
        augmentation,
        placement,
        optimizer,
        scheduler,
        scaler,
        objective,
    )


def make_loader(
    config: DictConfig, train: LabelledImages, placement: Placement
) -> tuple[ResidentLoader | PerImageLoader, Augmentation]:
    """The loader of the training images, and what is still to be done to its batches.

    An `augmentation` that is no Augmentation of ours is taken for a torchvision transform of single images.
    """
    data, trainer = typed(config)
    require(
        not trainer.compile or data.batch_size <= len(train),
        f"data.batch_size={data.batch_size} is more than the {len(train)} training images, and trainer.compile=true "
        "leaves out batches that are not full",
    )
    augmentation = build(config, "augmentation") if data.augment else Augmentation()
    require(
        not data.alternate_flip or (isinstance(augmentation, Augmentation) and not augmentation.flips),
        "data.alternate_flip=true needs an augmentation that does not flip at random: augmentation.flip=false (or "
        "augmentation.steps.0.flip=false, where it has steps)",
    )
    batching = Batching(len(train), data.batch_size, config.seed, drop_last=trainer.compile)
    if isinstance(augmentation, Augmentation):
        return ResidentLoader(train, batching, placement.device, data.alternate_flip), augmentation
    return PerImageLoader(train, batching, placement.device, augmentation, data.workers), Augmentation()
