"""Ways to run out of room: writes that fail, a small disk that is filled, a limit on the size of files."""

import builtins
import errno
import io
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

DISK_KIB = 4096


@dataclass
class FailingWrites:
    """Lets the `write`-th write fail in the file `name` when it is opened for the `opening`-th time.

    `name` is a part of the file's name. With `lasting`, every write to a file below `folder` fails from then on.
    """

    name: str
    opening: int
    write: int
    number: int  # errno
    lasting: bool
    folder: Path
    openings: int = 0
    is_full: bool = False
    open_file: Any = field(default=io.open, repr=False)

    @property
    def title(self) -> str:
        lasting = ", lasting" if self.lasting else ""
        return f"{self.name} #{self.opening}.{self.write} {errno.errorcode[self.number]}{lasting}"

    @contextmanager
    def installed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            self.install(patch)
            yield

    @property
    def mark(self) -> Path:
        """Exists once a write has failed; another process can see it."""
        return self.folder / "fired"

    def fire(self) -> None:
        self.mark.touch()
        self.is_full = self.lasting

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(builtins, "open", self.open)
        patch.setattr(io, "open", self.open)

    def open(self, file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        """Opens a file as Python does; one that runs out of room where that is due."""
        path = None if isinstance(file, int) else Path(os.fsdecode(file)).absolute()
        if path is None or not path.is_relative_to(self.folder) or mode[0] not in "wax":
            return self.open_file(file, mode, *arguments, **named)
        is_meant = self.name in path.name
        self.openings += is_meant
        fails = is_meant and self.openings == self.opening
        if self.number == errno.EROFS and (fails or self.is_full):  # known when a file is opened
            self.fire()
            raise OSError(self.number, os.strerror(self.number), str(file))
        return FullFile(self.open_file(file, mode, *arguments, **named), self, self.write if fails else None)


class FullFile:
    """A file whose n-th write fails, without naming the file, as the system's own do."""

    def __init__(self, file: Any, fault: FailingWrites, fails_at: int | None) -> None:
        self.file, self.fault, self.fails_at, self.writes = file, fault, fails_at, 0

    def write(self, content: Any) -> int:
        self.writes += 1
        is_due = self.fails_at is not None and self.writes >= self.fails_at
        if self.fault.is_full or is_due:
            self.fails_at = None
            self.fault.fire()
            raise OSError(self.fault.number, os.strerror(self.fault.number))
        return self.file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> "FullFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Mounts a disk of 4 MiB at `place`; False where mounting is not allowed."""
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, left_kib: int) -> Path:
    """Writes a file that leaves so many KiB of the disk."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 1024 * left_kib))
    return filler


def limit_files(kib: int) -> None:
    """No file of this process may grow beyond so many KiB: EFBIG."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kib, resource.RLIM_INFINITY))
