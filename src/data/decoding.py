"""From image files to (3, size, size) uint8: one, or many by all CPUs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as transforms

from src.data.image_file import BrokenImage, read_rgb
from src.data.loader import ignore_signals
from src.data.rng import make_generator
from src.errors import UserError
from src.formatting import printable
from src.processes import num_cpus

CHUNK_BYTES = 1 << 20  # decoded bytes that a worker sends at once; containers may have little shared memory
IMAGES_PER_WORKER = 500  # fewer are read sooner than a worker starts
BORDER = 128  # gray around an image with data.fit=letterbox


class EncodedImages(Protocol):
    """Images that are not decoded yet; `identity` changes where one of them does."""

    identity: str

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a message calls the image: its path."""

    def encoded(self, index: int) -> str | bytes:
        """The path of its file, or the bytes of one."""


class Decoded(NamedTuple):
    """Some of the images: (n, 3, size, size) uint8, (n, 2) int32 widths and heights of the files, (n,) int64 indices.

    Images that cannot be read are missing; `broken` says why, by index.
    """

    indices: Tensor
    images: Tensor
    sizes: Tensor
    broken: dict[int, str]


def read_image(path: str | Path, size: int, fit: str = "crop") -> Tensor:
    """One image as (3, size, size) uint8 RGB, upright, see `fit_image`.

    Raises UserError where the file is missing or not an image.
    """
    try:
        return fit_image(read_rgb(str(path)), size, fit)
    except BrokenImage as error:
        name = printable(str(path))
        raise UserError(f"{name} cannot be read as an image ({error}); replace or remove it.") from error


def fit_image(image: Image.Image, size: int, fit: str) -> Tensor:
    """An RGB image as (3, size, size) uint8; see `fit_pixels`."""
    return fit_pixels(transforms.pil_to_tensor(image), size, fit)


def fit_pixels(pixels: Tensor, size: int, fit: str) -> Tensor:
    """(..., 3, size, size) uint8 of images (..., 3, H, W) uint8.

    "crop" resizes the shorter side to `size` and cuts out the center; "letterbox" resizes the longer side and fills the
    rest with gray.
    """
    height, width = pixels.shape[-2:]
    if (height, width) == (size, size):
        return pixels
    if fit == "crop":
        return transforms.center_crop(transforms.resize(pixels, [size]), [size, size])
    height, width = (max(1, round(side * size / max(pixels.shape[-2:]))) for side in (height, width))
    left, top = (size - width) // 2, (size - height) // 2
    borders = [left, top, size - width - left, size - height - top]
    return transforms.pad(transforms.resize(pixels, [height, width]), borders, fill=BORDER)


def decode(images: EncodedImages, indices: Tensor, size: int, fit: str) -> Iterator[Decoded]:
    """The images at `indices` (n,) int64, in their order, some at a time; large numbers by processes of their own."""
    per_chunk = max(1, CHUNK_BYTES // (3 * size * size))
    chunks = indices.split(per_chunk)
    workers = min(num_cpus(), len(indices) // IMAGES_PER_WORKER)
    return iter(
        DataLoader(
            _Chunks(images, chunks, size, fit),
            batch_size=None,
            num_workers=workers if workers > 1 else 0,
            worker_init_fn=ignore_signals,
            generator=make_generator(0),  # otherwise it would draw from the global generator, and shift a run's numbers
        )
    )


@dataclass(frozen=True)
class _Chunks(Dataset[Decoded]):
    images: EncodedImages
    chunks: Sequence[Tensor]
    size: int
    fit: str

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, number: int) -> Decoded:
        read, pixels, sizes, broken = [], [], [], {}
        for index in self.chunks[number].tolist():
            try:
                image = read_rgb(self.images.encoded(index))
            except BrokenImage as error:
                broken[index] = str(error)
                continue
            read.append(index)
            pixels.append(fit_image(image, self.size, self.fit))
            sizes.append(image.size)
        empty = torch.empty(0, 3, self.size, self.size, dtype=torch.uint8)
        shapes = torch.tensor(sizes, dtype=torch.int32).view(-1, 2)
        return Decoded(torch.tensor(read, dtype=torch.int64), torch.stack(pixels) if pixels else empty, shapes, broken)
