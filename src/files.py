"""Files that are written whole or not at all, and text files that are read with one sentence for what is wrong."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from src.errors import UserError, explain_os_error

PART = ".part"  # ends the name of a file that is being written


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with a file that then replaces `path`.

    Readers see the old file or the new one, never half of one, whenever the process dies or the power fails. Raises
    OSError, which names `path`, where it cannot be written; the half that was written is removed, for it would keep a
    full disk full.
    """
    part = path.with_name(f"{path.name}{PART}")
    errors: list[OSError] = []
    try:
        with part.open("wb") as file:
            write(_WatchedFile(file, errors))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        cause = errors[0] if errors else error
        if isinstance(cause, OSError) and cause.errno is not None:
            raise OSError(cause.errno, cause.strerror, str(path)) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, atomically, as UTF-8; undecodable bytes of file names become "?"."""
    write_atomically(path, lambda file: file.write(text.encode(errors="replace")))


def read_text(path: Path) -> str:
    """The UTF-8 text of `path`. Raises UserError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(explain_os_error(error)) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: it is no UTF-8 text.") from error


class _WatchedFile:
    """A file that keeps the OSError of a write in `errors`: `torch.save` raises a RuntimeError in its place."""

    def __init__(self, file: BinaryIO, errors: list[OSError]) -> None:
        self._file, self._errors = file, errors

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self._errors.append(error)
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
