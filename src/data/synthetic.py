"""Images drawn by code, for machines without network and for tests: 10 shapes x 10 textures = 100 classes.

Position, scale, rotation, colors, background, an occluding rectangle and noise are drawn for every image, so that, as
with photographs, a network can memorize a small set of them and must generalize to do well on the rest.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.rng import make_generator
from src.errors import require

# Functions of coordinates in the shape's own frame, (N, H, W) float each; True inside the shape.
SHAPES = {
    "bars": lambda x, y: (x.abs() < 0.95) & (y.abs() < 0.9) & (y.abs() > 0.3),
    "crescent": lambda x, y: (x**2 + y**2 < 1) & ((x - 0.5) ** 2 + y**2 > 0.6),
    "cross": lambda x, y: (torch.minimum(x.abs(), y.abs()) < 0.33) & (torch.maximum(x.abs(), y.abs()) < 1),
    "diamond": lambda x, y: x.abs() * 1.4 + y.abs() < 1.05,
    "disc": lambda x, y: x**2 + y**2 < 0.85,
    "half": lambda x, y: (x**2 + y**2 < 1) & (y > -0.1),
    "ring": lambda x, y: ((x**2 + y**2) < 1) & ((x**2 + y**2) > 0.35),
    "square": lambda x, y: torch.maximum(x.abs(), y.abs()) < 0.8,
    "star": lambda x, y: (x**2 + y**2).sqrt() < 0.68 + 0.34 * torch.cos(5 * torch.atan2(x, y)),
    "triangle": lambda x, y: (y < 0.7) & (x.abs() * 1.6 - 0.9 < y * 0.9),
}

# Functions of the same coordinates times a frequency; from -1, the first color, to 1, the second.
TEXTURES = {
    "checked": lambda x, y: torch.sign(torch.sin(x) * torch.sin(y)),
    "circled": lambda x, y: torch.sin(1.3 * (x**2 + y**2).sqrt()),
    "crossed": lambda x, y: torch.maximum(torch.sin(x + y), torch.sin(x - y)) * 2 - 1,
    "dotted": lambda x, y: torch.sign(torch.sin(x) + torch.sin(y) - 0.9),
    "level": lambda x, y: torch.sin(1.2 * y),
    "plain": lambda x, y: torch.zeros_like(x),
    "shaded": lambda x, y: torch.tanh(0.35 * x),
    "slanted": lambda x, y: torch.sin(0.9 * (x + y)),
    "upright": lambda x, y: torch.sin(1.2 * x),
    "wavy": lambda x, y: torch.sin(1.3 * y + 1.5 * torch.sin(0.8 * x)),
}


def synthetic(train_images: int, test_images: int, image_size: int, seed: int) -> ImageDataset:
    """Draws `train_images` + `test_images` images (N, 3, image_size, image_size) uint8, equally many of each class.

    A class is a texture on a shape ("dotted_star"); its superclass is the shape. Equal arguments give equal images.
    Raises UserError where one of the numbers is not a positive multiple of 100.
    """
    for name, count in (("train_images", train_images), ("test_images", test_images)):
        problem = f"data.source.{name}={count} must be a multiple of 100, at least one for each class"
        require(count >= 100 and count % 100 == 0, problem)
    classes = Classes.from_groups({shape: [f"{texture}_{shape}" for texture in TEXTURES] for shape in SHAPES})
    parts = []
    for part, per_class in enumerate((train_images // 100, test_images // 100)):
        images = [
            draw(*name.split("_"), per_class, image_size, make_generator(seed, part, label))
            for label, name in enumerate(classes.names)
        ]
        parts.append(LabeledImages(torch.cat(images), torch.arange(100).repeat_interleave(per_class)))
    return ImageDataset(*parts, classes)


def draw(texture: str, shape: str, count: int, size: int, generator: torch.Generator) -> Tensor:
    """`count` images (count, 3, size, size) uint8 of one class."""

    def uniform(low: float, high: float, dims: tuple[int, ...] = (1, 1)) -> Tensor:
        """(count, *dims) float32."""
        return low + (high - low) * torch.rand(count, *dims, generator=generator)

    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle, scale = uniform(-0.45, 0.45), uniform(0.42, 0.8)
    dx, dy = x - uniform(-0.35, 0.35), y - uniform(-0.35, 0.35)
    shape_x = (dx * angle.cos() + dy * angle.sin()) / scale  # in the shape's own frame, rotated and scaled
    shape_y = (dy * angle.cos() - dx * angle.sin()) / scale
    frequency, phase_x, phase_y = uniform(5, 8.5), uniform(0, math.tau), uniform(0, math.tau)

    inside = SHAPES[shape](shape_x, shape_y)[:, None]
    if texture == "circled":  # its rings are centered on the shape
        phase_x = phase_y = torch.zeros(())
    blend = (TEXTURES[texture](shape_x * frequency + phase_x, shape_y * frequency + phase_y)[:, None] + 1) / 2
    direction = uniform(0, math.tau)
    slope = torch.sigmoid(2 * (x * direction.cos() + y * direction.sin()))[:, None]

    ground, far_ground, box, first, second = uniform(0, 1, (5, 3, 1, 1)).unbind(1)  # colors (count, 3, 1, 1)
    first = (ground + far_ground) / 2 + 0.3 + 0.4 * first  # differs from the background by 0.3 or more, modulo 1
    second = first + 0.3 + 0.4 * second
    first, second = first % 1, second % 1
    image = torch.where(inside, first + (second - first) * blend, ground + (far_ground - ground) * slope)
    box_x, box_y = uniform(-1, 1), uniform(-1, 1)
    occluded = ((x - box_x).abs() < uniform(0.05, 0.3)) & ((y - box_y).abs() < uniform(0.05, 0.3))
    image = torch.where(occluded[:, None], box, image)
    image = image + uniform(0.05, 0.25, (1, 1, 1)) * torch.randn(image.shape, generator=generator)
    # A blur: without it augmentations that interpolate would train on smoother images than those that are evaluated.
    weights = torch.tensor([0.25, 0.5, 0.25])
    kernel = (weights[:, None] * weights).expand(3, 1, 3, 3)
    image = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    return (image.clamp(0, 1) * 255).to(torch.uint8)
