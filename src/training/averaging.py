"""An average of the weights over the steps of a run, which is evaluated and saved in their place."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from src.config import TrainerConfig
from src.data.rng import AUGMENTATION, DROPOUT, derive_seed, make_generator
from src.training.build import NUM_INIT_IMAGES
from src.training.inference import Classifier
from src.training.state import TrainState

if TYPE_CHECKING:
    from src.training.trainer import Trainer


def build_average(config: TrainerConfig, model: nn.Module, state: TrainState) -> AveragedModel | None:
    """The average of trainer.ema_decay or trainer.swa_start; None without them.

    EMA averages the running statistics of batch norm too. SWA (Izmailov et al. 2018) is the mean of the weights of
    `state.averaged` steps; `refresh_average` computes its running statistics.
    """
    if config.ema_decay is not None:
        return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
    if config.swa_start is not None:
        # not get_swa_multi_avg_fn, which counts on the device and so waits for it in each step
        return AveragedModel(
            model, multi_avg_fn=lambda means, weights, _: torch._foreach_lerp_(means, weights, 1 / (state.averaged + 1))
        )
    return None


def update_average(average: AveragedModel, trainer: "Trainer") -> None:
    """After an optimizer step: adds the weights to the average; nothing before trainer.swa_start."""
    if trainer.share_done >= (trainer.config.trainer.swa_start or 0):
        average.update_parameters(trainer.classifier.model)
        trainer.state.averaged += 1


def refresh_average(trainer: "Trainer") -> bool:
    """After an epoch with trainer.swa_start: computes batch norm's statistics for the averaged weights.

    Returns whether it did. They are those of NUM_INIT_IMAGES training images, augmented, at full size.
    """
    if trainer.config.trainer.swa_start is None or not trainer.state.averaged:
        return False
    seed, epoch, _ = trainer.place
    torch.manual_seed(derive_seed(seed, epoch, 0, DROPOUT))
    num_batches = min(math.ceil(NUM_INIT_IMAGES / trainer.config.data.batch_size), trainer.loader.plan.batches_in(0))

    def inputs() -> Iterator[Tensor]:
        for batch, (images, _) in enumerate(islice(trainer.loader.batches(0), num_batches)):
            generator = make_generator(seed, 0, batch, AUGMENTATION, device=images.device)
            params = trainer.augmentation.draw(generator, len(images))
            yield trainer.network_inputs(images, params, size=None)

    recompute_batch_norm(trainer.evaluated, inputs())
    return True


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
