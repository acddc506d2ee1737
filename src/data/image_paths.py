"""Which image files a user means: a file, a folder, a pattern, a list of these, or standard input.

Importing this module does not import torch.
"""

import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from src.data.class_folders import NAMES_OF_SYSTEMS
from src.data.image_file import image_extensions
from src.errors import require
from src.formatting import printable

STANDARD_INPUT = "-"


def find_images(images: str | Sequence[str]) -> list[str]:
    """The paths that `images` names, each once.

    Args:
        images: a file; a folder, for all images in it and below it; a pattern such as "photos/**/*.png"; "-", for one
            path per line of standard input; or a list of files, folders and patterns.

    Raises UserError where a file, folder or pattern leads to no file. A folder that may not be read, and what a list or
    standard input names and does not exist, is returned too: whoever reads the images says so, and goes on.
    """
    if images == STANDARD_INPUT:
        paths = _lines_of_standard_input()
        require(bool(paths), "images=- reads one path per line from standard input, which is empty")
    elif isinstance(images, str):
        paths = _find(images)
        require(bool(paths), _explain_nothing(images))
    else:
        paths = [path for each in images for path in _find(each) or [each]]
    return list(dict.fromkeys(paths))


def _find(place: str) -> list[str]:
    place = str(Path(os.path.expanduser(place)))
    if os.path.isdir(place):
        return _images_below(place)
    if os.path.isfile(place):
        return [place]
    return [path for path in sorted(glob.glob(_with_literal_folders(place), recursive=True)) if os.path.isfile(path)]


def _images_below(folder: str) -> list[str]:
    """All images in the folder and below it, and folders that may not be read, sorted.

    Links to folders are followed; each folder is entered once.
    """
    paths, entered, unreadable = [], set(), []
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=unreadable.append):
        real = os.path.realpath(parent)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not _is_passed_over(name))
        paths += [os.path.join(parent, name) for name in names if _is_visible_image(name)]
    return sorted([*paths, *(error.filename for error in unreadable)])


def _is_visible_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image_extensions() and not _is_passed_over(name)


def _is_passed_over(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or was written by a file manager."""
    return name.startswith(".") or name.lower() in NAMES_OF_SYSTEMS


def _with_literal_folders(pattern: str) -> str:
    """The pattern with the folders that exist by the names at its start taken literally: "shots[1]/*.png"."""
    folder, found = os.path.split(pattern)
    while folder and not os.path.isdir(folder):
        folder, part = os.path.split(folder)
        found = os.path.join(part, found)
    return os.path.join(glob.escape(folder), found)


def _lines_of_standard_input() -> list[str]:
    """Not stripped but of the line's end, and in the encoding of file names: a name may hold any other byte."""
    lines = sys.stdin.buffer.read().splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _explain_nothing(place: str) -> str:
    shown = printable(str(Path(os.path.expanduser(place))))
    if os.path.isdir(os.path.expanduser(place)):
        return f"images={shown} is a folder without images: there are none in it or below it"
    hint = "; write [[] for a [ in a name" if "[" in place else ""
    return f"images={shown} matches no file; quote a pattern, as in images='path/*.png'{hint}"
