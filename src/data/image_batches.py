"""Many image files, read by several threads and handed on in batches: memory does not grow with their number."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from src.config import DataConfig
from src.data.decoding import read_image
from src.errors import UserError
from src.processes import num_cpus

BATCH_SIZE = 512  # that of evaluation (src/training/inference.py): 77 MB of images of 224x224 pixels


class ImageBatch(NamedTuple):
    """`images` (n, 3, size, size) uint8 of the n files `paths`, and a sentence for each file that cannot be read."""

    paths: list[str]
    images: Tensor
    problems: list[str]


def read_in_batches(
    paths: Sequence[str], data: DataConfig, after_each: Callable[[], object] = lambda: None
) -> Iterator[ImageBatch]:
    """The images at `paths`, at the size and fit of `data`, in their order; `after_each` is called after each."""
    size = data.image_size
    read = partial(_read_or_explain, size=size, fit=data.fit)
    with ThreadPoolExecutor(num_cpus()) as threads:
        for first in range(0, len(paths), BATCH_SIZE):
            found, images, problems = [], [], []
            some = paths[first : first + BATCH_SIZE]
            for path, result in zip(some, threads.map(read, some), strict=True):
                if isinstance(result, str):
                    problems.append(result)
                else:
                    found.append(path)
                    images.append(result)
                after_each()
            stacked = torch.stack(images) if images else torch.empty(0, 3, size, size, dtype=torch.uint8)
            yield ImageBatch(found, stacked, problems)


def _read_or_explain(path: str, size: int, fit: str) -> Tensor | str:
    """(3, size, size) uint8, or the sentence that says why there is none."""
    try:
        return read_image(path, size, fit)
    except UserError as error:
        return str(error)
