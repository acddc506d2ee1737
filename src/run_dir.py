"""The folder of one run: what lies where in it, how its files are read and written, and that no run is overwritten."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from src.checksums import NAME, add_checksum, keep_checksums, verify_checksum, write_checksums
from src.config import GROUPS, RunConfig
from src.errors import UserError, require
from src.files import PART, read_text, write_text
from src.formatting import first_three
from src.lock import is_locked, try_lock
from src.result import Status, read_result

BUILTIN_ERRORS = (AssertionError, AttributeError, RecursionError, TypeError, ValueError)  # of OmegaConf, for bad YAML
FORMAT = 1  # of run folders; written to config.yaml


STARTED_FILES = (
    ".lock",
    "train.log",
    NAME,
    *(f"{name}{end}" for name in ("result.json", "config.yaml") for end in ("", PART)),
)


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
    def val_logits_file(self) -> Path:
        return self.path / "val_logits.pt"

    @property
    def trace_file(self) -> Path:
        return self.path / "trace.json"

    @property
    def figures_dir(self) -> Path:
        return self.path / "figures"

    def checkpoint(self, name: str) -> Path:
        """The file of the checkpoint `last`, `best` or `previous`, the one before the last."""
        return self.path / "checkpoints" / f"{name}.pt"

    @property
    def holds_run(self) -> bool:
        return self.config_file.is_file() and self.result_file.is_file()

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is one to resume from."""
        return self.checkpoint("last").exists() or self.checkpoint("previous").exists()

    @property
    def summed_files(self) -> list[Path]:
        """The text files that other commands read: a finished run has their checksums."""
        return [self.config_file, self.result_file, self.history_file, self.per_class_file]

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
        self.write_config(config)  # last: by it the run exists

    def write_config(self, config: RunConfig) -> None:
        """Writes config.yaml, and its checksum beside that of result.json."""
        (self.path / NAME).unlink(missing_ok=True)  # it may hold the checksum of an older config.yaml
        settings = OmegaConf.create({"format": FORMAT, **asdict(config)})
        write_text(self.config_file, OmegaConf.to_yaml(settings))
        write_checksums(self.path, [self.config_file, self.result_file])

    def load_config(self) -> RunConfig:
        """The run's settings. Raises UserError where config.yaml is damaged or of another format."""
        verify_checksum(self.config_file)
        text = read_text(self.config_file)
        try:
            loaded = OmegaConf.create(text) if text.strip() else None
            holds_settings = isinstance(loaded, DictConfig) and bool(loaded)
            require(holds_settings, f"{self.config_file} is damaged: it holds no settings")
            format_number = loaded.pop("format", None)
            require(
                format_number == FORMAT,
                f"{self.config_file} has the run folder format {format_number or 'of an unreleased version'}, and this "
                f"version of cifarlab reads format {FORMAT}; train it again",
            )
            missing = [name for name in asdict(RunConfig()) if name not in loaded]
            require(not missing, f"{self.config_file} is damaged: {', '.join(missing)} is missing")
            wrong = [name for name in loaded if name != "seed" and not isinstance(loaded[name], DictConfig)]
            require(not wrong, f"{self.config_file} is damaged: {', '.join(map(str, wrong))} is no mapping of settings")
            return OmegaConf.to_object(OmegaConf.merge(_schema(), loaded))
        except (YAMLError, OmegaConfBaseException, *BUILTIN_ERRORS) as error:
            raise UserError(f"{self.config_file} cannot be read: {' '.join(str(error).split())}.") from error

    def load_result(self) -> dict[str, Any]:
        """The content of result.json; empty before the run was created. Raises UserError where it is damaged."""
        return read_result(self.result_file) if self.result_file.exists() else {}

    def update_result(self, **facts: Any) -> None:
        """Adds `facts` to result.json, in place of older ones of the same names; it is then no finished run's.

        The checksum is dropped before and added afterwards: a process that dies in between leaves a file without one.
        """
        updated = datetime.now().isoformat(timespec="seconds")
        result = {**self.load_result(), **facts, "updated": updated}
        keep_checksums(self.path, [self.config_file])
        write_text(self.result_file, json.dumps(result, indent=2, allow_nan=False) + "\n")
        add_checksum(self.result_file)

    def evaluated_checkpoint(self) -> str:
        """The checkpoint that the run itself evaluated, "best" or "last"; "last" before its evaluation."""
        return self.load_result().get("evaluated") or "last"

    def require_free(self) -> None:
        """Raises UserError where the folder holds a run that has started, or anything else: nothing is overwritten."""
        outer = [parent for parent in self.path.absolute().parents if RunDir(parent).holds_run]
        require(
            not outer, f"{self.path} lies in the folder of a run ({outer and outer[0]}); choose another hydra.run.dir"
        )
        require(self.path.resolve() != Path.cwd(), "hydra.run.dir is the current folder; choose a folder of its own")
        if not self.config_file.exists():
            is_ours = not self.result_file.exists() or "format" in self.load_result()
            require(is_ours, f"{self.result_file} is no run's; choose another hydra.run.dir")
            others = sorted(path.name for path in self.path.glob("*") if path.name not in STARTED_FILES)
            require(
                not others,
                f"{self.path} is not empty and holds no run ({first_three(others)}); "
                "choose a new folder with hydra.run.dir",
            )
            return
        begun = self.load_result().get("status") not in (Status.FAILED, Status.WAITING)
        require(
            not begun and not self.has_checkpoint,
            f"{self.path} already holds a run, which is never overwritten; continue it (resume={self.path}) or choose "
            "another hydra.run.dir",
        )

    @contextmanager
    def locked(self, wait_seconds: float = 0.0) -> Iterator[None]:
        """Keeps other processes out of the folder, which is made where it is missing.

        Waits for a process in it to end, but no longer than `wait_seconds`; then raises UserError. Removes the folder
        again if nothing was written to it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        is_new = not self._lock_file.exists()
        file = try_lock(self._lock_file)
        if file is None and wait_seconds:
            print(f"{self.path} is in use: waiting for the process in it to end", flush=True)
        deadline = time.monotonic() + wait_seconds
        while file is None and time.monotonic() < deadline:
            time.sleep(0.1)
            file = try_lock(self._lock_file)
        require(file is not None, f"{self.path} is in use: another process is training in it")
        try:
            yield
        finally:
            if is_new and not self.holds_run:  # what refused the folder, or failed early, leaves no lock in it
                self._lock_file.unlink(missing_ok=True)
            if self.path.is_dir() and not any(self.path.iterdir()):
                self.path.rmdir()
            file.close()

    def is_locked(self) -> bool:
        """Whether a process is in the folder."""
        return is_locked(self._lock_file)

    @property
    def _lock_file(self) -> Path:
        return self.path / ".lock"


@cache
def _schema() -> DictConfig:
    """Of config.yaml, by which OmegaConf checks types; slow to make."""
    return OmegaConf.structured(RunConfig)


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
