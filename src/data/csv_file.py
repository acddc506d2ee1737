"""The user's own images, listed in a CSV file: a column of files, one of labels, perhaps one of parts."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.data.class_folders import Listing, status_of
from src.data.dataset import ImageDataset
from src.data.layouts import PARTS
from src.data.listed_dataset import Reading, read_listings
from src.errors import UserError, require
from src.files import read_text
from src.formatting import first_three, printable

COLUMNS = {  # what headers call them, in lower case
    "file": ("file", "filename", "file_name", "path", "filepath", "image", "image_path", "img"),
    "label": ("label", "class", "class_name", "category", "target", "y"),
    "part": ("part", "split", "set", "subset", "partition"),
}


def csv_file(root: str, **settings: Any) -> ImageDataset:
    """The images that the CSV file `root` lists; paths start at its folder.

    The columns are found by their headers (`COLUMNS`). A third one tells train, val and test apart; without it, or
    without "test" in it, a share of each class is the test set. `settings` are those of `Reading`. Raises
    UserError for a file without these columns, rows without a value, and files that do not exist.
    """
    path = os.path.expanduser(root)
    require(os.path.isfile(path), f"data.root={printable(root)} is no file; name a CSV file of images and labels")
    rows = _read_rows(path)
    names = sorted({row["label"] for row in rows})
    labels = {name: label for label, name in enumerate(names)}
    parts: dict[str, Listing] = {}
    missing = []
    for row in rows:
        listing = parts.setdefault(row["part"], Listing(classes=names))
        image = os.path.join(os.path.dirname(path), row["file"])
        if status := status_of(image):
            listing.add(image, labels[row["label"]], status)
        else:
            missing.append(image)
    count = f"{len(missing):,} file{'s' * (len(missing) != 1)}"
    require(not missing, f"{printable(path)} names {count} that do not exist: {first_three(missing)}")
    ordered = {part: parts[part] for part in PARTS if part in parts}
    require("train" in ordered, f"{printable(path)} has no rows of the part train")
    return read_listings(ordered, names, Reading(path, **settings))


def _read_rows(path: str) -> list[dict[str, str]]:
    """The rows as {"file": ..., "label": ..., "part": ...}."""
    text = read_text(Path(path)).removeprefix("\ufeff")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        numbered = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise UserError(f"{printable(path)} is no CSV file ({error}).") from error
    columns = _find_columns(numbered[0][1] if numbered else [], path)
    rows = []
    for number, line in numbered[1:]:
        row = {name: line[place].strip() if place < len(line) else "" for name, place in columns.items()}
        empty = [name for name, value in row.items() if not value]
        require(not empty, f"{printable(path)}, line {number}: {', '.join(empty)} is empty")
        row["part"] = _find_part(row.get("part", "train"), path, number)
        rows.append(row)
    require(bool(rows), f"{printable(path)} has no rows")
    return rows


def _find_columns(header: Sequence[str], path: str) -> Mapping[str, int]:
    names = [cell.strip().lower() for cell in header]
    found = {}
    for column, known in COLUMNS.items():
        places = [place for place, name in enumerate(names) if name in known]
        named = ", ".join(printable(header[place]) for place in places)
        require(len(places) < 2, f"{printable(path)} has two columns of {column}s ({named}); keep one of them")
        if places:
            found[column] = places[0]
    lacking = [column for column in ("file", "label") if column not in found]
    known = "; ".join(f"{column}: {', '.join(COLUMNS[column])}" for column in lacking)
    require(
        not lacking,
        f"{printable(path)} has no column of {'s and '.join(lacking)}s; its first line is "
        f"{printable(','.join(header))}; known headers are, for {known}",
    )
    return found


def _find_part(value: str, path: str, line: int) -> str:
    part = next((part for part, names in PARTS.items() if value.lower() in names), None)
    require(part is not None, f"{printable(path)}, line {line}: {printable(value)} is none of train, val and test")
    return part
