"""VGG with batch norm for small images."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.models.head import Head
from src.models.init import kaiming_


class VGG(nn.Module):
    """(N, 3, H, W) float -> logits (N, num_classes).

    Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition"; for images of 32
    pixels the dense layers are as wide as the last convolution.

    Args:
        blocks: filters of the 3x3 convolutions of each block, each with norm and ReLU; a block ends in a 2x2 pooling.
        dropout: probability of dropping each output of the two hidden dense layers.

    Raises ValueError for a value out of its range.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], dropout: float, num_classes: int) -> None:
        super().__init__()
        if not blocks or not all(blocks) or min(min(block) for block in blocks) < 1:
            raise ValueError(f"blocks={list(blocks)} must hold at least one number above 0 in each block")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must lie in [0, 1)")
        layers, channels = [], 3
        for block in blocks:
            for width in block:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        hidden = [nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(dropout)]
        again = [nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(dropout)]
        self.head = nn.Sequential(*hidden, *again, Head(channels, num_classes))
        kaiming_(self.features)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))
