"""Residual networks for small images (He et al. 2016, "Deep Residual Learning for Image Recognition", section 4.2)."""

from torch import Tensor, nn
from torch.nn import functional as F

from src.models.head import Head
from src.models.init import kaiming_


class ResNet(nn.Module):
    """(N, 3, H, W) float -> logits (N, num_classes).

    Three stages of 16, 32 and 64 filters; the second and the third halve the image. Shortcuts have no weights.

    Args:
        depth: layers with weights, 6 n + 2 for n blocks in a stage; else ValueError.
    """

    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__()
        count, rest = divmod(depth - 2, 6)
        if rest or count < 1:
            raise ValueError(f"depth={depth} must be 6 n + 2: 8, 14, 20, 26, 32, ...")
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        channels = 16
        for width in (16, 32, 64):
            for _ in range(count):
                layers.append(Block(channels, width))
                channels = width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = Head(channels, num_classes)
        kaiming_(self.features)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Block(nn.Module):
    """Two convolutions and a shortcut; where `width` is more than `channels`, it halves the image."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.added = width - channels
        self.stride = 2 if self.added else 1
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=self.stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.added:  # every other pixel, and channels of zeros
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return F.relu(self.body(x) + shortcut)
