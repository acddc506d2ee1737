"""A person's own images, in torchvision's ImageFolder layout: `train/<class>/*` and `test/<class>/*`."""

from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional as transforms

from src.data.images import Classes, ImageDataset, LabelledImages
from src.errors import UserError


def read_image(path: str | Path, size: int) -> Tensor:
    """One image file as (3, size, size) uint8 RGB: its shorter side is resized to `size`, then its centre is cut out.

    Raises UserError where the file is missing or no image.
    """
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)  # as the camera was held
            if upright.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
                upright = upright.point(lambda value: value / 257).convert("L")
            image = transforms.pil_to_tensor(upright.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace it or take it out.") from error
    image = transforms.resize(image, [size], antialias=True)
    return transforms.center_crop(image, [size, size])


def folder(root: str, image_size: int) -> ImageDataset:
    """All images under `root`/train and `root`/test, decoded once to (N, 3, image_size, image_size) uint8.

    Raises UserError for a missing folder, fewer than two classes, classes that differ between the two, or a bad file.
    """
    train, test = (_index(Path(root) / part) for part in ("train", "test"))
    if train.classes != test.classes:
        differing = ", ".join(sorted(set(train.classes) ^ set(test.classes)))
        raise UserError(f"{root}/train and {root}/test must hold the same classes; only one of them has: {differing}.")
    if len(train.classes) < 2:
        raise UserError(f"{root}/train holds one class only ({train.classes[0]}); a classifier needs at least two.")
    return ImageDataset(_decode(train, image_size), _decode(test, image_size), Classes(tuple(train.classes)))


def _index(root: Path) -> ImageFolder:
    try:
        return ImageFolder(str(root))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"data=folder found no images in {root} ({' '.join(str(error).split())}): it wants "
            "<data.root>/train/<class>/*.png and <data.root>/test/<class>/*.png; name the folder with data.root=..."
        ) from error


def _decode(index: ImageFolder, image_size: int) -> LabelledImages:
    images = torch.stack([read_image(path, image_size) for path, _ in index.samples])
    return LabelledImages(images, torch.tensor(index.targets, dtype=torch.int64))
