"""An average of the weights over the steps of a run, which is evaluated and saved in their place."""

import math
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from src.config import TrainerConfig
from src.data.rng import DROPOUT, derive_seed
from src.training.build import NUM_INIT_IMAGES
from src.training.inference import Classifier

if TYPE_CHECKING:
    from src.training.trainer import Trainer


def build_average(config: TrainerConfig, model: nn.Module) -> AveragedModel | None:
    """The average of trainer.ema_decay or trainer.swa_start; None without them.

    A moving average covers running statistics too. With stochastic weight averaging (SWA, Izmailov et al. 2018) they
    are those of the model until `recompute_batch_norm`.
    """
    if config.ema_decay is not None:
        return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
    if config.swa_start is not None:
        return AveragedModel(model, multi_avg_fn=get_swa_multi_avg_fn())
    return None


def update_average(average: AveragedModel, trainer: "Trainer") -> None:
    """After an optimizer step: adds the weights to the average, which is a copy of them before trainer.swa_start."""
    if not _is_averaging(trainer):
        average.n_averaged.zero_()  # the update then copies
    average.update_parameters(trainer.classifier.model)


def refresh_average(trainer: "Trainer") -> bool:
    """After an epoch with trainer.swa_start: batch norm's statistics of the averaged weights; whether they changed.

    They are those of NUM_INIT_IMAGES training images, augmented, at full size.
    """
    if trainer.config.trainer.swa_start is None or not _is_averaging(trainer):
        return False
    torch.manual_seed(derive_seed(*trainer.place, DROPOUT))
    num_batches = min(math.ceil(NUM_INIT_IMAGES / trainer.config.data.batch_size), len(trainer.loader))
    batches = (images for images, _ in islice(trainer.loader.batches(0), num_batches))
    inputs = (trainer.network_inputs(images, trainer.draw_augmentation(images), size=None) for images in batches)
    recompute_batch_norm(trainer.evaluated, inputs)
    return True


def _is_averaging(trainer: "Trainer") -> bool:
    return trainer.share_done >= (trainer.config.trainer.swa_start or 0)


@torch.no_grad()
def recompute_batch_norm(classifier: Classifier, batches: Iterable[Tensor]) -> None:
    """Sets the running statistics of each trained batch norm to their mean over `batches` of inputs.

    The statistics that a network collects in training are not those of its averaged weights. As
    `torch.optim.swa_utils.update_bn`, which knows neither mixed precision nor frozen parts.
    """
    classifier.train()
    norms = [layer for layer in classifier.trained_module.modules() if isinstance(layer, _BatchNorm)]
    norms = [norm for norm in norms if norm.training and norm.track_running_stats]  # a frozen part does not train
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
    for inputs in batches:
        with classifier.placement.autocast():
            classifier.trained_module(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
