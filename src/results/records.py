"""Runs as rows: what is read from run folders to compare them, and nothing else is remembered anywhere."""

import fcntl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.errors import UserError
from src.results.history import Row, read_history
from src.results.run_folder import RunFolder
from src.schemas import GROUPS

REPLICATES = ("seed", "data.fold")  # what repeats a setting instead of being one
RUN_CONTROL = ("resume", "pause_at", "choices", "named")  # no part of what a run computes


@dataclass(frozen=True)
class Record:
    """One run. `settings` are all of its config by dotted name, `choices` what was chosen from each group."""

    folder: RunFolder
    config: DictConfig
    result: dict[str, Any]
    status: str  # waiting, running, completed, paused, interrupted, failed or killed
    settings: dict[str, Any]
    choices: dict[str, str]

    @property
    def reason(self) -> str:
        """Why the run is not completed; empty where there is nothing to say."""
        if self.status == "killed":
            return "the process ended without a word: it was killed, or the machine went down"
        return self.result.get("reason", "")

    @property
    def replicate(self) -> tuple[Any, ...]:
        return tuple(self.settings.get(name) for name in REPLICATES)

    @property
    def seconds(self) -> float:
        return max(self.result.get("seconds", 0.0), self._last("seconds"))

    @property
    def epochs(self) -> int:
        return max(self.result.get("epochs", 0), int(self._last("epoch")))

    def _last(self, name: str) -> float:
        """Of the history, which is ahead of the result while a run is under way or after it was killed."""
        return (self.history[-1].get(name) or 0) if self.history else 0

    @cached_property
    def history(self) -> list[Row]:
        return read_history(self.folder.history) if self.folder.history.exists() else []

    def metric(self, name: str) -> float | None:
        """A number of result.json by its dotted name, as metrics.val.top1; None where it was not measured."""
        value: Any = self.result
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value if isinstance(value, int | float) else None


def collect(paths: Iterable[str | Path]) -> list[Record]:
    """The runs in these folders and below them, in the order of their names. Raises UserError where there are none."""
    records: dict[Path, Record] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(f"runs={path} is no folder; give folders of runs, such as outputs/<sweep>.")
        folders = [file.parent for file in path.rglob("config.yaml")]
        if not folders:
            raise UserError(f"runs={path} holds no run: there is no config.yaml in it or below it.")
        for folder in sorted(folders, key=natural):
            records.setdefault(folder.resolve(), read_record(RunFolder(folder)))
    return list(records.values())


def read_record(folder: RunFolder) -> Record:
    """Raises UserError where the folder's files cannot be read."""
    config, result = folder.load_config(), folder.load_result()
    status = result.get("status", "waiting")
    if status == "running" and not is_locked(folder):
        status = "killed"
    choices = {group: config.choices[group] for group in GROUPS if config.choices.get(group)}
    if not config.data.augment:
        choices["augmentation"] = "off"
    return Record(folder, config, result, status, flatten(config), choices)


def flatten(config: DictConfig) -> dict[str, Any]:
    """{"data.batch_size": 128, ...}: all that decides what a run computes; lists are values."""
    flat: dict[str, Any] = {}

    def walk(node: dict[str, Any], prefix: str) -> None:
        for key, value in node.items():
            name = f"{prefix}{key}"
            if name in RUN_CONTROL:
                continue
            if isinstance(value, dict):
                walk(value, f"{name}.")
            else:
                flat[name] = value

    config = config.copy()
    config.data.num_classes = None  # a run writes here what it finds, and others refer to it
    walk(OmegaConf.to_container(config, resolve=True), "")
    if not config.data.augment:
        flat = {name: value for name, value in flat.items() if not name.startswith("augmentation.")}
    return flat


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """The names of the settings in which two runs differ."""
    return [name for name in {**first, **second} if first.get(name) != second.get(name)]


def is_locked(folder: RunFolder) -> bool:
    """Whether a process is in the folder."""
    lock = folder.path / ".lock"
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def natural(path: Path) -> tuple[Any, ...]:
    """Sorts 2_lr before 10_lr."""
    number, _, rest = path.name.partition("_")
    return (str(path.parent), int(number) if number.isdigit() else -1, rest, path.name)


def statuses(records: Sequence[Record]) -> str:
    """ "completed", or how many have come how far: "2 completed, 1 failed"."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    if len(counts) == 1:
        return records[0].status
    return ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
