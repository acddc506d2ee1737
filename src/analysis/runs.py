"""Runs as records, read from their folders: settings, result, status; and records in groups."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from src.checksums import verify_checksum
from src.config import RunConfig
from src.errors import UserError, explain_os_error, require
from src.loggers.history_csv import read_history
from src.loggers.logger import Row
from src.nodes import leaves
from src.result import Status
from src.run_dir import RunDir

REPLICATES = ("seed", "data.fold")  # these repeat a setting; they are no settings to compare
WITHOUT_EFFECT = ("data.cache", "data.source.cache", "trainer.checkpoint_minutes")  # on the metrics


@dataclass(frozen=True)
class RunRecord:
    run_dir: RunDir
    settings: dict[str, Any]  # by dotted name, without those that have no effect on the metrics
    result: dict[str, Any]  # the content of result.json
    history: list[Row]
    status: Status
    reason: str  # why the run failed or cannot be read; else empty
    epochs: int  # completed
    seconds: float  # of training

    @property
    def choices(self) -> dict[str, str]:
        """By config group; "off" for an augmentation that is not used."""
        return self.result.get("choices", {})

    @property
    def replicate(self) -> tuple[int, ...]:
        """Seed and fold."""
        return tuple(self.settings[name] for name in REPLICATES)

    @property
    def metrics(self) -> dict[str, int | float | None]:
        """All that the run measured, by dotted names as for `metric`."""
        return {f"metrics.{name}": value for name, value in leaves(self.result.get("metrics") or {})}

    def metric(self, name: str) -> float | None:
        """A number of result.json by its dotted name, as metrics.val.top1; None where it was not measured."""
        value = dict(leaves(self.result)).get(name)
        return value if isinstance(value, int | float) else None

    @property
    def is_searched(self) -> bool:
        """Whether successive halving decided how far it was trained; pause_at pauses a single run, too."""
        return bool(self.result.get("rungs") and self.result.get("swept"))

    @property
    def planned_epochs(self) -> float | None:
        """Of the whole run; None where trainer.max_minutes has not settled them yet."""
        return self.result.get("planned_epochs") or self.settings["trainer.epochs"]

    @property
    def has_ended_well(self) -> bool:
        """Completed, or paused on purpose."""
        return self.status in (Status.COMPLETED, Status.PAUSED)

    def has_measured(self, name: str) -> bool:
        """Whether `metric` is the run's result: one that failed or still runs has counted seconds and epochs, too."""
        return self.has_ended_well and self.metric(name) is not None


Rows = Mapping[str, Sequence[RunRecord]]  # the runs of each setting, by its name in a report


def collect(paths: Iterable[str | Path]) -> list[RunRecord]:
    """The runs in these folders and below them, each once, sorted by name. Raises UserError where there are none."""
    records: dict[Path, RunRecord] = {}
    for path in map(Path, paths):
        require(path.is_dir(), f"runs={path} is no folder; give folders of runs, such as outputs/<sweep>")
        folders = {file.parent for name in ("config.yaml", "result.json") for file in path.rglob(name)}
        folders = {folder for folder in folders if not any(RunDir(outer).holds_run for outer in folder.parents)}
        require(bool(folders), f"runs={path} holds no run: there is no config.yaml in it or below it")
        for folder in sorted(folders, key=_natural_order):
            records.setdefault(folder.resolve(), read_record(RunDir(folder)))
    return list(records.values())


def read_record(run_dir: RunDir) -> RunRecord:
    """The run as its folder tells it; where a file cannot be read, an unreadable record without settings."""
    try:
        was_locked = run_dir.is_locked()
        config, result = run_dir.load_config(), run_dir.load_result()
        history = read_history(run_dir.history_file) if run_dir.history_file.exists() else []
        if run_dir.per_class_file.exists():
            verify_checksum(run_dir.per_class_file)  # people read it, no command does
    except (UserError, OSError) as error:
        return unreadable(run_dir, error)
    status, reason = Status(result.get("status", Status.WAITING)), result.get("reason") or ""
    if status == Status.RUNNING and not was_locked and not run_dir.is_locked():  # it may start or end meanwhile
        status, reason = Status.KILLED, "the process ended without a message: it was killed, or the machine went down"
    last = history[-1] if history else {}  # newer than result.json while a run trains and after it was killed
    epochs = max(result.get("epochs", 0), last.get("epoch", 0))
    seconds = max(result.get("seconds", 0.0), last.get("seconds") or 0.0)
    settings = {name: value for name, value in flatten(config).items() if name not in WITHOUT_EFFECT}
    return RunRecord(run_dir, settings, result, history, status, reason, epochs, seconds)


def unreadable(run_dir: RunDir, error: UserError | OSError) -> RunRecord:
    """The record of a run of which a file is damaged or missing."""
    reason = explain_os_error(error) if isinstance(error, OSError) else str(error)
    return RunRecord(run_dir, {}, {}, [], Status.UNREADABLE, reason, 0, 0.0)


def device_of(record: RunRecord) -> str:
    return str(record.result.get("environment", {}).get("device", "an unknown device"))


def flatten(config: RunConfig) -> dict[str, Any]:
    """{"data.batch_size": 128, ...}: every setting that decides what a run computes; lists are values.

    A whole number is an int, whatever was typed: 0 and 0.0 are one setting, though not one text.
    """
    unused = {"logger"} if config.data.augment else {"logger", "augmentation"}
    flat = dict(leaves({key: value for key, value in asdict(config).items() if key not in unused}))
    del flat["data.workers"]  # only the time depends on it
    return {name: _whole(value) for name, value in flat.items()}


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The names of the settings in which two runs differ."""
    return [name for name in {**first, **second} if first.get(name) != second.get(name)]


def drop_repeats(records: Iterable[RunRecord], *metrics: str) -> list[RunRecord]:
    """Of the runs that have measured all `metrics`, one per setting, seed and fold: the completed, else the longest."""
    measured = [record for record in records if all(map(record.has_measured, metrics))]
    groups = group_records(measured, lambda record: sorted(record.settings.items()))
    return [max(group, key=lambda record: (record.status == Status.COMPLETED, record.epochs)) for group in groups]


def group_records(records: Iterable[RunRecord], key: Callable[[RunRecord], Any]) -> list[list[RunRecord]]:
    """The records with equal keys together, in the order of their first ones."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(repr(key(record)), []).append(record)
    return list(groups.values())


def _whole(value: Any) -> Any:
    """0 of 0.0; the same in lists."""
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _natural_order(folder: Path) -> list[int | str]:
    """A sort key: 2_lr before 10_lr."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(folder))]
