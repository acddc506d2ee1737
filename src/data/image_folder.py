"""The user's own images, in the layout of torchvision's ImageFolder: `train/<class>/*` and `test/<class>/*`."""

from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional as transforms

from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.errors import UserError, require


def image_folder(root: str, image_size: int) -> ImageDataset:
    """All images under `root`/train and `root`/test, decoded once to (N, 3, image_size, image_size) uint8.

    Raises UserError for a missing folder, classes that differ or are fewer than two, and a file that is not an image.
    """
    folder = Path(root).expanduser()
    train, test = _index(folder / "train"), _index(folder / "test")
    differing = ", ".join(sorted(set(train.classes) ^ set(test.classes)))
    require(not differing, f"{folder}: train and test must hold the same classes; only one of them has: {differing}")
    require(len(train.classes) > 1, f"{folder} holds one class only ({train.classes[0]}); a classifier needs two")
    return ImageDataset(_decode(train, image_size), _decode(test, image_size), Classes(tuple(train.classes)))


def read_image(path: str | Path, size: int) -> Tensor:
    """One image as (3, size, size) uint8 RGB, upright: its shorter side is resized to `size`, then its center cropped.

    Raises UserError where the file is missing or not an image.
    """
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            if upright.mode.startswith("I"):  # 16-bit grayscale, which Pillow's own conversion clips at 255
                upright = upright.point(lambda value: value / 257).convert("L")
            image = transforms.pil_to_tensor(upright.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace or remove it.") from error
    return transforms.center_crop(transforms.resize(image, [size]), [size, size])


def _index(folder: Path) -> ImageFolder:
    try:
        return ImageFolder(str(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"data=folder found no images in {folder} ({' '.join(str(error).split())}); it expects "
            "<data.root>/train/<class>/*.png and <data.root>/test/<class>/*.png; name the folder with data.root=..."
        ) from error


def _decode(index: ImageFolder, image_size: int) -> LabeledImages:
    images = torch.stack([read_image(path, image_size) for path, _ in index.samples])
    return LabeledImages(images, torch.tensor(index.targets))
