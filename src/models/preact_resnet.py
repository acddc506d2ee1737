"""Residual networks whose norms and activations come before the convolutions, narrow and wide."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from src.models.head import Head
from src.models.init import kaiming_


class PreActResNet(nn.Module):
    """(N, 3, H, W) float -> logits (N, num_classes).

    He et al. 2016, "Identity Mappings in Deep Residual Networks"; with many filters and dropout Zagoruyko & Komodakis
    2016, "Wide Residual Networks".

    Args:
        stem: filters of the first convolution.
        widths: filters of each stage; every stage but the first halves the image.
        blocks: residual blocks in each stage.
        dropout: probability of dropping each number between the two convolutions of a block.

    Raises ValueError for a value out of its range.
    """

    def __init__(self, stem: int, widths: Sequence[int], blocks: int, dropout: float, num_classes: int) -> None:
        super().__init__()
        if not widths or min(stem, blocks, *widths) < 1:
            raise ValueError(f"stem={stem}, widths={list(widths)} and blocks={blocks} must be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout} must lie in [0, 1)")
        layers: list[nn.Module] = [nn.Conv2d(3, stem, 3, padding=1, bias=False)]
        channels = stem
        for stage, width in enumerate(widths):
            for block in range(blocks):
                layers.append(Block(channels, width, stride=2 if stage and not block else 1, dropout=dropout))
                channels = width
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.features = nn.Sequential(*layers)
        self.head = Head(channels, num_classes)
        kaiming_(self.features)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Block(nn.Module):
    """Norm, ReLU, convolution, twice, and a shortcut; one that changes the shape is a 1x1 convolution."""

    def __init__(self, channels: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )
        keeps_shape = channels == width and stride == 1
        self.shortcut = None if keeps_shape else nn.Conv2d(channels, width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm(x))
        return self.body(active) + (x if self.shortcut is None else self.shortcut(active))
