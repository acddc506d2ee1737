"""Images as a program holds them - paths, Pillow's images or arrays - as batches for a network."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from src.config import DataConfig
from src.data.decoding import fit_image, fit_pixels
from src.data.image_batches import BATCH_SIZE, read_in_batches
from src.data.image_file import BrokenImage, to_rgb
from src.errors import UserError, first_line, require

KINDS = "images must be a path or an image of Pillow, a list of either, or a uint8 array (N, 3, H, W) or (N, H, W, 3)"


def batch_images(images: Any, data: DataConfig) -> Iterator[Tensor]:
    """Batches (n, 3, image_size, image_size) uint8 of `images`, in their order, at the size and fit of `data`.

    Args:
        images: a path, an image of Pillow, a list of paths, a list of images, or a uint8 tensor or array (N, 3, H, W)
            or (N, H, W, 3) of RGB.
        data: data.image_size and data.fit.

    Raises UserError for anything else, and for a file that is missing or no image.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        images = [images]
    if hasattr(images, "__array__"):
        yield from (fit_pixels(batch, data.image_size, data.fit) for batch in _as_tensor(images).split(BATCH_SIZE))
        return
    require(isinstance(images, Sequence) and len(images) > 0, f"{KINDS}; this is {_describe(images)}")
    if all(isinstance(each, Image.Image) for each in images):
        for first in range(0, len(images), BATCH_SIZE):
            yield torch.stack([_convert(image, data) for image in images[first : first + BATCH_SIZE]])
    elif all(isinstance(each, str | os.PathLike) for each in images):
        for batch in read_in_batches([str(Path(path).expanduser()) for path in images], data):
            if batch.problems:
                raise UserError(batch.problems[0])
            yield batch.images
    else:
        raise UserError(f"{KINDS}; this is {_describe(images)}.")


def _as_tensor(images: Any) -> Tensor:
    """(N, 3, H, W) uint8; arrays are copied, because torch has no negative strides."""
    pixels = images if isinstance(images, Tensor) else np.array(images, order="C")
    dtype = str(pixels.dtype).removeprefix("torch.")
    is_valid = dtype == "uint8" and pixels.ndim == 4 and len(pixels) > 0 and 3 in pixels.shape[1::2]
    require(is_valid, f"{KINDS}; this one has the shape {tuple(pixels.shape)} and is {dtype}")
    tensor = torch.as_tensor(pixels)
    return tensor if tensor.shape[1] == 3 else tensor.permute(0, 3, 1, 2).contiguous()


def _convert(image: Image.Image, data: DataConfig) -> Tensor:
    try:
        return fit_image(to_rgb(ImageOps.exif_transpose(image)), data.image_size, data.fit)
    except BrokenImage as error:
        raise UserError(f"an image of mode {image.mode} cannot be used: {error}.") from error
    except OSError as error:  # Pillow decodes a file when its pixels are first used
        raise UserError(f"an image cannot be read: {first_line(error).rstrip('.')}.") from error


def _describe(images: Any) -> str:
    if isinstance(images, Sequence):
        return f"a list of {', '.join(sorted({type(each).__name__ for each in images})) or 'nothing'}"
    return f"of the type {type(images).__name__}"
