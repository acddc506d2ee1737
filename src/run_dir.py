"""The folder of one run: what lies where in it, how its files are read and written, and that no run is overwritten."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src.config import GROUPS, RunConfig
from src.errors import UserError, require
from src.lock import is_locked, try_lock

FORMAT = 1  # of run folders; written to config.yaml


class Status(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    KILLED = "killed"  # never written: result.json says "running", but no process holds the folder's lock


class StopReason(StrEnum):
    EPOCHS = "epochs"
    PAUSE = "pause"
    PATIENCE = "patience"
    MAX_MINUTES = "max_minutes"


@dataclass(frozen=True)
class RunDir:
    """Paths inside `path`; which of them exist depends on how far the run has come."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def log_file(self) -> Path:
        return self.path / "train.log"

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    @property
    def result_file(self) -> Path:
        return self.path / "result.json"

    @property
    def summary_file(self) -> Path:
        return self.path / "summary.txt"

    @property
    def per_class_file(self) -> Path:
        return self.path / "per_class.csv"

    @property
    def test_logits_file(self) -> Path:
        return self.path / "test_logits.pt"

    @property
    def figures_dir(self) -> Path:
        return self.path / "figures"

    def checkpoint(self, name: str) -> Path:
        """The file of the checkpoint `last` or `best`."""
        return self.path / "checkpoints" / f"{name}.pt"

    def create(
        self, config: RunConfig, choices: Mapping[str, Any], overridden: Sequence[str], swept: Sequence[str] = ()
    ) -> None:
        """Writes config.yaml, and a result.json that waits.

        Args:
            config: the run's settings.
            choices: what was chosen from each config group, {"model": "deep"}; other groups of Hydra's are ignored.
            overridden: the settings and groups that the command line names.
            swept: those that differ between the jobs of a sweep.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        chosen = {group: choices[group] for group in GROUPS if choices.get(group)}
        self.result_file.unlink(missing_ok=True)  # of a run that failed before its first step
        self.update_result(
            format=FORMAT,
            status=Status.WAITING,
            seed=config.seed,
            choices=chosen | ({} if config.data.augment else {"augmentation": "off"}),
            overridden=list(overridden),
            swept=list(swept),
        )
        write_text(
            self.config_file, OmegaConf.to_yaml(OmegaConf.create({"format": FORMAT, **asdict(config)}))
        )  # last: by it the run exists

    def load_config(self) -> RunConfig:
        """The run's settings. Raises UserError where config.yaml is damaged or of another format."""
        try:
            loaded = OmegaConf.load(self.config_file)
            format_number = loaded.pop("format", None)
            require(
                format_number == FORMAT,
                f"{self.path} has the run folder format {format_number or 'of an unreleased version'}, and this "
                f"version of cifarlab reads format {FORMAT}; train it again",
            )
            return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RunConfig), loaded))
        except (YAMLError, OmegaConfBaseException, AttributeError, TypeError, UnicodeDecodeError) as error:
            raise UserError(f"{self.config_file} cannot be read: {' '.join(str(error).split())}.") from error

    def load_result(self) -> dict[str, Any]:
        """The content of result.json; empty before the run was created. Raises UserError where it is damaged."""
        if not self.result_file.exists():
            return {}
        try:
            return json.loads(self.result_file.read_text())
        except ValueError as error:
            raise UserError(f"{self.result_file} is damaged ({error}); remove it to continue the run.") from error

    def update_result(self, **facts: Any) -> None:
        """Adds `facts` to result.json, in place of older ones of the same names."""
        updated = datetime.now().isoformat(timespec="seconds")
        result = {**self.load_result(), **facts, "updated": updated}
        write_text(self.result_file, json.dumps(result, indent=2, allow_nan=False) + "\n")

    def evaluated_checkpoint(self) -> str:
        """The checkpoint that the run itself evaluated, "best" or "last"; "last" before its evaluation."""
        return self.load_result().get("evaluated") or "last"

    def require_free(self) -> None:
        """Raises UserError where the folder holds a run that has started: no run is ever overwritten."""
        if not self.config_file.exists():
            return
        begun = self.load_result().get("status") not in (Status.FAILED, Status.WAITING)
        require(
            not begun and not self.checkpoint("last").exists(),
            f"{self.path} already holds a run, which is never overwritten; continue it (resume={self.path}) or choose "
            "another hydra.run.dir",
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out of the folder, which is made where it is missing.

        Raises UserError where another process is in it. Removes the folder again if nothing was written to it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        file = try_lock(self._lock_file)
        require(file is not None, f"{self.path} is in use: another process is training in it")
        try:
            yield
        finally:
            if list(self.path.iterdir()) == [self._lock_file]:
                self._lock_file.unlink()
                self.path.rmdir()
            file.close()

    def is_locked(self) -> bool:
        """Whether a process is in the folder."""
        return is_locked(self._lock_file)

    @property
    def _lock_file(self) -> Path:
        return self.path / ".lock"


def is_finished(result: Mapping[str, Any], pause_at: int | None = None) -> bool:
    """Whether the run of this result.json is completed, or was evaluated after epoch `pause_at` or a later one."""
    if result.get("status") == Status.COMPLETED:
        return True
    return pause_at is not None and any(int(epoch) >= pause_at for epoch in result.get("rungs", {}))


def find_run(path: str | Path, argument: str = "run") -> RunDir:
    """The folder of a run that exists, `~` being the home folder. Raises UserError, whose message names `argument`."""
    run_dir = RunDir(Path(path).expanduser())
    require(
        run_dir.config_file.is_file(),
        f"{argument}={path} is not the folder of a run: it has no config.yaml; see `ls outputs`",
    )
    return run_dir


def relative(path: Path) -> Path:
    """`path` relative to the current folder where it lies below it, as people read and paste it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with a file that then replaces `path`.

    Readers see the old file or the new one, never half of one, whenever the process dies or the power fails.
    """
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, atomically, as UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))
