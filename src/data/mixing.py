"""Augmentations that cover parts of images, or mix two images and their labels; each image gets its own draw."""

import torch
from torch import Generator, Tensor

from src.data.augment import Augmentation


class RandomErasing(Augmentation):
    """Covers a square of `pixels`, centred anywhere, with grey in each image (DeVries & Taylor 2017, "Cutout")."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        if pixels < 0:
            raise ValueError(f"pixels={pixels} must not be negative")
        self.pixels = pixels

    def draw(self, generator: Generator, count: int) -> tuple[Tensor, ...]:
        return tuple(torch.rand((2, count), generator=generator, device=generator.device))

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        _, _, height, width = images.shape
        size = torch.full_like(params[0], self.pixels)
        return images.masked_fill(box(*params, size / height, size / width, height, width), 0.5)


class MixUp(Augmentation):
    """Each image fades into another of the batch (Zhang et al. 2018); the share is drawn from Beta(alpha, alpha)."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha={alpha} must be above 0")
        self.alpha = alpha

    def draw(self, generator: Generator, count: int) -> tuple[Tensor, ...]:
        shape = torch.full((2, count), float(self.alpha), device=generator.device)
        first, second = torch._standard_gamma(shape, generator=generator)
        return first / (first + second).clamp_min(1e-12), _partners(generator, count)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        share, partner = params
        share = share.view(-1, 1, 1, 1)
        return share * images + (1 - share) * images[partner]

    def targets(self, labels: Tensor, params: tuple[Tensor, ...], num_classes: int) -> Tensor:
        return mixed(labels, *params, num_classes)


class CutMix(Augmentation):
    """A rectangle of each image comes from another of the batch (Yun et al. 2019), its area evenly from 0 to 1.

    What sticks out of the image is cut off; the label's share is the area that remains.
    """

    def draw(self, generator: Generator, count: int) -> tuple[Tensor, ...]:
        x, y, area = torch.rand((3, count), generator=generator, device=generator.device)
        return x, y, area.sqrt(), _partners(generator, count)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        x, y, side, partner = params
        _, _, height, width = images.shape
        return torch.where(box(x, y, side, side, height, width), images[partner], images)

    def targets(self, labels: Tensor, params: tuple[Tensor, ...], num_classes: int) -> Tensor:
        x, y, side, partner = params
        covered = _overlap(x, side) * _overlap(y, side)
        return mixed(labels, 1 - covered, partner, num_classes)


def box(x: Tensor, y: Tensor, height: Tensor, width: Tensor, rows: int, columns: int) -> Tensor:
    """(N, 1, rows, columns) bool: the pixels within a rectangle around (x, y); all four (N,), in parts of the image."""
    across = (torch.arange(columns, device=x.device) + 0.5) / columns
    down = (torch.arange(rows, device=x.device) + 0.5) / rows
    inside_x = (across - x[:, None]).abs() < width[:, None] / 2
    inside_y = (down - y[:, None]).abs() < height[:, None] / 2
    return (inside_y[:, :, None] & inside_x[:, None, :])[:, None]


def mixed(labels: Tensor, share: Tensor, partner: Tensor, num_classes: int) -> Tensor:
    """(N, num_classes) float: `share` (N,) for each image's own label, the rest for its partner's."""
    classes = torch.arange(num_classes, device=labels.device)  # F.one_hot would wait for the labels, to look at them
    own, other = labels[:, None] == classes, labels[partner][:, None] == classes
    return share[:, None] * own + (1 - share[:, None]) * other


def _overlap(centre: Tensor, side: Tensor) -> Tensor:
    """How much of an interval around `centre` lies in [0, 1]."""
    return (centre + side / 2).clamp_max(1) - (centre - side / 2).clamp_min(0)


def _partners(generator: Generator, count: int) -> Tensor:
    return torch.randperm(count, generator=generator, device=generator.device)
