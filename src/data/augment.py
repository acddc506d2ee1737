"""Augmentations of whole batches; every image gets its own random parameters.

Each has two methods: `draw` makes the random parameters, outside any graph; `forward` is a pure function of images and
parameters, so it compiles. Images are (N, 3, H, W) float32 in [0, 1], on any device. Settings out of their range raise
ValueError.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from src.shapes import check_choice, check_range


class Augmentation(nn.Module):
    """The identity, and the interface of all augmentations.

    `flip`: "random" mirrors each image with probability 1/2; "alternate" leaves it to the loader to mirror every image
    in every other epoch (`DeviceLoader`); "none" mirrors nothing.
    """

    flip = "none"

    @property
    def flips(self) -> bool:
        return self.flip == "random"

    @property
    def alternates_flip(self) -> bool:
        return self.flip == "alternate"

    def draw(self, generator: Generator, n: int) -> tuple[Tensor, ...]:
        """Random parameters for `n` images, on the generator's device; the first dimension of each tensor is `n`."""
        return ()

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        """Augmented images of the same shape."""
        return images

    def targets(self, labels: Tensor, params: tuple[Tensor, ...], num_classes: int) -> Tensor:
        """What the loss compares logits with: `labels` (N,) int64, or (N, num_classes) float where labels are mixed."""
        return labels


class Chain(Augmentation):
    """One augmentation after another; only the last may mix labels, and all that flip do so in the same way."""

    def __init__(self, steps: Sequence[Augmentation]) -> None:
        super().__init__()
        if not steps or not all(isinstance(step, Augmentation) for step in steps):
            raise ValueError("steps must be augmentations of src.data.augment, one at least")
        if any(type(step).targets is not Augmentation.targets for step in steps[:-1]):
            raise ValueError("only the last of the steps may mix labels")
        flips = {step.flip for step in steps} - {"none"}
        if len(flips) > 1:
            raise ValueError("steps must not combine flip=random with flip=alternate")
        self.flip = flips.pop() if flips else "none"
        self.steps = nn.ModuleList(steps)

    def draw(self, generator: Generator, n: int) -> tuple[tuple[Tensor, ...], ...]:
        return tuple(step.draw(generator, n) for step in self.steps)

    def forward(self, images: Tensor, params: tuple[tuple[Tensor, ...], ...]) -> Tensor:
        for step, step_params in zip(self.steps, params, strict=True):
            images = step(images, step_params)
        return images

    def targets(self, labels: Tensor, params: tuple[tuple[Tensor, ...], ...], num_classes: int) -> Tensor:
        return self.steps[-1].targets(labels, params[-1], num_classes)


class Affine(Augmentation):
    """The course report's augmentation (Keras's ImageDataGenerator): rotation, shift and horizontal flip, bilinear.

    Angles are uniform in +-`degrees`, shifts in +-`shift` of width and height; outside the nearest pixel is repeated.
    """

    def __init__(self, degrees: float, shift: float, flip: str) -> None:
        super().__init__()
        check_range("degrees", degrees, 0, 180)
        check_range("shift", shift, 0, 1)
        self.degrees, self.shift, self.flip = degrees, shift, _check_flip(flip)

    def draw(self, generator: Generator, n: int) -> tuple[Tensor, ...]:
        angle, shift_x, shift_y = torch.rand((3, n), generator=generator, device=generator.device) * 2 - 1
        angle = angle * math.radians(self.degrees)
        cos, sin = angle.cos(), angle.sin()
        sign = _draw_sign(generator, n, self.flips)
        rows = (sign * cos, -sin, 2 * self.shift * shift_x, sign * sin, cos, 2 * self.shift * shift_y)
        return (torch.stack(rows, dim=1).view(n, 2, 3),)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        return warp(images, *params, mode="bilinear", padding="border")


class CropFlip(Augmentation):
    """Shifts by up to `pixels` whole pixels each way, then a flip: CIFAR's usual pad-and-crop.

    `padding`: what lies outside the image: "zeros", black, or "reflect", its mirror image without the edge.
    """

    def __init__(self, pixels: int, flip: str, padding: str = "zeros") -> None:
        super().__init__()
        check_range("pixels", pixels, 0, math.inf)
        check_choice("padding", padding, ("zeros", "reflect"))
        self.pixels, self.flip, self.padding = pixels, _check_flip(flip), padding

    def draw(self, generator: Generator, n: int) -> tuple[Tensor, ...]:
        shift = torch.randint(-self.pixels, self.pixels + 1, (2, n), generator=generator, device=generator.device)
        return *shift.float(), _draw_sign(generator, n, self.flips)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        shift_x, shift_y, sign = params
        height, width = images.shape[2:]
        zero, one = torch.zeros_like(sign), torch.ones_like(sign)
        rows = (sign, zero, 2 * shift_x / width, zero, one, 2 * shift_y / height)
        return warp(images, torch.stack(rows, dim=1).view(-1, 2, 3), mode="nearest", padding=self.padding)


class Cutout(Augmentation):
    """Covers a square of `pixels` x `pixels`, centered anywhere, with gray (DeVries & Taylor 2017, "Cutout")."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        check_range("pixels", pixels, 0, math.inf)
        self.pixels = pixels

    def draw(self, generator: Generator, n: int) -> tuple[Tensor, ...]:
        return tuple(torch.rand((2, n), generator=generator, device=generator.device))

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        height, width = images.shape[2:]
        size = torch.full_like(params[0], self.pixels)
        return images.masked_fill(box_mask(*params, size / height, size / width, height, width), 0.5)


class MixUp(Augmentation):
    """Blends each image and label with another of the batch (Zhang et al. 2018), by shares from Beta(alpha, alpha)."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"alpha={alpha} must be above 0")
        self.alpha = alpha

    def draw(self, generator: Generator, n: int) -> tuple[Tensor, ...]:
        shape = torch.full((2, n), float(self.alpha), device=generator.device)
        first, second = torch._standard_gamma(shape, generator=generator)
        partner = torch.randperm(n, generator=generator, device=generator.device)
        return first / (first + second).clamp_min(1e-12), partner

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        share, partner = params[0].view(-1, 1, 1, 1), params[1]
        return share * images + (1 - share) * images[partner]

    def targets(self, labels: Tensor, params: tuple[Tensor, ...], num_classes: int) -> Tensor:
        return mix_labels(labels, *params, num_classes)


class CutMix(Augmentation):
    """Fills a rectangle of each image, its area uniform in [0, 1] and clipped, from another image (Yun et al. 2019)."""

    def draw(self, generator: Generator, n: int) -> tuple[Tensor, ...]:
        x, y, area = torch.rand((3, n), generator=generator, device=generator.device)
        return x, y, area.sqrt(), torch.randperm(n, generator=generator, device=generator.device)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        x, y, side, partner = params
        return torch.where(box_mask(x, y, side, side, *images.shape[2:]), images[partner], images)

    def targets(self, labels: Tensor, params: tuple[Tensor, ...], num_classes: int) -> Tensor:
        x, y, side, partner = params
        center = torch.stack((x, y))
        width, height = (center + side / 2).clamp_max(1) - (center - side / 2).clamp_min(0)  # within the image
        return mix_labels(labels, 1 - width * height, partner, num_classes)


def warp(images: Tensor, matrix: Tensor, mode: str, padding: str) -> Tensor:
    """Resamples `images`: output pixel (x, y) is read at `matrix` (N, 2, 3) @ (x, y, 1), coordinates in [-1, 1].

    `mode` and `padding` are those of `F.grid_sample`; `padding` may also be "reflect", see `CropFlip`.
    The grid is the sum of a row and a column: `F.affine_grid`, a product of matrices, is many times slower on a CPU.
    """
    height, width = images.shape[2:]
    x = torch.linspace(1 / width - 1, 1 - 1 / width, width, device=images.device)  # the centers of the pixels
    y = torch.linspace(1 / height - 1, 1 - 1 / height, height, device=images.device)
    by_x, by_y, offset = matrix.unsqueeze(-1).unbind(2)
    grid = (by_x * x).unsqueeze(-2) + (by_y * y + offset).unsqueeze(-1)  # (N, 2, H, W)
    if padding == "reflect":
        grid, padding = torch.stack([_reflect(grid[:, 0], width), _reflect(grid[:, 1], height)], dim=1), "border"
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), mode=mode, padding_mode=padding, align_corners=False)


def _reflect(position: Tensor, size: int) -> Tensor:
    """Coordinates in [-1, 1] along `size` pixels; those beyond the center of an outer pixel are mirrored at it."""
    outer = 1 - 1 / size
    return outer - (outer - ((position + outer).abs() - outer)).abs()


def box_mask(x: Tensor, y: Tensor, height: Tensor, width: Tensor, rows: int, columns: int) -> Tensor:
    """(N, 1, rows, columns) bool: pixels in a box centered at (x, y); all four (N,), as fractions of the image."""
    inside_x = ((torch.arange(columns, device=x.device) + 0.5) / columns - x[:, None]).abs() < width[:, None] / 2
    inside_y = ((torch.arange(rows, device=x.device) + 0.5) / rows - y[:, None]).abs() < height[:, None] / 2
    return (inside_y[:, :, None] & inside_x[:, None, :])[:, None]


def mix_labels(labels: Tensor, share: Tensor, partner: Tensor, num_classes: int) -> Tensor:
    """(N, num_classes) float: `share` (N,) of each image's own label, the rest of its partner's."""
    classes = torch.arange(num_classes, device=labels.device)  # not F.one_hot, which waits for the GPU to check labels
    own, other = labels[:, None] == classes, labels[partner][:, None] == classes
    return share[:, None] * own + (1 - share[:, None]) * other


def _check_flip(flip: str) -> str:
    check_choice("flip", flip, ("random", "alternate", "none"))
    return flip


def _draw_sign(generator: Generator, n: int, flips: bool) -> Tensor:
    """(n,) float: -1 for images to be mirrored, 1 for the others."""
    if not flips:
        return torch.ones(n, device=generator.device)
    return torch.randint(0, 2, (n,), generator=generator, device=generator.device) * 2.0 - 1.0
