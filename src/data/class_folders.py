"""A folder with one folder per class: which images it holds, in the order of torchvision's ImageFolder."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from src.data.image_file import image_extensions
from src.errors import UserError, require
from src.formatting import printable

NAMES_OF_SYSTEMS = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")  # written by file managers, not by the user

FileId = tuple[int, int]  # st_dev and st_ino: the same for all links to a file


class ListedImage(NamedTuple):
    """A file named as an image; `size` in bytes and `modified` in ns tell whether it has changed."""

    path: str
    label: int
    size: int
    modified: int


@dataclass
class Listing:
    """The images of one part of a data set, and what lies beside them."""

    classes: list[str] = field(default_factory=list)  # names of the class folders, as the file system has them
    images: list[ListedImage] = field(default_factory=list)  # each file once
    ids: dict[FileId, ListedImage] = field(default_factory=dict)
    no_images: list[str] = field(default_factory=list)
    without_class: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # further names of files in `images`
    loops: list[str] = field(default_factory=list)  # links to a folder above them

    def add(self, path: str, label: int, status: os.stat_result) -> None:
        """Adds a file. One that has been added stays what it is; raises UserError where it had another label."""
        image = ListedImage(path, label, status.st_size, status.st_mtime_ns)
        file_id = (status.st_dev, status.st_ino)
        known = self.ids.setdefault(file_id, image)
        if known is image:
            self.images.append(image)
            return
        same = f"{printable(path)} and {printable(known.path)} are the same file in two classes; remove one of them"
        require(known.label == label, same)
        self.links.append(path)


def list_images(folder: str) -> Listing:
    """The classes of a folder, its images in the order of ImageFolder, and what else lies there.

    Each file counts once, however many links lead to it. Hidden files are passed over. Raises UserError where the
    folder or a class folder cannot be read, holds no images, or a file is in two classes.
    """
    listing, folders = Listing(), []
    for path in entries(folder):
        if not is_folder(path):
            listing.without_class.append(path)
        elif _leads_up(path):
            listing.loops.append(path)
        else:
            folders.append(path)
    only_loops = f"{printable(folder)} holds no class folders, only links to folders above it"
    require(bool(folders) or not listing.loops, only_loops)
    for label, path in enumerate(folders):
        listing.classes.append(os.path.basename(path))
        _add_class(listing, path, label)
    return listing


def entries(folder: str) -> list[str]:
    """The paths of what the folder holds, sorted by name, without hidden files."""
    try:
        names = sorted(os.listdir(folder))
    except PermissionError as error:
        raise UserError(f"{printable(folder)} cannot be read: permission denied; change its mode.") from error
    visible = (name for name in names if not name.startswith(".") and name.lower() not in NAMES_OF_SYSTEMS)
    return [os.path.join(folder, name) for name in visible]


def is_folder(path: str) -> bool:
    status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def is_named_as_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in image_extensions()


def status_of(path: str) -> os.stat_result | None:
    """What the path leads to; None for a link that leads nowhere."""
    try:
        return os.stat(path)
    except PermissionError as error:
        raise UserError(f"{printable(path)} cannot be read: permission denied; change its folder's mode.") from error
    except OSError:
        return None


def _add_class(listing: Listing, class_folder: str, label: int) -> None:
    """Adds the files below a class folder to the listing."""
    num_known = len(listing.images)
    for folder in sorted(_folders_below(class_folder, set(), listing.loops)):
        for path in entries(folder):
            _add_file(listing, path, label)
    require(
        len(listing.images) > num_known,
        f"{printable(class_folder)} holds no images; add some, or remove the class from train and test",
    )


def _add_file(listing: Listing, path: str, label: int) -> None:
    status = status_of(path)
    mode = status.st_mode if status else 0
    if is_named_as_image(path) and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        listing.add(path, label, status)  # a folder of such a name is found broken when it is read
    elif not stat.S_ISDIR(mode):
        listing.no_images.append(path)


def _folders_below(folder: str, visited: set[FileId], loops: list[str]) -> Iterator[str]:
    """The folder and those below it, links followed, each once; links to a folder above them are added to `loops`."""
    visited.add(_file_id(folder))
    yield folder
    for path in entries(folder):
        if is_named_as_image(path) or not is_folder(path):
            continue
        if _leads_up(path):
            loops.append(path)
        elif _file_id(path) not in visited:
            yield from _folders_below(path, visited, loops)


def _leads_up(path: str) -> bool:
    """Whether a folder is a link to one that holds it."""
    target = os.path.realpath(path)
    return os.path.commonpath([target, os.path.realpath(os.path.dirname(path))]) == target


def _file_id(path: str) -> FileId:
    status = os.stat(path)
    return status.st_dev, status.st_ino
