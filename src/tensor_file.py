"""Files of tensors and plain containers, as `torch.save` writes them, verified when they are read.

Such a file is a zip archive, whose records have CRC-32 checksums. PyTorch does not look at them.
"""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.errors import UserError, explain_os_error, first_line
from src.files import write_atomically
from src.shapes import Shape, check_shape

MMAP_BYTES = 1 << 28  # larger files are mapped into memory, not read


def save_tensors(path: Path, content: dict[str, Any]) -> None:
    """Writes `content` to `path`, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: torch.save(content, file))


def load_tensors(path: Path, shape: Shape, advice: str) -> dict[str, Any]:
    """The content of `path`, on the CPU; it has `shape`, as `src.shapes.check_shape` takes it.

    Raises UserError, which ends in `advice`, where the file is missing, damaged, of another shape, or holds objects
    that are neither tensors nor plain containers: those are not created, since creating them may run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            marked = [info.filename for info in archive.infolist() if info.external_attr]  # PyTorch reads no folders
            damaged = archive.testzip() or next(iter(marked), None)
    except Exception as error:  # a damaged archive may raise anything
        if isinstance(error, OSError) and error.filename:
            raise UserError(explain_os_error(error)) from error
        raise UserError(f"{path} is damaged: it is no archive of tensors; {advice}.") from error
    if damaged is not None:
        raise UserError(f"{path} is damaged: the checksum of {damaged} is wrong; {advice}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=path.stat().st_size > MMAP_BYTES)
    except Exception as error:  # unpickling a damaged file may raise anything
        if "weights_only" in str(error) or "WeightsUnpickler" in str(error):
            problem = "it holds objects that are no tensors, and was not loaded"
        else:
            problem = f"it cannot be read ({first_line(error)})"
        raise UserError(f"{path} is no file of cifarlab, or damaged: {problem}; {advice}.") from error
    try:
        check_shape(content, shape)
    except ValueError as error:
        raise UserError(f"{path} is no file of cifarlab, or damaged: {error}; {advice}.") from error
    return content


def require_finite(tensors: dict[str, Tensor], path: Path, advice: str) -> None:
    """Raises UserError where one of the `tensors` of the file `path` holds NaN or infinity."""
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{path} holds numbers that are not finite ({name}), and was not loaded; {advice}.")
