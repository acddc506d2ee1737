"""SHA256SUMS: checksums of a run's text files, in the format of `sha256sum --check`: of config.yaml, result.json and,
in a finished run, of the other numbers.

Tensor files hold checksums of their own (`src.tensor_file`).
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from src.errors import UserError, require
from src.files import write_text

NAME = "SHA256SUMS"
LINE = re.compile(r"[0-9a-f]{64}  (config\.yaml|result\.json|history\.csv|per_class\.csv)")


def write_checksums(folder: Path, paths: Sequence[Path]) -> None:
    """Writes the checksums of those of `paths` that exist; all of them lie in `folder`."""
    lines = [f"{_digest(path)}  {path.name}\n" for path in paths if path.exists()]
    write_text(folder / NAME, "".join(lines))


def add_checksum(path: Path) -> None:
    """Adds the checksum of `path` to those of its folder, which has none of it."""
    sums = path.with_name(NAME)
    present = sums.read_text(errors="replace") if sums.is_file() else ""
    write_text(sums, f"{present}{_digest(path)}  {path.name}\n")


def keep_checksums(folder: Path, paths: Sequence[Path]) -> None:
    """Drops the checksums of all other files than `paths`: they are going to change."""
    sums = folder / NAME
    if not sums.is_file():
        return
    lines = sums.read_text(errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if line[66:].rstrip("\n") in {path.name for path in paths}]
    if kept != lines:
        write_text(sums, "".join(kept))


def verify_checksum(path: Path) -> None:
    """Raises UserError where `path` differs from its line in SHA256SUMS, or that file is damaged.

    A file without a line passes.
    """
    sums = path.with_name(NAME)
    if not sums.is_file():
        return
    lines = sums.read_text(errors="replace").splitlines()
    require(
        all(map(LINE.fullmatch, lines)),
        f"{sums} is damaged, or was edited: it holds lines that no run writes; restore it, or remove it to "
        "read the files unchecked",
    )
    expected = {line[66:]: line[:64] for line in lines}
    if path.name in expected and expected[path.name] != _digest(path):
        raise UserError(
            f"{path} is damaged, or was edited: it differs from its checksum in {sums}; restore the file, or remove "
            f"{NAME} to read it unchecked."
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
