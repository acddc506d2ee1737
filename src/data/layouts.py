"""How the user's images lie in folders: which folder is which part, and what an unknown layout is nearest to."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from src.data.class_folders import Listing, entries, is_folder, is_named_as_image, list_images, status_of
from src.errors import require
from src.files import read_text
from src.formatting import first_three, printable

LAYOUT = (
    "data=folder expects <data.root>/train/<class>/*.png and <data.root>/test/<class>/*.png, "
    "or <data.root>/<class>/*.png alone"
)
PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
ANNOTATIONS = "val_annotations.txt"  # of Tiny-ImageNet
FILES = {".csv": "csv", ".tsv": "csv", ".npz": "npz", ".parquet": "parquet"}  # the choice of `data` that reads them
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


class Layout(NamedTuple):
    """The parts of a data set: "train", perhaps "val" and "test"; class names; what the user should know."""

    parts: dict[str, Listing]
    names: Sequence[str]
    notes: Sequence[str] = ()


def find_layout(root: str) -> Layout:
    """Lists the images of `root`. Raises UserError, which says what to do, where they lie in no known layout."""
    _require_folder(root)
    folders = _find_parts(root)
    if "train" not in folders:
        return _without_parts(root, folders)
    others = [path for path in entries(root) if is_folder(path) and path not in folders.values()]
    if not _has_folders(folders["train"]):
        if others:  # "train" is one class among several: bus, car, train
            return _without_parts(root, {})
        _refuse_images_without_class(folders["train"])
    if "val" in folders and os.path.isfile(os.path.join(folders["val"], ANNOTATIONS)):
        return _tiny_imagenet(root, folders)
    notes, parts = [f"{_name(path)} is none of train, val and test, and is left out" for path in others], {}
    for part, folder in folders.items():
        if _has_folders(folder):
            parts[part] = list_images(folder)
        else:
            notes.append(_unlabeled(folder))
    if "val" in parts and "test" not in parts:
        parts["test"] = parts.pop("val")
        notes.append(f"{_name(folders['val'])} is the test set; validation images are held out of train")
    return Layout(parts, parts["train"].classes, notes)


def _without_parts(root: str, folders: dict[str, str]) -> Layout:
    """<root>/<class>/*."""
    if not _has_folders(root) or folders:
        _refuse(root, folders)
    listing = list_images(root)
    only = os.path.join(root, listing.classes[0])
    require(
        len(listing.classes) > 1 or not _has_folders(only),
        f"{printable(root)} holds one folder; if the classes or train and test are in that, use "
        f"data.root={printable(only)}",
    )
    return Layout({"train": listing}, listing.classes)


def _tiny_imagenet(root: str, folders: dict[str, str]) -> Layout:
    """train/<wnid>/images/*, val/images/* with labels in val_annotations.txt, words.txt with names; test has no labels.

    The labeled images of val are the test set. Source: http://cs231n.stanford.edu/tiny-imagenet-200.zip
    """
    train, test, val = list_images(folders["train"]), Listing(), folders["val"]
    labels = {name: label for label, name in enumerate(train.classes)}
    missing = []
    for number, line in enumerate(read_text_lines(os.path.join(val, ANNOTATIONS)), 1):
        name, wnid, *_ = [*line.split("\t"), ""]
        require(
            wnid in labels,
            f"{printable(val)}/{ANNOTATIONS}, line {number}: {printable(wnid) or 'no class'} is not in train",
        )
        path = os.path.join(val, "images", name)
        if status := status_of(path):
            test.add(path, labels[wnid], status)
        else:
            missing.append(path)
    files = f"{len(missing)} files that do" if len(missing) > 1 else "1 file that does"
    require(not missing, f"{ANNOTATIONS} names {files} not exist: {first_three(missing)}")
    test.classes = train.classes
    notes = [f"{_name(val)} is the test set; its labels are in {ANNOTATIONS}"]
    if "test" in folders:
        notes.append(f"{_name(folders['test'])} has no labels: its images are left out")
    return Layout({"train": train, "test": test}, _names_of_wnids(root, train.classes), notes)


def _names_of_wnids(root: str, wnids: Sequence[str]) -> list[str]:
    """The first name of each class in words.txt: "n01443537\tgoldfish, Carassius auratus"; its wnid where it has none.

    Two classes of one name also get their wnid.
    """
    path = os.path.join(root, "words.txt")
    lines = read_text_lines(path) if os.path.isfile(path) else []
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    names = [words.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    return [f"{name} ({wnid})" if names.count(name) > 1 else name for name, wnid in zip(names, wnids, strict=True)]


def read_text_lines(path: str) -> list[str]:
    """The lines of a text file that are not empty."""
    return [line for line in read_text(Path(path)).splitlines() if line.strip()]


def _find_parts(root: str) -> dict[str, str]:
    """The folders of `root` that are named as parts, by part: {"train": "my_images/Training"}."""
    found: dict[str, str] = {}
    for path in entries(root):
        name = os.path.basename(path).lower()
        part = next((part for part, names in PARTS.items() if name in names), None)
        if part is None or not is_folder(path):
            continue
        require(
            part not in found, f"{_name(found.get(part, ''))} and {_name(path)} are both {part}; remove one of them"
        )
        found[part] = path
    return {part: found[part] for part in PARTS if part in found}


def _has_folders(folder: str) -> bool:
    return any(map(is_folder, entries(folder)))


def _unlabeled(folder: str) -> str:
    return f"{_name(folder)} has no class folders, so its images have no labels and are left out"


def _require_folder(root: str) -> None:
    name = f"data.root={printable(root)}"
    require(os.path.lexists(root), f"{name} does not exist; {LAYOUT}")
    require(os.path.exists(root), f"{name} is a link that leads nowhere; {LAYOUT}")
    extension = os.path.splitext(root)[1].lower()
    require(is_folder(root) or extension not in FILES, f"{name} is a file; read it with data={FILES.get(extension)}")
    require(is_folder(root) or extension not in ARCHIVES, f"{name} is an archive; unpack it, and name the folder")
    require(is_folder(root), f"{name} is no folder; {LAYOUT}")


def _refuse(root: str, folders: dict[str, str]) -> None:
    """Raises UserError, which names the nearest layout, for a folder of none."""
    name = printable(root)
    if folders:
        present = " and ".join(_name(path) for path in folders.values())
        require(False, f"{name} holds {present}, but no train; {LAYOUT}")
    _refuse_images_without_class(root)
    for path in entries(root):
        if choice := FILES.get(os.path.splitext(path)[1].lower()):
            require(
                False, f"{name} holds no folders; read the file in it with data={choice} data.root={printable(path)}"
            )
        if os.path.splitext(path)[1].lower() in ARCHIVES:
            require(False, f"{name} holds no folders; unpack {_name(path)} first")
    require(False, f"{name} holds no images; {LAYOUT}")


def _refuse_images_without_class(folder: str) -> None:
    count, name = sum(map(is_named_as_image, entries(folder))), printable(folder)
    images = f"{count:,} image{'s' * (count > 1)}"
    require(
        count == 0,
        f"{name} holds {images}, but no class folders; put the images of each class into a folder of its own, "
        f"{name}/<class>/*, or list files and labels in a CSV file (data=csv)",
    )


def _name(path: str) -> str:
    return printable(os.path.basename(path))
