"""A network's logits on images as they are: no augmentation, batch norm and dropout in evaluation mode."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from src.training.device import Placement
from src.training.learner import Preprocess

BATCH = 512  # fixed, so that the same network gives the same digits in training and in `src.evaluate`


@torch.inference_mode()
def compute_logits(
    model: nn.Module,
    images: Tensor,
    preprocess: Preprocess,
    placement: Placement,
    between_batches: Callable[[], None] = lambda: None,
) -> Tensor:
    """Logits (N, num_classes) float32, on the device, of `images` (N, 3, H, W) uint8.

    The network is left in evaluation mode. `between_batches` may raise to end early.
    """
    model.eval()
    parts = []
    for batch in images.split(BATCH):
        inputs = preprocess.normalise(preprocess.pixels(batch.to(placement.device)))
        with placement.autocast():
            parts.append(model(inputs).float())
        between_batches()
    return torch.cat(parts)
