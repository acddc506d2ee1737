"""Augmentations of whole batches in which every image gets its own draw.

Two methods each: `draw` makes the random parameters, outside any graph; `forward` is a pure function of images and
parameters, so it compiles. Images are (N, 3, H, W) float32 in [0, 1], on any device.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F


class Augmentation(nn.Module):
    """The identity, and the interface of all others. `flips`: whether it mirrors at random."""

    flips = False

    def draw(self, generator: Generator, count: int) -> tuple[Tensor, ...]:
        """Random parameters for `count` images, on the generator's device; the first dimension of each is `count`."""
        return ()

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        return images

    def targets(self, labels: Tensor, params: tuple[Tensor, ...], num_classes: int) -> Tensor:
        """What the network is to say: `labels` (N,) int64, or shares (N, num_classes) where images are mixed."""
        return labels


class Chain(Augmentation):
    """One augmentation after the other. Raises ValueError unless all are ours, and none but the last mixes labels."""

    def __init__(self, steps: Sequence[Augmentation]) -> None:
        super().__init__()
        if not steps or not all(isinstance(step, Augmentation) for step in steps):
            raise ValueError("steps must be augmentations of src.data, one at least")
        if any(type(step).targets is not Augmentation.targets for step in steps[:-1]):
            raise ValueError("only the last of the steps may mix labels")
        self.steps = nn.ModuleList(steps)

    @property
    def flips(self) -> bool:
        return any(step.flips for step in self.steps)

    def draw(self, generator: Generator, count: int) -> tuple[tuple[Tensor, ...], ...]:
        return tuple(step.draw(generator, count) for step in self.steps)

    def forward(self, images: Tensor, params: tuple[tuple[Tensor, ...], ...]) -> Tensor:
        for step, own in zip(self.steps, params, strict=True):
            images = step(images, own)
        return images

    def targets(self, labels: Tensor, params: tuple[tuple[Tensor, ...], ...], num_classes: int) -> Tensor:
        return self.steps[-1].targets(labels, params[-1], num_classes)


class Affine(Augmentation):
    """Rotation, shift and horizontal flip; bilinear, what lies outside is filled with the nearest pixel.

    The report's augmentation (Keras's ImageDataGenerator): angles uniform in +-`degrees`, shifts uniform in +-`shift`
    of the image's size, continuous, flipped with probability 1/2.
    """

    def __init__(self, degrees: float, shift: float, flip: bool) -> None:
        super().__init__()
        self.degrees, self.shift, self.flip = degrees, shift, flip

    @property
    def flips(self) -> bool:
        return self.flip

    def draw(self, generator: Generator, count: int) -> tuple[Tensor, ...]:
        angle, shift_x, shift_y = _uniform(generator, 3, count)
        angle = angle * math.radians(self.degrees)
        side = _sides(generator, count, self.flip)
        cos, sin = angle.cos(), angle.sin()
        shift_x, shift_y = 2 * self.shift * shift_x, 2 * self.shift * shift_y
        return (_matrix(side * cos, -sin, shift_x, side * sin, cos, shift_y),)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        return warp(images, *params, mode="bilinear", padding="border")


class CropFlip(Augmentation):
    """Shifts by whole pixels, up to `pixels` each way, black outside, then a flip: the usual pad-and-crop of CIFAR."""

    def __init__(self, pixels: int, flip: bool) -> None:
        super().__init__()
        self.pixels, self.flip = pixels, flip

    @property
    def flips(self) -> bool:
        return self.flip

    def draw(self, generator: Generator, count: int) -> tuple[Tensor, ...]:
        low, high = -self.pixels, self.pixels + 1
        shift = torch.randint(low, high, (2, count), generator=generator, device=generator.device).float()
        return *shift, _sides(generator, count, self.flip)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        shift_x, shift_y, side = params
        _, _, height, width = images.shape
        none, full = torch.zeros_like(side), torch.ones_like(side)
        matrix = _matrix(side, none, 2 * shift_x / width, none, full, 2 * shift_y / height)
        return warp(images, matrix, mode="nearest", padding="zeros")


def warp(images: Tensor, matrix: Tensor, mode: str, padding: str) -> Tensor:
    """Resamples each image where its `matrix` (N, 2, 3) sends the output's pixels, in coordinates from -1 to 1.

    The grid is the sum of a row and a column: `F.affine_grid`, a product of matrices, is many times slower on a CPU.
    """
    _, _, height, width = images.shape
    x = torch.linspace(1 / width - 1, 1 - 1 / width, width, device=images.device)  # the middles of the pixels
    y = torch.linspace(1 / height - 1, 1 - 1 / height, height, device=images.device)
    by_x, by_y, offset = matrix.unsqueeze(-1).unbind(2)
    grid = (by_x * x).unsqueeze(-2) + (by_y * y + offset).unsqueeze(-1)  # (N, 2, H, W)
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), mode=mode, padding_mode=padding, align_corners=False)


def _matrix(*entries: Tensor) -> Tensor:
    """(N, 2, 3) from its six entries, row by row, (N,) each."""
    return torch.stack(entries, dim=1).view(-1, 2, 3)


def _uniform(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) * 2 - 1


def _sides(generator: Generator, count: int, flip: bool) -> Tensor:
    """-1 for the images to be mirrored, 1 for the others."""
    if not flip:
        return torch.ones(count, device=generator.device)
    return torch.randint(0, 2, (count,), generator=generator, device=generator.device) * 2.0 - 1.0
