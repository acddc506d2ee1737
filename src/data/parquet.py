"""Images in Parquet files, as the Hugging Face Hub has them: a column of encoded images, one of labels."""

import glob
import hashlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from src.data.dataset import Classes, ImageDataset
from src.data.layouts import PARTS
from src.data.listed_dataset import Reading, read_encoded
from src.errors import UserError, require
from src.formatting import printable

if TYPE_CHECKING:
    import pyarrow

IMAGES, LABELS = ("image", "img"), ("label", "fine_label", "labels", "target")


class ParquetImages:
    """The rows of tables, as `EncodedImages`."""

    def __init__(self, paths: Sequence[str], tables: "Sequence[pyarrow.Table]") -> None:
        self.columns = [table[_column(table, IMAGES, path)] for path, table in zip(paths, tables, strict=True)]
        self.starts = torch.tensor([0, *map(len, self.columns)]).cumsum(0)
        self.paths = paths
        status = [os.stat(path) for path in paths]
        described = [(os.path.basename(path), s.st_size, s.st_mtime_ns) for path, s in zip(paths, status, strict=True)]
        self.identity = hashlib.sha256(json.dumps(described).encode()).hexdigest()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def name(self, index: int) -> str:
        table, row = self._place(index)
        return f"{self.paths[table]}, row {row + 1}"

    def encoded(self, index: int) -> bytes:
        table, row = self._place(index)
        value = self.columns[table][row].as_py()
        return (value.get("bytes") if isinstance(value, dict) else value) or b""

    def _place(self, index: int) -> tuple[int, int]:
        table = int(torch.searchsorted(self.starts, index, right=True)) - 1
        return table, index - int(self.starts[table])


def parquet(root: str, **settings: Any) -> ImageDataset:
    """The images of a Parquet file, or of the files train*.parquet, test*.parquet, validation*.parquet of a folder.

    The columns are image (bytes, or a struct with "bytes") and label (integers, named in the file's Hugging Face
    metadata). `settings` are those of `Reading`. Raises UserError where pyarrow is missing, or the files are not of
    this form.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError as error:
        raise UserError('data=parquet needs pyarrow, which is not installed: pip install -e ".[parquet]"') from error
    path = os.path.expanduser(root)
    files = _find_files(path)
    paths = [file for part in files.values() for file in part]
    try:
        tables = [read_table(file, memory_map=True) for file in paths]
    except (ArrowException, OSError) as error:
        raise UserError(f"{printable(path)}: a Parquet file cannot be read ({error}).") from error
    encoded = ParquetImages(paths, tables)
    labels = torch.cat([_labels(table, file) for file, table in zip(paths, tables, strict=True)])
    require(len(labels) > 0, f"{printable(path)} holds no rows")
    numbers = iter(torch.arange(len(encoded)).split([len(table) for table in tables]))
    parts = {part: torch.cat([next(numbers) for _ in members]) for part, members in files.items()}
    names = _class_names(tables[0], _column(tables[0], LABELS, paths[0]))
    count = int(labels.max()) + 1
    require(labels.min() >= 0, f"{printable(path)}: labels must not be negative: an unlabeled part must be left out")
    require(not names or count <= len(names), f"{printable(path)}: a label is {count - 1}, of {len(names)} class names")
    classes = Classes(tuple(map(printable, names)) or tuple(map(str, range(count))))
    reading = Reading(path, **settings)
    return read_encoded(encoded, labels, parts, classes, reading)


def _find_files(path: str) -> dict[str, list[str]]:
    """The files of each part: by the first word of their names, "train-00000-of-00002.parquet"."""
    if os.path.isfile(path):
        return {"train": [path]}
    found: dict[str, list[str]] = {part: [] for part in PARTS}
    for file in sorted(glob.glob(os.path.join(glob.escape(path), "**", "*.parquet"), recursive=True)):
        word = os.path.basename(file).replace("_", "-").split("-")[0].removesuffix(".parquet").lower()
        for part, names in PARTS.items():
            if word in names:
                found[part].append(file)
    name = printable(path)
    require(bool(found["train"]), f"data.root={name} holds no file train*.parquet; name such a folder, or one file")
    return {part: files for part, files in found.items() if files}


def _column(table: "pyarrow.Table", names: Sequence[str], path: str) -> str:
    found = next((name for name in names if name in table.column_names), None)
    require(
        found is not None,
        f"{printable(path)} has no column {' or '.join(names)}; its columns are {', '.join(table.column_names)}",
    )
    return found


def _labels(table: "pyarrow.Table", path: str) -> Tensor:
    column = table[_column(table, LABELS, path)]
    problem = f"{printable(path)}: labels are {column.type}, not integers, or some are missing"
    require(str(column.type).startswith(("int", "uint")) and column.null_count == 0, problem)
    return torch.tensor(column.to_pylist(), dtype=torch.int64)


def _class_names(table: "pyarrow.Table", column: str) -> list[str]:
    """From the Hugging Face metadata of the file; empty where it has none."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return []
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(column, {})
    return list(feature.get("names") or [])
