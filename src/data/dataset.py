"""A data set in memory: uint8 images, int64 labels and the names of the classes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from src.data.image_rows import ImageRows
from src.errors import require

HASHED_AT_ONCE = 1024  # images
CLASSES_SHAPE = {"names": [str], "superclass_names": [str], "superclass_of": [int]}  # of `asdict(Classes)`


@dataclass(frozen=True)
class Classes:
    """Class names in label order and, where the data set has superclasses, the superclass of each class."""

    names: tuple[str, ...]
    superclass_names: tuple[str, ...] = ()
    superclass_of: tuple[int, ...] = ()

    @staticmethod
    def from_groups(groups: dict[str, Sequence[str]]) -> "Classes":
        """Classes in alphabetical order, as CIFAR-100 numbers them, from {superclass: its classes}."""
        superclass_names = tuple(sorted(groups))
        parent = {name: superclass_names.index(group) for group, names in groups.items() for name in names}
        names = tuple(sorted(parent))
        return Classes(names, superclass_names, tuple(parent[name] for name in names))

    @staticmethod
    def from_saved(saved: dict[str, Any], path: Path) -> "Classes":
        """From a dict of CLASSES_SHAPE that the file `path` holds. Raises UserError where its parts do not fit."""
        classes = Classes(**{name: tuple(saved[name]) for name in CLASSES_SHAPE})
        parents, count = classes.superclass_of, len(classes.superclass_names)
        fits = len(parents) in (0, len(classes.names)) and all(0 <= parent < count for parent in parents)
        require(bool(classes.names) and fits, f"{path} is damaged: its class names and superclasses do not fit")
        return classes

    def by_superclass(self) -> list[int]:
        """All labels, the classes of one superclass next to each other."""
        return sorted(range(len(self.names)), key=self.superclass_of.__getitem__ if self.superclass_of else None)


@dataclass(frozen=True)
class LabeledImages:
    """`images` (N, 3, H, W) uint8 and `labels` (N,) int64, on one device.

    The images are a tensor, or rows of a file that is read when they are used.
    """

    images: Tensor | ImageRows
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> "LabeledImages":
        """The images and labels at `indices` (n,) int64, copied."""
        return LabeledImages(self.images.index_select(0, indices), self.labels.index_select(0, indices))

    def part(self, indices: Tensor) -> "LabeledImages":
        """The images and labels at `indices` (n,) int64; images of a file are not read yet."""
        if isinstance(self.images, ImageRows):
            return LabeledImages(self.images.part(indices), self.labels[indices])
        return self[indices]

    def to(self, device: torch.device) -> "LabeledImages":
        """All on `device`. Images of a file are read, unless `device` is the CPU."""
        images = self.images if device.type == "cpu" and isinstance(self.images, ImageRows) else self.images.to(device)
        return LabeledImages(images, self.labels.to(device))

    def resized(self, size: int) -> "LabeledImages":
        """The images at `size` x `size` pixels (antialiased bilinear); this object where they have that size."""
        if self.images.shape[-2:] == (size, size):
            return self
        return LabeledImages(transforms.resize(self.images, [size, size]), self.labels)


@dataclass(frozen=True)
class ImageDataset:
    """A data set with its official training and test images, before any are held out for validation.

    `held_out` (n,) int64 are places in `train` of images that the data set itself sets aside for validation.
    """

    train: LabeledImages
    test: LabeledImages
    classes: Classes
    held_out: Tensor | None = None

    def check(self) -> None:
        """Raises ValueError where a part is not what it should be: a data set may come from a user's own function."""
        num_classes = len(self.classes.names)
        if num_classes < 2:
            raise ValueError("there is one class only; a classifier needs two")
        for name, part in (("training", self.train), ("test", self.test)):
            images, labels, count = part.images, part.labels, len(part)
            for holds, problem in (
                (count > 0, f"there are no {name} images"),
                (images.dtype == torch.uint8, f"the {name} images are {images.dtype}, not uint8"),
                (images.ndim == 4 and images.shape[:2] == (count, 3), f"the {name} images have the shape "
                 f"{tuple(images.shape)}, not ({count}, 3, height, width)"),
                (labels.dtype == torch.int64 and labels.ndim == 1, f"the {name} labels are not one int64 per image"),
            ):  # fmt: skip
                if not holds:
                    raise ValueError(problem)
            if labels.min() < 0 or labels.max() >= num_classes:
                raise ValueError(f"the {name} labels must lie in [0, {num_classes}), the number of class names")

    def resized(self, size: int) -> "ImageDataset":
        return ImageDataset(self.train.resized(size), self.test.resized(size), self.classes, self.held_out)


def fingerprint(*parts: LabeledImages | None) -> str:
    """16 hex digits of a hash of all pixels and labels, in order. The parts must be in CPU memory."""
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            digest.update(b"none")
        else:
            digest.update(str(tuple(part.images.shape)).encode())
            for images in part.images.split(HASHED_AT_ONCE):
                digest.update(images[:].contiguous().numpy().data)
            digest.update(part.labels.contiguous().numpy().data)
    return digest.hexdigest()[:16]
