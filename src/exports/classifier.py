"""The network that is exported: with preprocessing and softmax, so that it takes pixels and returns probabilities."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.training.build import build_preprocess
from src.training.device import Placement
from src.training.inference import Classifier
from src.training.trained_model import TrainedModel

PLACEMENT = Placement(torch.device("cpu"), autocast_dtype=None, memory_format=torch.contiguous_format)


class ExportedClassifier(nn.Module):
    """`images` (N, 3, image_size, image_size) uint8 -> probabilities (N, num_classes) float32, on a CPU in float32.

    Args:
        network: (N, 3, image_size, image_size) float -> logits (N, num_classes).
        mean, std: of pixels / 255, for each channel.
        image_size: pixels.
        tta_flip: average the logits of each image and its mirror image.
    """

    def __init__(
        self, network: nn.Module, mean: list[float], std: list[float], image_size: int, tta_flip: bool
    ) -> None:
        super().__init__()
        self.network, self.image_size, self.tta_flip = network, image_size, tta_flip
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.logits(images)
        if self.tta_flip:
            logits = (logits + self.logits(images.flip(-1))) / 2
        return F.softmax(logits, dim=1)

    def logits(self, images: Tensor) -> Tensor:
        return self.network((images.to(torch.float32) * (1 / 255) - self.mean) / self.std).to(torch.float32)

    def example(self) -> Tensor:
        """Two images (2, 3, image_size, image_size) uint8, by which PyTorch traces the network."""
        return torch.zeros(2, 3, self.image_size, self.image_size, dtype=torch.uint8)


def build_exported(trained: TrainedModel, tta_flip: bool) -> ExportedClassifier:
    data = trained.config.data
    network = PLACEMENT.place(trained.classifier.model)
    return ExportedClassifier(network, data.pixel_mean, data.pixel_std, data.image_size, tta_flip).eval()


def expected_probabilities(trained: TrainedModel, images: Tensor, tta_flip: bool) -> Tensor:
    """(N, num_classes) float32, of `images` (N, 3, H, W) uint8: as `src.evaluate` computes, on a CPU in float32."""
    preprocess = build_preprocess(trained.config, PLACEMENT)
    classifier = Classifier(PLACEMENT.place(trained.classifier.model), preprocess, PLACEMENT)
    return replace(trained, classifier=classifier).probabilities(images, tta_flip)
