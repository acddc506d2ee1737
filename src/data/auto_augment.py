"""TrivialAugment and RandAugment for whole batches: every image gets its own operation and magnitude.

The operations are those of torchvision's `AutoAugment` classes, computed on pixels in 0..255. One differs:
TrivialAugment shifts by up to the whole image, torchvision's by up to 32 pixels. Five passes compute them, each for
those images of the batch that have drawn one of its operations.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from src.data.augment import Augmentation
from src.shapes import check_range

WARPS = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
BLENDS = ("brightness", "color", "contrast")
LEVELS = ("posterize", "solarize", "autocontrast")
SIGNED = (*WARPS, *BLENDS, "sharpness")  # they have magnitudes of either sign
OPERATIONS = ("identity", *SIGNED, *LEVELS, "equalize")
BINS = 31  # strengths of an operation
GRAY = (0.2989, 0.587, 0.114)  # weights of red, green and blue (ITU-R 601-2)

# The largest magnitude of each operation, in its own unit: shear as a tangent, translation as a share of the image,
# rotation in degrees, blends as a distance from the factor 1, posterize in bits that are dropped.
TRIVIAL = {"shear": 0.99, "translate": 1.0, "rotate": 135.0, "posterize": 6.0, "blend": 0.99}
RANDOM = {"shear": 0.3, "translate": 150.0 / 331.0, "rotate": 30.0, "posterize": 4.0, "blend": 0.9}


class TrivialAugment(Augmentation):
    """One operation for each image, with a random strength (Müller & Hutter 2021, "TrivialAugment", wide)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = magnitude_table(TRIVIAL)

    def draw(self, generator: Generator, n: int) -> tuple[Tensor, ...]:
        strength = torch.randint(0, BINS, (n,), generator=generator, device=generator.device)
        return draw_operation(generator, strength, self.table)

    def forward(self, images: Tensor, params: tuple[Tensor, ...]) -> Tensor:
        return apply_operations(images, [params])


class RandAugment(Augmentation):
    """`num_ops` operations for each image, one after the other, all of one strength (Cubuk et al. 2020, "RandAugment").

    `strength` lies in 0..30, as in torchvision.
    """

    def __init__(self, num_ops: int, strength: int) -> None:
        super().__init__()
        check_range("num_ops", num_ops, 1, math.inf)
        check_range("strength", strength, 0, BINS - 1)
        self.num_ops, self.strength, self.table = num_ops, strength, magnitude_table(RANDOM)

    def draw(self, generator: Generator, n: int) -> tuple[tuple[Tensor, ...], ...]:
        strength = torch.full((n,), self.strength, device=generator.device)
        return tuple(draw_operation(generator, strength, self.table) for _ in range(self.num_ops))

    def forward(self, images: Tensor, params: tuple[tuple[Tensor, ...], ...]) -> Tensor:
        return apply_operations(images, params)


def draw_operation(generator: Generator, strength: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """(operation, magnitude): (n,) int64, indices into OPERATIONS, and (n,) float.

    `strength` (n,) int64 in 0..30; `table` (14, 31) float: the magnitude of each operation and strength.
    """
    device = generator.device
    operation = torch.randint(0, len(OPERATIONS), strength.shape, generator=generator, device=device)
    sign = torch.randint(0, 2, strength.shape, generator=generator, device=device) * 2.0 - 1.0
    magnitude = table.to(device)[operation, strength]
    is_signed = (operation >= 1) & (operation <= len(SIGNED))
    return operation, torch.where(is_signed, sign * magnitude, magnitude)


def magnitude_table(largest: dict[str, float]) -> Tensor:
    """(14, 31) float: `magnitudes` of all operations."""
    return torch.stack([magnitudes(name, largest) for name in OPERATIONS])


def magnitudes(name: str, largest: dict[str, float]) -> Tensor:
    """(31,) float: the magnitude of each strength, in the unit of the operation."""
    if name == "solarize":  # the threshold above which values are inverted
        return torch.linspace(1, 0, BINS)
    kind = "blend" if name in (*BLENDS, "sharpness") else name.partition("_")[0]
    values = torch.linspace(0, largest.get(kind, 0), BINS)
    return values.round() if name == "posterize" else values


def apply_operations(images: Tensor, params: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """`images` (N, 3, H, W) float in [0, 1] after each (operation, magnitude) of `params`, (N,) each."""
    pixels = torch.cat((images, images[:1])).mul_(255).round_()  # the last one receives unused results
    for operation, magnitude in params:
        apply_operation(pixels, operation, magnitude)
    return pixels[:-1].div_(255)


def apply_operation(pixels: Tensor, operation: Tensor, magnitude: Tensor) -> None:
    """Changes `pixels` (N + 1, 3, H, W), whole numbers in 0..255; `operation` and `magnitude` (N,) of each image."""
    n = len(operation)
    for names, function in PASSES.items():
        chosen = torch.stack([_is(operation, name) for name in names]).any(dim=0)
        index = find_chosen(chosen, len(names))
        changed = function(pixels.index_select(0, index), operation[index], magnitude[index])  # faster than [index]
        pixels.index_copy_(0, torch.where(chosen[index], index, n), changed)


def find_chosen(chosen: Tensor, operations: int) -> Tensor:
    """(k,) int64: the indices of the images for which `chosen` (N,) bool is true.

    On a GPU and in a compiled graph k is always the `capacity`, so that no step waits for the GPU: the chosen images
    come first, images that are not chosen fill the rest.
    """
    if chosen.device.type == "cpu" and not torch.compiler.is_compiling():
        return chosen.nonzero().squeeze(1)
    return chosen.float().topk(capacity(len(chosen), operations)).indices


def capacity(n: int, operations: int) -> int:
    """How many of `n` images may draw one of so many `operations`: the mean and six standard deviations.

    If more images draw one, the surplus is not augmented; at six standard deviations this is rare.
    """
    share = operations / len(OPERATIONS)
    return min(n, 1 + math.ceil(n * share + 6 * math.sqrt(n * share * (1 - share))))


def warp_nearest(pixels: Tensor, operation: Tensor, magnitude: Tensor) -> Tensor:
    """Nearest-neighbor resampling by `warp_matrix`; black outside the image."""
    height, width = pixels.shape[2:]
    row_x, row_y = warp_matrix(operation, magnitude, height, width).unbind(1)
    matrix = torch.stack((row_x / (width / 2), row_y / (height / 2)), dim=1)  # to coordinates in [-1, 1]
    by_x, by_y, offset = matrix.unsqueeze(-1).unbind(2)
    x = torch.arange(width, device=pixels.device) - (width - 1) / 2
    y = torch.arange(height, device=pixels.device) - (height - 1) / 2
    grid = (by_x * x).unsqueeze(-2) + (by_y * y).unsqueeze(-1) + offset.unsqueeze(-1)  # (N, 2, H, W)
    return F.grid_sample(pixels, grid.permute(0, 2, 3, 1), mode="nearest", padding_mode="zeros", align_corners=False)


def warp_matrix(operation: Tensor, magnitude: Tensor, height: int, width: int) -> Tensor:
    """(N, 2, 3): where each output pixel is read, in pixels from the center; shears begin at the upper left corner."""
    shear_x, shear_y, shift_x, shift_y, angle = (magnitude * _is(operation, name) for name in WARPS)
    shift_x, shift_y, angle = (shift_x * width).trunc(), (shift_y * height).trunc(), angle.deg2rad()
    cos, sin = angle.cos(), angle.sin()
    row_x = (cos, shear_x - sin, shear_x * height / 2 - shift_x)
    row_y = (shear_y + sin, cos, shear_y * width / 2 - shift_y)
    return torch.stack((*row_x, *row_y), dim=1).view(-1, 2, 3)


def blend(pixels: Tensor, operation: Tensor, magnitude: Tensor) -> Tensor:
    """Brightness, color, contrast: extrapolates from black, gray or mean gray."""
    is_color, is_contrast = (_per_image(_is(operation, name)) for name in BLENDS[1:])
    red, green, blue = pixels.unbind(1)
    gray = (GRAY[0] * red + GRAY[1] * green + GRAY[2] * blue).floor_().unsqueeze(1)
    other = is_color * gray + is_contrast * gray.mean(dim=(2, 3), keepdim=True)
    return extrapolate(other, pixels, magnitude)


def sharpen(pixels: Tensor, _operation: Tensor, magnitude: Tensor) -> Tensor:
    """Sharpness: extrapolates from the smoothed image."""
    return extrapolate(smooth(pixels), pixels, magnitude)


def extrapolate(start: Tensor, pixels: Tensor, magnitude: Tensor) -> Tensor:
    """From `start` beyond `pixels`; with a negative magnitude between the two."""
    factor = _per_image(1 + magnitude)
    return (factor * pixels).add_((1 - factor) * start).clamp_(0, 255).floor_()


def smooth(pixels: Tensor) -> Tensor:
    """Weighted means of 3x3 pixels: weight 5 for the center, 1 for the others. Border pixels are not changed."""
    rows = (pixels[:, :, :-2] + pixels[:, :, 1:-1]).add_(pixels[:, :, 2:])
    sums = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:])
    result = pixels.clone()
    result[:, :, 1:-1, 1:-1] = sums.add_(pixels[:, :, 1:-1, 1:-1], alpha=4).div_(13).round_()
    return result


def change_levels(pixels: Tensor, operation: Tensor, magnitude: Tensor) -> Tensor:
    """Posterize drops bits, solarize inverts values above a threshold, autocontrast stretches channels to 0..255."""
    is_posterize, is_solarize, is_autocontrast = (_per_image(_is(operation, name)) for name in LEVELS)
    low, high = pixels.amin(dim=(2, 3), keepdim=True), pixels.amax(dim=(2, 3), keepdim=True)
    step = torch.where(is_posterize, _per_image(2.0**magnitude), 1)
    pixels = (pixels / step).floor_().mul_(step)
    threshold = torch.where(is_solarize, _per_image((255 * magnitude.double()).float()), 256)
    pixels = torch.where(pixels >= threshold, 255 - pixels, pixels)
    stretches = is_autocontrast & (low < high)  # a channel of one value stays as it is
    scale = torch.where(stretches, (high - low) / 255, 1)
    return pixels.sub_(low * stretches).div_(scale).floor_()


def equalize(pixels: Tensor, _operation: Tensor, _magnitude: Tensor) -> Tensor:
    """Histogram equalization of each channel; a channel with too few values is not changed."""
    values = pixels.flatten(2).long()
    count = torch.zeros(*values.shape[:2], 256, device=pixels.device)
    count = count.scatter_add(2, values, torch.ones_like(values, dtype=count.dtype))
    largest = count.gather(2, values.amax(dim=2, keepdim=True))
    step = ((values.shape[2] - largest) / 255).floor()
    lower = count.cumsum(dim=2) - count  # pixels of a lower value, for each value
    table = ((lower + (step / 2).floor()) / step.clamp_min(1)).floor().clamp(0, 255)
    table[:, :, 0] = 0
    return torch.where(step.unsqueeze(3) == 0, pixels, table.gather(2, values).view_as(pixels))


# the operations of a pass -> what it computes from (pixels, operation, magnitude)
PASSES = {WARPS: warp_nearest, BLENDS: blend, ("sharpness",): sharpen, LEVELS: change_levels, ("equalize",): equalize}


def _is(operation: Tensor, name: str) -> Tensor:
    return operation == OPERATIONS.index(name)


def _per_image(values: Tensor) -> Tensor:
    """(N,) -> (N, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)
