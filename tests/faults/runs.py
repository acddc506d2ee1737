"""The small runs that the faults meet, how they are continued, and when two folders of runs are the same."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tests.quick import QUICK

# 150 training images in 10 batches of an epoch; dropout and augmentation draw random numbers; TensorBoard is on.
SETTINGS = (
    *(text for text in QUICK if text != "~logger.tensorboard"),
    "data.batch_size=16",
    "data.augment=true",
    "model.dropout=0.25",
    "optimizer.lr=0.005",
    "trainer.epochs=4",
    "trainer.checkpoint_minutes=1e-6",
)
RESUME_EXTRA = ["trust=true"]  # further arguments of every `resume=`

SINGLE = (*SETTINGS, "hydra.run.dir=run")
SWEEP = ("--multirun", *SETTINGS, "hydra.sweep.dir=sweep", "seed=0,1", "optimizer=adam,sgd")
SEARCH = (
    "--multirun", *SETTINGS, "hydra.sweep.dir=sweep", "hydra/sweeper=random_search", "model.dropout=0,0.25,0.5,0.75",
    "hydra.sweeper.n_candidates=4", "hydra.sweeper.rungs=[1,2]", "hydra.sweeper.eta=2",
)  # fmt: skip
PARALLEL = (
    "--multirun", *SETTINGS, "hydra.sweep.dir=sweep", "seed=0,1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
)  # fmt: skip

# These differ between equal runs; the environment names the commit.
TIMES = ("commands", "started", "updated", "seconds", "seconds_saving", "images_per_second", "environment")


def resume_arguments(folder: Path | str) -> list[str]:
    return [f"resume={folder}", *RESUME_EXTRA]


def continue_arguments(arguments: tuple[str, ...], cwd: Path) -> list[str]:
    """What a person types after a kill: `resume=` where a run exists, else the same command again."""
    is_run = "--multirun" not in arguments and (cwd / "run" / "config.yaml").exists()
    return resume_arguments("run") if is_run else list(arguments)


def find_differences(expected: Path, found: Path) -> list[str]:
    """What differs between two folders in which the same command was run; nothing for times and events."""
    differences = [f"{path.relative_to(found)} is left" for path in sorted(found.rglob("*.part"))]
    names = [_names(expected), _names(found)]
    differences += [f"{name} is missing" for name in sorted(names[0] - names[1])]
    differences += [f"{name} is new" for name in sorted(names[1] - names[0]) if not name.endswith(".part")]
    for name in sorted(names[0] & names[1]):
        try:
            one, other = read_comparable(expected / name), read_comparable(found / name)
        except Exception as error:  # whatever a damaged file raises
            differences.append(f"{name} cannot be read: {error}")
            continue
        if not same(one, other):
            differences.append(f"{name} differs{_where(one, other)}")
    return differences


def read_comparable(path: Path) -> Any:
    """The content of a result, without times; None for a file that holds none.

    previous.pt is only loaded: the epochs here are shorter than the second between two saves, so chance decides which
    step it holds.
    """
    if path.suffix == ".pt":
        content = torch.load(path, weights_only=True)
        return content.get("model", content) if path.name != "previous.pt" else None
    if path.name == "result.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMES}
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]
    return path.read_bytes() if path.name in ("config.yaml", "summary.txt") else None


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and "events.out" not in path.name and path.name != ".lock":
            yield path


def _where(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in one.keys() | other.keys() if not same(one.get(key), other.get(key))]
        return f" ({', '.join(sorted(map(str, keys))[:4])})"
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        keys = {key for a, b in zip(one, other, strict=True) for key in a if a[key] != b.get(key)}
        return f" ({', '.join(sorted(keys)[:4])})"
    return ""
