"""From lists of image files to a data set: what contradicts itself is refused, what is missing is split off."""

import hashlib
import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from src.data.class_folders import ListedImage, Listing
from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.decoding import EncodedImages
from src.data.image_cache import ImageCache, choose_cache_folder
from src.data.image_rows import ImageRows, describe_broken
from src.errors import UserError, require
from src.formatting import first_three, printable

log = logging.getLogger("cifarlab")

UNEQUAL = 3  # from this ratio of the largest to the smallest class on, weights are suggested


@dataclass(frozen=True)
class Reading:
    """How your own images are read: (N, 3, image_size, image_size) uint8, decoded when a run first needs them.

    Args:
        root: the folder or file that holds or lists them.
        image_size: pixels.
        fit: "crop" or "letterbox", see `src.data.decoding.fit_pixels`.
        skip_broken: leave out images that cannot be read.
        cache: the folder that keeps the decoded images; None: beside them.
        test_share: the share of each class that becomes the test set where there is none.
    """

    root: str
    image_size: int
    fit: str = "crop"
    skip_broken: bool = False
    cache: str | None = None
    test_share: float = 0.2


class ListedFiles:
    """The files of listings, as `EncodedImages`."""

    def __init__(self, images: Sequence[ListedImage], root: str) -> None:
        self.paths = [image.path for image in images]
        digest = hashlib.sha256()
        for path, _, size, modified in images:
            digest.update(os.fsencode(f"{os.path.relpath(path, root)}\0{size}\0{modified}\n"))
        self.identity = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return self.paths[index]

    def encoded(self, index: int) -> str:
        return self.paths[index]


def read_listings(parts: Mapping[str, Listing], names: Sequence[str], reading: Reading) -> ImageDataset:
    """The data set of the listings "train", perhaps "val" and "test".

    Raises UserError for fewer than two classes, classes that differ between parts or cannot be told apart, and a file
    in two parts.
    """
    classes = _class_names(printable(reading.root), parts, names)
    for first, second in itertools.combinations(parts, 2):
        _require_separate(parts, first, second)
    _log_left_out(list(parts.values()), os.path.dirname(reading.root) if os.path.isfile(reading.root) else reading.root)
    images = [image for part in parts.values() for image in part.images]
    numbers = torch.arange(len(images)).split([len(part.images) for part in parts.values()])
    labels = torch.tensor([image.label for image in images], dtype=torch.int64)
    files = ListedFiles(images, reading.root)
    return read_encoded(files, labels, dict(zip(parts, numbers, strict=True)), classes, reading)


def read_encoded(
    encoded: EncodedImages, labels: Tensor, parts: Mapping[str, Tensor], classes: Classes, reading: Reading
) -> ImageDataset:
    """The data set of images that are not decoded yet; `labels` (N,) int64, and (n,) int64 indices of each part.

    Without a part "test", some images of each class are split off. Images of a part "val" are among the training
    images, as `ImageDataset.held_out`. With data.skip_broken=true all images are decoded now, to leave out those
    that cannot be read. Raises UserError where a class has no image left.
    """
    place = choose_cache_folder(reading.root, reading.cache, reading.image_size, reading.fit)
    cache = ImageCache(encoded, reading.image_size, reading.fit, place)
    if reading.skip_broken:
        everything = torch.arange(len(encoded))
        cache.fill(everything)
        _log_broken(cache.broken(everything))
        parts = {part: cache.readable(numbers) for part, numbers in parts.items()}
    if "test" not in parts:
        train, test = split_test(encoded, labels, parts["train"], classes, reading)
        log.info(f"there are no test images: {len(test):,} images, {100 * reading.test_share:g} % of each class, are "
                 "the test set, the same ones in every run (data.test_share)")  # fmt: skip
        parts = {**parts, "train": train, "test": test}
    for part, numbers in parts.items():
        missing = sorted(set(range(len(classes.names))) - set(labels[numbers].tolist()))
        shown = first_three([classes.names[label] for label in missing])
        problem = f"{part} has no readable image of {shown}; add images of it, or remove the class from all parts"
        require(not missing, problem)
    held_out = parts.get("val", torch.empty(0, dtype=torch.int64))
    train = torch.cat([parts["train"], held_out])
    _log_found(labels, parts, classes, reading)
    return ImageDataset(
        LabeledImages(ImageRows(cache, train), labels[train]),
        LabeledImages(ImageRows(cache, parts["test"]), labels[parts["test"]]),
        classes,
        torch.arange(len(parts["train"]), len(train)) if len(held_out) else None,
    )


def split_test(
    encoded: EncodedImages, labels: Tensor, numbers: Tensor, classes: Classes, reading: Reading
) -> tuple[Tensor, Tensor]:
    """(train, test) of the images `numbers`, sorted: a share of each class, at least one image, is the test set.

    Which ones follows from a hash of each path below data.root alone: new images change little.
    """
    names = {number: os.path.relpath(encoded.name(number), reading.root) for number in numbers.tolist()}
    ranks = {number: hashlib.sha256(os.fsencode(name)).digest() for number, name in names.items()}
    test = []
    for label in labels[numbers].unique().tolist():
        members = sorted(numbers[labels[numbers] == label].tolist(), key=ranks.__getitem__)
        require(
            len(members) > 1, f"{classes.names[label]} has one image only; a class needs one to train and one to test"
        )
        test += members[: min(max(1, round(reading.test_share * len(members))), len(members) - 1)]
    chosen = torch.tensor(sorted(test))
    return numbers[~torch.isin(numbers, chosen)], chosen


def _class_names(root: str, parts: Mapping[str, Listing], names: Sequence[str]) -> Classes:
    """The classes, with names that can be printed."""
    shown = tuple(map(printable, names))
    for part, listing in parts.items():
        differing = first_three(sorted(set(listing.classes) ^ set(parts["train"].classes)))
        require(
            not differing, f"{root}: train and {part} must hold the same classes; only one of them has: {differing}"
        )
    require(len(shown) > 1, f"{root} holds one class only ({shown[0]}); a classifier needs two")
    twice = sorted({name for name in shown if shown.count(name) > 1})
    require(not twice, f"{root}: two classes are both shown as {', '.join(twice)}; rename one of their folders")
    return Classes(shown)


def _require_separate(parts: Mapping[str, Listing], first: str, second: str) -> None:
    """Raises UserError where a file is in both: a network would be tested on what it was trained on, or chosen by."""
    for file_id, image in parts[second].ids.items():
        if file_id in parts[first].ids:
            one, other = printable(image.path), printable(parts[first].ids[file_id].path)
            raise UserError(f"{one} and {other} are the same file in {second} and {first}; remove one of them.")


def _log_left_out(listings: Sequence[Listing], root: str) -> None:
    """One line for each kind of file that is left out."""
    for kind, one, many in (
        ("no_images", "file is no image and is left out", "files are no images and are left out"),
        ("without_class", "file is in no class and is left out", "files are in no class and are left out"),
        ("links", "repeated file or link counts once", "repeated files or links count once"),
        ("loops", "link to a folder above it is not followed", "links to folders above them are not followed"),
    ):
        paths = [os.path.relpath(path, root) for listing in listings for path in getattr(listing, kind)]
        if paths:
            log.warning("%d %s: %s.", len(paths), one if len(paths) == 1 else many, first_three(paths))


def _log_broken(broken: Mapping[str, str]) -> None:
    if broken:
        log.warning("%s.", describe_broken(broken, skipped=True))


def _log_found(labels: Tensor, parts: Mapping[str, Tensor], classes: Classes, reading: Reading) -> None:
    counts = ", ".join(f"{len(parts[part]):,} in {part}" for part in ("train", "val", "test") if part in parts)
    sizes = labels[parts["train"]].bincount(minlength=len(classes.names))
    low, high = int(sizes.min()), int(sizes.max())
    per_class = f"{low:,}" if low == high else f"{low:,} ({classes.names[int(sizes.argmin())]}) to {high:,} "
    if low != high:
        per_class += f"({classes.names[int(sizes.argmax())]})"
    name, num_classes = printable(reading.root), len(classes.names)
    log.info(f"{name}: {num_classes} classes, images: {counts}; for training {per_class} of each class")
    if high >= UNEQUAL * low:
        log.info(
            "the classes are unequal: data.balanced_sampling=true or loss=balanced_cross_entropy makes them count alike"
        )
