"""Images in a NumPy file (.npz), as MedMNIST and many course exercises have them."""

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.decoding import fit_pixels
from src.errors import UserError, require
from src.formatting import printable

ARRAYS = {  # part: names of its images and labels
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "val": (("val_images", "val_labels"), ("x_val", "y_val"), ("x_valid", "y_valid")),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
CLASS_NAMES = ("class_names", "classes", "label_names")


def npz_file(root: str, image_size: int) -> ImageDataset:
    """The images of the file `root` as (N, 3, image_size, image_size) uint8.

    Its arrays are train_images and train_labels, test_images and test_labels, and perhaps val_images and val_labels
    (MedMNIST), or x_train, y_train and so on (Keras): images (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8, labels (N,)
    or (N, 1) integers from 0. The shorter side is resized, the center cut out. Perhaps class_names. Raises UserError
    for a file without these arrays.
    """
    path = os.path.expanduser(root)
    require(os.path.isfile(path), f"data.root={printable(root)} is no file; name an .npz file of images and labels")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # a damaged archive may raise anything
        raise UserError(f"{printable(path)} cannot be read as a NumPy file (.npz): {error}.") from error
    parts = {part: _find_part(arrays, part, path, image_size) for part in ARRAYS}
    for part in ("train", "test"):
        wanted = " or ".join(" and ".join(names) for names in ARRAYS[part])
        require(
            parts[part] is not None,
            f"{printable(path)} has no {part} images: it needs the arrays {wanted}, and has {', '.join(arrays)}",
        )
    train, val, test = parts["train"], parts["val"], parts["test"]
    count = 1 + int(max(part.labels.max() for part in (train, val, test) if part))
    names = next((tuple(map(_decode, arrays[name].ravel())) for name in CLASS_NAMES if name in arrays), None)
    classes = Classes(names or tuple(map(str, range(count))))
    if val is None:
        return ImageDataset(train, test, classes)
    both = LabeledImages(torch.cat([train.images, val.images]), torch.cat([train.labels, val.labels]))
    return ImageDataset(both, test, classes, torch.arange(len(train), len(both)))


def _decode(name: Any) -> str:
    return printable(name.decode(errors="replace") if isinstance(name, bytes) else str(name))


def _find_part(arrays: dict[str, NDArray], part: str, path: str, size: int) -> LabeledImages | None:
    names = next((names for names in ARRAYS[part] if set(names) <= set(arrays)), None)
    if names is None:
        return None
    images, labels = (arrays[name] for name in names)
    channels = images.shape[3] if images.ndim == 4 else 1
    require(
        images.dtype == np.uint8 and images.ndim in (3, 4) and channels in (1, 3),
        f"{printable(path)}: {names[0]} has the shape {images.shape} of {images.dtype}; images are (N, H, W), "
        "(N, H, W, 1) or (N, H, W, 3) of uint8",
    )
    flat = labels.reshape(-1, 1) if labels.ndim == 1 else labels
    require(len(images) > 0, f"{printable(path)}: {names[0]} holds no images")
    require(
        np.issubdtype(labels.dtype, np.integer) and flat.shape == (len(images), 1) and flat.min() >= 0,
        f"{printable(path)}: {names[1]} has the shape {labels.shape} of {labels.dtype}; labels are one integer for "
        f"each of the {len(images):,} images, from 0",
    )
    pixels = torch.from_numpy(images).view(len(images), *images.shape[1:3], channels).permute(0, 3, 1, 2)
    return LabeledImages(
        fit_pixels(pixels.expand(-1, 3, -1, -1), size, "crop").contiguous(),
        torch.from_numpy(flat[:, 0].astype(np.int64)),
    )
