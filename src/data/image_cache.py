"""Decoded images in a file that is mapped into memory: each is decoded once, when a run first needs it.

The file is read through the kernel's page cache: it may be larger than memory, and the jobs of a sweep share it.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from src import screen
from src.data.decoding import EncodedImages, decode
from src.errors import require
from src.formatting import duration, printable
from src.lock import hold_lock
from src.tensor_file import load_tensors, save_tensors

log = logging.getLogger("cifarlab")

FOLDER = ".cifarlab"  # beside the user's images
UNREAD, READ, BROKEN = range(3)
SAVE_SECONDS = 15.0  # how often the index is written: what is decoded after that is lost with the process
INDEX_SHAPE = {"identity": str, "state": Tensor, "sizes": Tensor, "broken": {str: str}}


class ImageCache:
    """`images` (N, 3, size, size) uint8 of N encoded images, in the files of `folder`.

    `fill` decodes; what it has not been called for is black.
    """

    def __init__(self, encoded: EncodedImages, size: int, fit: str, folder: Path) -> None:
        self.encoded, self.size, self.fit, self.folder = encoded, size, fit, folder
        self._load()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.encoded), 3, self.size, self.size)

    def fill(self, indices: Tensor, between: Callable[[], None] = lambda: None) -> None:
        """Decodes those of the images at `indices` (n,) int64 that no run has needed before.

        `between` is called after each chunk, and may raise to end early. One process decodes, others wait. Images that
        cannot be read are noted: see `broken`. Raises UserError where the disk has no room.
        """
        if not len(self._missing(indices)):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.folder / ".lock", between):
            self._load()  # another process may have been here
            missing = self._missing(indices)
            if len(missing):
                self._decode(missing, between)

    def broken(self, indices: Tensor) -> dict[str, str]:
        """Name and reason of those of the images at `indices` that cannot be read."""
        found = indices[self.state[indices] == BROKEN].tolist()
        return {self.encoded.name(index): self.reasons[str(index)] for index in found}

    def readable(self, indices: Tensor) -> Tensor:
        """Those of `indices` whose images have been read."""
        return indices[self.state[indices] == READ]

    def _missing(self, indices: Tensor) -> Tensor:
        return indices[self.state[indices] == UNREAD]

    def _load(self) -> None:
        """Maps the file, and reads which images it holds; none where the user's images have changed since."""
        pixels, index = self.folder / "images", self.folder / "index.pt"
        self.state = torch.zeros(len(self.encoded), dtype=torch.uint8)
        self.sizes = torch.zeros(len(self.encoded), 2, dtype=torch.int32)
        self.reasons: dict[str, str] = {}
        self.images: Tensor | None = None
        nbytes = int(np.prod(self.shape))
        if not (index.exists() and pixels.exists() and pixels.stat().st_size == nbytes):
            return
        content = load_tensors(index, INDEX_SHAPE, f"remove {self.folder}: the images are read again")
        if content["identity"] != self.encoded.identity:
            return
        self.state, self.sizes, self.reasons = content["state"], content["sizes"], content["broken"]
        self._map()

    def _map(self) -> None:
        path = self.folder / "images"
        mode = "r+" if os.access(path, os.W_OK) else "c"
        self.images = torch.from_numpy(np.memmap(path, np.uint8, mode, shape=self.shape))

    def _decode(self, missing: Tensor, between: Callable[[], None]) -> None:
        self._make_room(missing)
        start = saved = time.perf_counter()
        log.info(f"reading {len(missing):,} images, once: they are kept in {printable(str(self.folder))}")
        chunks = decode(self.encoded, missing, self.size, self.fit)
        columns = TextColumn("reading images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        try:
            with Progress(*columns, console=screen.console, transient=True, disable=not screen.has_bars()) as bar:
                task = bar.add_task("", total=len(missing))
                for chunk in chunks:
                    self.images[chunk.indices] = chunk.images
                    self.sizes[chunk.indices] = chunk.sizes
                    self.state[chunk.indices] = READ
                    self.state[list(chunk.broken)] = BROKEN
                    self.reasons |= {str(index): reason for index, reason in chunk.broken.items()}
                    bar.advance(task, len(chunk.indices) + len(chunk.broken))
                    if time.perf_counter() - saved > SAVE_SECONDS:
                        self._save()
                        saved = time.perf_counter()
                    between()
        finally:
            self._save()
        log.info(f"read in {duration(time.perf_counter() - start)}{self._describe_sizes(missing)}\n")

    def _make_room(self, missing: Tensor) -> None:
        """Reserves the disk space of the images at `missing`: a mapped file that runs out of it ends the process."""
        path = self.folder / "images"
        each, total = 3 * self.size * self.size, int(np.prod(self.shape))
        if self.images is None:  # a new file: another process may have mapped the old one
            (self.folder / "index.pt").unlink(missing_ok=True)  # first: it describes the old one
            path.unlink(missing_ok=True)
        taken = path.stat().st_blocks * 512 if path.exists() else 0
        reserved = max(0, taken - int((self.state != UNREAD).sum()) * each)  # before an interruption
        free = shutil.disk_usage(self.folder).free + reserved
        require(
            len(missing) * each < free,
            f"the decoded images take {len(missing) * each / 1e9:.2f} GB, but {printable(str(self.folder))} has "
            f"{free / 1e9:.2f} GB free; choose another folder with data.cache=..., a smaller data.image_size, or "
            "data.limit",
        )
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(total)
            if hasattr(os, "posix_fallocate"):
                for first, count in _runs(missing):
                    os.posix_fallocate(file.fileno(), first * each, count * each)
        self._map()

    def _save(self) -> None:
        """Pixels first: the index never names an image that the disk does not have."""
        with (self.folder / "images").open("r+b") as file:
            os.fsync(file.fileno())
        content = {"identity": self.encoded.identity, "state": self.state, "sizes": self.sizes, "broken": self.reasons}
        save_tensors(self.folder / "index.pt", content)

    def _describe_sizes(self, indices: Tensor) -> str:
        """ ", they have 32x32 to 500x375 pixels"."""
        sizes = self.sizes[self.readable(indices)]
        if not len(sizes):
            return ""
        areas = sizes.prod(dim=1)
        low, high = ("x".join(map(str, sizes[place].tolist())) for place in (areas.argmin(), areas.argmax()))
        return f"; they have {low} pixels" if low == high else f"; they have {low} to {high} pixels"


def choose_cache_folder(root: str, chosen: str | None, size: int, fit: str) -> Path:
    """Where the decoded images of `root`, a folder or file, are kept.

    Below `chosen` if given; else beside the images, or in ~/.cache/cifarlab ($XDG_CACHE_HOME) where that folder cannot
    be written.
    """
    home, name = Path(root) if os.path.isdir(root) else Path(root).parent, f"{size}px-{fit}"
    if not os.path.isdir(root):
        name = f"{Path(root).name}-{name}"
    beside = home / FOLDER
    nearest = next(folder for folder in (beside / name, beside, home) if folder.is_dir())
    if chosen is None and os.access(nearest, os.W_OK):
        return beside / name
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cifarlab"
    path = os.path.realpath(root)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return Path(os.path.expanduser(chosen) if chosen else caches) / f"{Path(path).name}-{digest}" / name


def _runs(indices: Tensor) -> list[tuple[int, int]]:
    """First number and length of each run of consecutive numbers in `indices` (n,) int64."""
    numbers = indices.sort().values
    starts = torch.cat([torch.tensor([True]), numbers.diff() != 1]).nonzero().flatten()
    lengths = torch.cat([starts, torch.tensor([len(numbers)])]).diff()
    return list(zip(numbers[starts].tolist(), lengths.tolist(), strict=True))
