"""One run of a sweep: where it lies, how it is started, what is said if it ends without a result."""

import re
import shlex
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, read_write

from src.analysis.runs import REPLICATES, RunRecord, read_record
from src.choices import config_folders
from src.errors import UserError
from src.overrides import allow_new_keys, key_of, quote_override
from src.result import Status
from src.run_dir import RunDir, relative
from src.screen import say_error


@dataclass(frozen=True)
class Job:
    """A run's folder, and the overrides that made it; those of the keys in `swept` differ between the jobs."""

    run_dir: RunDir
    overrides: tuple[str, ...] = ()
    swept: tuple[str, ...] = ()
    epochs: float | None = None  # as set; None: as many as fit into trainer.max_minutes

    @property
    def number(self) -> int:
        """From 1 on; folders count from 0."""
        return int(self.run_dir.path.name.partition("_")[0]) + 1

    @property
    def title(self) -> str:
        """What differs: "seed=0 optimizer.lr=0.1"."""
        return " ".join(text.lstrip("+") for text in self.overrides if text.partition("=")[0] in self.swept)

    def record(self) -> RunRecord:
        return read_record(self.run_dir)

    def resume_overrides(self, pause_at: int | None) -> list[str]:
        """Of the command that trains the run to its end, or to the end of epoch `pause_at`."""
        path = self.run_dir.path
        overrides = [quote_override("resume", path), quote_override("hydra.sweep.dir", path.parent)]
        # trusted: `Sweep.prepare` found the folder's config equal to that of the command line
        overrides += [quote_override("hydra.sweep.subdir", path.name), "trust=true"]
        return [*overrides, *([f"pause_at={pause_at}"] if pause_at else [])]

    def train_command(self, options: Sequence[str] = ()) -> str:
        """What a shell takes to train the job's setting, without the seeds and folds by which the sweep repeats it.

        `options` are those of the sweep that its settings need, too.
        """
        left_out = {key_of(key) for key in self.swept} & set(REPLICATES)
        if "data.fold" in left_out:
            left_out |= {"data.validation", "data.folds"}
        kept = [text for text in self.overrides if key_of(text) not in left_out]
        plain = [text.removeprefix("++") if allow_new_keys(text.lstrip("+")) == text else text for text in kept]
        return f"python -m src.train {shlex.join([*options, *plain])}"

    def trained_share(self, result: Mapping[str, Any]) -> float:
        """How much of the run this content of its result.json says is trained, in [0, 1]."""
        planned = result.get("planned_epochs") or self.epochs
        return min(1.0, result.get("epochs", 0) / planned) if planned else 0.0


def folder_of(overrides: Sequence[str]) -> Path:
    """The folder that `Job.resume_overrides` name."""
    return Path(OverridesParser.create().parse_override(overrides[0]).value())


def without_sweeper(config: DictConfig) -> DictConfig:
    """The config of a sweep for its launcher, without the settings that were typed for the sweeper.

    A job is resumed without the experiment that may have chosen the sweeper, and another sweeper does not know them.
    """
    own = deepcopy(config)
    with read_write(own.hydra):
        typed = own.hydra.overrides.hydra
        own.hydra.overrides.hydra = [text for text in typed if not re.match(r"hydra[./]sweeper\b", key_of(text))]
    return own


def options_of_run(config: DictConfig) -> list[str]:
    """What one run needs of the sweep's command: the folder of own configs, and one run where an experiment is many."""
    folders = [relative(folder) for folder in config_folders()[1:]]
    typed = map(key_of, config.hydra.overrides.hydra)  # --multirun is there as hydra.mode
    many = config.hydra.mode == RunMode.MULTIRUN and "hydra.mode" not in typed
    return [*(f"--config-dir={folder}" for folder in folders), *(["hydra.mode=RUN"] if many else [])]


def tell_problem(path: Path, problem: str) -> None:
    """One line for a job that has ended, unless its run knows how: `SweepProgress` tells that."""
    try:
        status = RunDir(path).load_result().get("status", Status.WAITING)
    except (UserError, OSError):  # the table at the end names the damaged file
        status = Status.WAITING
    if status in (Status.WAITING, Status.RUNNING):
        say_error(f"{path}: {problem}")
