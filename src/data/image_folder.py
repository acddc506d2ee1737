"""The user's own images: `train/<class>/*` and `test/<class>/*`, in the order of torchvision's ImageFolder."""

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from src.data.dataset import Classes, ImageDataset, LabeledImages
from src.data.image_file import BrokenImage, image_extensions, read_rgb
from src.errors import UserError, require
from src.formatting import printable

log = logging.getLogger("cifarlab")

LAYOUT = "data=folder expects <data.root>/train/<class>/*.png and <data.root>/test/<class>/*.png"
NAMES_OF_SYSTEMS = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")  # written by file managers, not by the user

FileId = tuple[int, int]  # st_dev and st_ino: the same for all links to a file


@dataclass
class Listing:
    """What one folder, train or test, holds; paths start with data.root."""

    classes: list[str] = field(default_factory=list)  # names of the class folders, as the file system has them
    images: list[tuple[str, int]] = field(default_factory=list)  # path and label, each file once
    ids: dict[FileId, tuple[str, int]] = field(default_factory=dict)  # the entry of `images` by file
    broken: dict[str, str] = field(default_factory=dict)  # path: why it is not read
    no_images: list[str] = field(default_factory=list)
    without_class: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # further names of files in `images`
    loops: list[str] = field(default_factory=list)  # links to a folder above them


def image_folder(root: str, image_size: int, skip_broken: bool = False) -> ImageDataset:
    """All images under `root`/train and `root`/test, decoded once to (N, 3, image_size, image_size) uint8.

    Images that cannot be read are left out with `skip_broken`. Raises UserError for a missing folder, classes that
    differ, are empty or fewer than two, a file that counts twice, and, without `skip_broken`, an image that cannot
    be read. What is left out is logged.
    """
    folder = os.path.expanduser(root)
    _require_folder(folder, f"data.root={printable(root)}")
    train, test = list_images(os.path.join(folder, "train")), list_images(os.path.join(folder, "test"))
    classes = _class_names(folder, train, test)
    _require_separate(train, test)
    _log_left_out((train, test), folder)
    (train_images, broken), (test_images, broken_of_test) = _decode(train, image_size), _decode(test, image_size)
    _report_broken({**broken, **broken_of_test}, skip_broken)
    lost = _classes_without_image(train_images, classes, f"{folder}/train")
    lost += _classes_without_image(test_images, classes, f"{folder}/test")
    require(not lost, f"no image can be read in {_first_three(lost)}; mend the class, or remove it from train and test")
    return ImageDataset(train_images, test_images, classes)


def read_image(path: str | Path, size: int) -> Tensor:
    """One image as (3, size, size) uint8 RGB, upright: its shorter side is resized to `size`, then its center cropped.

    Raises UserError where the file is missing or not an image.
    """
    try:
        return _read(str(path), size)
    except BrokenImage as error:
        name = printable(str(path))
        raise UserError(f"{name} cannot be read as an image ({error}); replace or remove it.") from error


def list_images(folder: str) -> Listing:
    """The classes of a folder, its images in the order of ImageFolder, and what else lies there.

    Each file counts once, however many links lead to it. Hidden files are passed over. Raises UserError where the
    folder or a class folder cannot be read, there are no classes, or a file is in two of them.
    """
    _require_folder(folder, printable(folder))
    listing, class_folders = Listing(), []
    for entry in _entries(folder):
        if not stat.S_ISDIR(_mode(entry)):
            listing.without_class.append(entry)
        elif _leads_up(entry):
            listing.loops.append(entry)
        else:
            class_folders.append(entry)
    require(bool(class_folders), f"{printable(folder)} holds no class folders; {LAYOUT}")
    for label, path in enumerate(class_folders):
        listing.classes.append(os.path.basename(path))
        _add_class(listing, path, label)
    return listing


def _add_class(listing: Listing, class_folder: str, label: int) -> None:
    """Adds the files below a class folder to the listing."""
    num_known = len(listing.images) + len(listing.broken)
    for folder in sorted(_folders_below(class_folder, set(), listing.loops)):
        for path in _entries(folder):
            _add_file(listing, path, label)
    require(
        len(listing.images) + len(listing.broken) > num_known,
        f"{printable(class_folder)} holds no images; add some, or remove the class from train and test",
    )


def _add_file(listing: Listing, path: str, label: int) -> None:
    mode = _mode(path)
    if not _is_named_as_image(path):
        if not stat.S_ISDIR(mode):
            listing.no_images.append(path)
    elif stat.S_ISDIR(mode):
        listing.broken[path] = "a folder, no file"
    elif not stat.S_ISREG(mode):
        listing.no_images.append(path)
    elif (known := listing.ids.get(_file_id(path))) is None:
        listing.ids[_file_id(path)] = path, label
        listing.images.append((path, label))
    else:
        first, first_label = known
        same = f"{printable(path)} and {printable(first)} are the same file in two classes; remove one of them"
        require(first_label == label, same)
        listing.links.append(path)


def _folders_below(folder: str, visited: set[FileId], loops: list[str]) -> Iterator[str]:
    """The folder and those below it, links followed, each once; links to a folder above them are added to `loops`."""
    visited.add(_file_id(folder))
    yield folder
    for path in _entries(folder):
        if not stat.S_ISDIR(_mode(path)) or _is_named_as_image(path):
            continue
        if _leads_up(path):
            loops.append(path)
        elif _file_id(path) not in visited:
            yield from _folders_below(path, visited, loops)


def _leads_up(path: str) -> bool:
    """Whether a folder is a link to one that holds it."""
    target = os.path.realpath(path)
    return os.path.commonpath([target, os.path.realpath(os.path.dirname(path))]) == target


def _entries(folder: str) -> list[str]:
    """The paths of what the folder holds, sorted by name, without hidden files."""
    try:
        names = sorted(os.listdir(folder))
    except PermissionError as error:
        raise UserError(f"{printable(folder)} cannot be read: permission denied; change its mode.") from error
    visible = (name for name in names if not name.startswith(".") and name.lower() not in NAMES_OF_SYSTEMS)
    return [os.path.join(folder, name) for name in visible]


def _mode(path: str) -> int:
    """The st_mode of what the path leads to; 0, no kind of file, for a link that leads nowhere."""
    try:
        return os.stat(path).st_mode
    except PermissionError as error:
        raise UserError(f"{printable(path)} cannot be read: permission denied; change its folder's mode.") from error
    except OSError:
        return 0


def _file_id(path: str) -> FileId:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_named_as_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in image_extensions()


def _require_folder(folder: str, name: str) -> None:
    mode = _mode(folder)
    require(os.path.lexists(folder), f"{name} does not exist; {LAYOUT}")
    require(mode != 0, f"{name} is a link that leads nowhere; {LAYOUT}")
    require(stat.S_ISDIR(mode), f"{name} is no folder; {LAYOUT}")


def _class_names(folder: str, train: Listing, test: Listing) -> Classes:
    """The classes, with names that can be printed. Raises UserError where train and test differ, or names are equal."""
    differing = ", ".join(map(printable, sorted(set(train.classes) ^ set(test.classes))))
    root, names = printable(folder), tuple(map(printable, train.classes))
    require(not differing, f"{root}: train and test must hold the same classes; only one of them has: {differing}")
    require(len(names) > 1, f"{root} holds one class only ({names[0]}); a classifier needs two")
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"{root}: two classes are both shown as {', '.join(twice)}; rename one of their folders")
    return Classes(names)


def _require_separate(train: Listing, test: Listing) -> None:
    """Raises UserError where a file is in both: a network would be tested on what it was trained on."""
    for file_id, (path, _) in test.ids.items():
        if file_id in train.ids:
            first = printable(train.ids[file_id][0])
            raise UserError(f"{printable(path)} and {first} are the same file in test and train; remove one of them.")


def _log_left_out(listings: Sequence[Listing], root: str) -> None:
    """One line for each kind of file that is left out."""
    for kind, one, many in (
        ("no_images", "file is no image and is left out", "files are no images and are left out"),
        ("without_class", "file is in no class and is left out", "files are in no class and are left out"),
        ("links", "file is a link to another one and counts once", "files are links to other ones and count once"),
        ("loops", "link to a folder above it is not followed", "links to folders above them are not followed"),
    ):
        paths = [os.path.relpath(path, root) for listing in listings for path in getattr(listing, kind)]
        if paths:
            log.warning("%d %s: %s.", len(paths), one if len(paths) == 1 else many, _first_three(paths))


def _report_broken(broken: dict[str, str], skip_broken: bool) -> None:
    """Raises UserError for images that cannot be read, or logs them."""
    if not broken:
        return
    count = f"{len(broken)} image{'s' * (len(broken) > 1)} cannot be read"
    names = _first_three([f"{path} ({reason})" for path, reason in broken.items()])
    them, are = ("it", "is") if len(broken) == 1 else ("them", "are")
    problem = f"{count}: {names}; replace or remove {them}, or leave {them} out with data.skip_broken=true"
    require(skip_broken, problem)
    log.warning("%s and %s skipped: %s.", count, are, names)


def _first_three(names: Sequence[str]) -> str:
    """ "a, b, c and 4 more"."""
    shown = ", ".join(map(printable, names[:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _decode(listing: Listing, image_size: int) -> tuple[LabeledImages, dict[str, str]]:
    """The images that can be read, and by path why the others cannot."""
    images, labels, broken = [], [], dict(listing.broken)
    for path, label in listing.images:
        try:
            images.append(_read(path, image_size))
            labels.append(label)
        except BrokenImage as error:
            broken[path] = str(error)
    stacked = torch.stack(images) if images else torch.empty(0, 3, image_size, image_size, dtype=torch.uint8)
    return LabeledImages(stacked, torch.tensor(labels, dtype=torch.int64)), broken


def _classes_without_image(part: LabeledImages, classes: Classes, folder: str) -> list[str]:
    labels = set(part.labels.tolist())
    return [f"{folder}/{name}" for label, name in enumerate(classes.names) if label not in labels]


def _read(path: str, size: int) -> Tensor:
    image = transforms.pil_to_tensor(read_rgb(path))
    return transforms.center_crop(transforms.resize(image, [size]), [size, size])
