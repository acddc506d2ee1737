"""Images drawn by code, for machines without network and for tests: 10 shapes x 10 textures = 100 classes.

Every image has its own position, scale, rotation, colours, two-coloured background, stray rectangle and noise, so
that a network can memorise a small set of them and must generalise to do well on the rest, as with photographs.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from src.data.images import Classes, ImageDataset, LabelledImages
from src.data.seeds import make_generator
from src.errors import UserError

# Each takes coordinates in the shape's own frame, (N, H, W) each, and says where the shape is (bool).
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

# Each takes the same coordinates times a frequency and gives the share of the second colour, in [-1, 1].
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
    """`train_images` + `test_images` images (N, 3, image_size, image_size) uint8, equally many of each class.

    A class is a texture on a shape ("dotted_star"); its superclass is the shape. Equal arguments give equal images.
    Raises UserError where a number is no multiple of the 100 classes.
    """
    for name, count in (("train_images", train_images), ("test_images", test_images)):
        if count < 100 or count % 100:
            raise UserError(f"data.source.{name}={count} must be a multiple of 100, one for each class at least.")
    classes = Classes.from_groups({shape: [f"{texture}_{shape}" for texture in TEXTURES] for shape in SHAPES})
    train, test = (_part(classes, n, image_size, (seed, part)) for part, n in enumerate((train_images, test_images)))
    return ImageDataset(train, test, classes)


def _part(classes: Classes, count: int, size: int, seed: tuple[int, int]) -> LabelledImages:
    per_class = count // len(classes.names)
    images = [
        draw(*name.split("_"), per_class, size, make_generator(*seed, label))
        for label, name in enumerate(classes.names)
    ]
    return LabelledImages(torch.cat(images), torch.arange(len(classes.names)).repeat_interleave(per_class))


def draw(texture: str, shape: str, count: int, size: int, generator: torch.Generator) -> Tensor:
    """`count` images (count, 3, size, size) uint8 of one class."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *(shape or (1, 1)), generator=generator)

    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle, scale = uniform(-0.45, 0.45), uniform(0.42, 0.8)
    across, down = x - uniform(-0.35, 0.35), y - uniform(-0.35, 0.35)
    along = (across * angle.cos() + down * angle.sin()) / scale
    aside = (down * angle.cos() - across * angle.sin()) / scale
    frequency, phase_x, phase_y = uniform(5, 8.5), uniform(0, math.tau), uniform(0, math.tau)

    inside = SHAPES[shape](along, aside)[:, None]
    if texture == "circled":  # rings stay centred on the shape
        phase_x = phase_y = torch.zeros(())
    blend = (TEXTURES[texture](along * frequency + phase_x, aside * frequency + phase_y)[:, None] + 1) / 2
    direction = uniform(0, math.tau)
    slope = torch.sigmoid(2 * (x * direction.cos() + y * direction.sin()))[:, None]

    ground, far_ground, stray, colour, other = uniform(0, 1, 5, 3, 1, 1).unbind(1)
    colour = (ground + far_ground) / 2 + 0.3 + 0.4 * colour  # apart from the ground, in every channel
    other = colour + 0.3 + 0.4 * other
    colour, other = colour % 1, other % 1
    image = torch.where(inside, colour + (other - colour) * blend, ground + (far_ground - ground) * slope)
    stray_x, stray_y = uniform(-1, 1), uniform(-1, 1)
    hidden = ((x - stray_x).abs() < uniform(0.05, 0.3)) & ((y - stray_y).abs() < uniform(0.05, 0.3))
    image = torch.where(hidden[:, None], stray, image)
    image = image + uniform(0.05, 0.25, 1, 1, 1) * torch.randn(image.shape, generator=generator)
    return (_soften(image).clamp(0, 1) * 255).to(torch.uint8)


def _soften(images: Tensor) -> Tensor:
    """A blur of 3x3 pixels: without it, edges and noise are sharper than a photograph's, and all that interpolates
    (rotation, shifts) would teach a network a smoothness that unaugmented images do not have."""
    weights = torch.tensor([0.25, 0.5, 0.25])
    kernel = (weights[:, None] * weights).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
