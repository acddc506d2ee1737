"""What a data set is once it is in memory: uint8 images, labels, and the names of the classes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms


@dataclass(frozen=True)
class Classes:
    """Class names in label order and, where the data set has them, the superclass of each class."""

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

    def by_superclass(self) -> list[int]:
        """The labels in an order that keeps the classes of one superclass together."""
        if not self.superclass_of:
            return list(range(len(self.names)))
        return sorted(range(len(self.names)), key=lambda label: (self.superclass_of[label], label))


@dataclass(frozen=True)
class LabelledImages:
    """`images` (N, 3, H, W) uint8 and `labels` (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> "LabelledImages":
        return LabelledImages(self.images.index_select(0, indices), self.labels.index_select(0, indices))

    def to(self, device: torch.device) -> "LabelledImages":
        return LabelledImages(self.images.to(device), self.labels.to(device))

    def resized(self, size: int) -> "LabelledImages":
        """The images at `size` x `size` pixels (antialiased bilinear); themselves where they have that size."""
        if self.images.shape[-2:] == (size, size):
            return self
        return LabelledImages(transforms.resize(self.images, [size, size], antialias=True), self.labels)


@dataclass(frozen=True)
class ImageDataset:
    """A whole data set as its authors split it, before any validation split of ours."""

    train: LabelledImages
    test: LabelledImages
    classes: Classes

    def resized(self, size: int) -> "ImageDataset":
        return ImageDataset(self.train.resized(size), self.test.resized(size), self.classes)


def fingerprint(*parts: LabelledImages | None) -> str:
    """A short hash of the exact pixels and labels, in order: equal fingerprints mean equal data and equal splits."""
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            digest.update(b"none")
            continue
        digest.update(str(tuple(part.images.shape)).encode())
        digest.update(part.images.contiguous().numpy().data)
        digest.update(part.labels.contiguous().numpy().data)
    return digest.hexdigest()[:16]
