"""Where a result comes from: versions, machine, commit."""

import platform
import subprocess
from pathlib import Path

import numpy
import torch
import torchvision

from src.training.gpus import query_gpus

ROOT = Path(__file__).resolve().parents[2]


def describe_environment(device: str) -> dict[str, str | int | None]:
    """What somebody needs who wants to know why a number differs from theirs."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "device": device,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": next((gpu.driver for gpu in query_gpus().values()), None),
        "threads": torch.get_num_threads(),
        "commit": git_commit(),
    }


def git_commit() -> str | None:
    """The commit of the code, "-dirty" behind it where files differ from it; None outside a repository."""
    if not (ROOT / ".git").exists():  # an installed wheel, perhaps within another repository
        return None
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}-dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or installed without its repository: a result can do without


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
