"""The jobs of one sweep: their folders, the check of all before the first, the launch, the table at the end."""

import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from src.analysis.compare import Comparison, choose_direction, compare
from src.analysis.runs import differences, flatten
from src.analysis.setting_curves import write_setting_curves
from src.analysis.sweep_table import sweep_text, write_sweep
from src.analysis.winner import choose_winner
from src.config import RunConfig
from src.errors import UserError, require
from src.formatting import count, first_three
from src.overrides import exact_command, key_of, name_choices, named_keys, shell_override
from src.parsing import parse_config
from src.result import Status, is_finished
from src.run_dir import RunDir, find_run, relative
from src.screen import DOUBTFUL, GOOD, say
from src.sweeps.job import Job, options_of_run, without_sweeper
from src.sweeps.progress import SweepProgress

CheckedJob = tuple[Job, RunConfig, Mapping[str, Any]]  # with its settings and choices
METRIC_NAME = re.compile(r"metrics\.(train|val|test)\.(loss|top1|top5|superclass|ece)")


class Sweep:
    """One folder of jobs, and the launcher that runs them."""

    def __init__(
        self,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
        metric: str,
        direction: str | None,
        max_batch_size: int | None = None,
    ) -> None:
        require(
            isinstance(metric, str) and bool(METRIC_NAME.fullmatch(metric)),
            f"hydra.sweeper.metric={metric} is not measured: write metrics.<train, val or test>.<loss, top1, top5, "
            "superclass or ece>",
        )
        require(
            max_batch_size is None or (type(max_batch_size) is int and max_batch_size >= 1),
            f"hydra.sweeper.max_batch_size={max_batch_size} must be at least 1, or null for all jobs at once",
        )
        self.loader, self.config = hydra_context.config_loader, config
        self.metric, self.max_batch_size = metric, max_batch_size
        self.direction = choose_direction(metric, direction, "hydra.sweeper.direction")
        self.folder = relative(Path(config.hydra.sweep.dir).absolute())
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=without_sweeper(config)
        )
        self.jobs: list[Job] = []
        self.progress = SweepProgress(metric, self.direction, one_by_one=isinstance(self.launcher, BasicLauncher))

    def prepare(
        self,
        settings: Sequence[Sequence[str]],
        swept: Sequence[str],
        check: Callable[[RunConfig], None] = lambda config: None,
    ) -> list[Job]:
        """One job for each list of overrides, its config checked (by `check` too) and written to its folder.

        `swept` are the keys that name the folders. Raises UserError for the first job that is invalid, or whose
        folder holds a run of other settings; nothing is written before all have passed.
        """
        require_own_folder(self.folder, [folder_name(n, each, swept) for n, each in enumerate(settings)])
        return self.create(self.check(settings, swept, check), swept)

    def create(self, checked: Sequence[CheckedJob], swept: Sequence[str]) -> list[Job]:
        """The jobs, each with its config in its folder."""
        for job, config, choices in checked:
            if not job.run_dir.config_file.exists():
                job.run_dir.create(config, choices, named_keys(job.overrides), named_keys(swept))
        self.jobs += [job for job, *_ in checked]
        return [job for job, *_ in checked]

    def check(
        self,
        settings: Sequence[Sequence[str]],
        swept: Sequence[str],
        check: Callable[[RunConfig], None],
        first: int = 0,
    ) -> list[CheckedJob]:
        """What makes each job, of which the first has number `first`. Raises UserError; writes nothing."""
        of_runs = [text for text in self.config.hydra.overrides.hydra if key_of(text) == "hydra.run.dir"]
        require(not of_runs, f"{' '.join(of_runs)} does nothing with --multirun; use hydra.sweep.dir")
        prepared = []
        for number, overrides in enumerate(settings, first):
            composed = self.loader.load_sweep_config(self.config, list(overrides))
            choices = composed.hydra.runtime.choices  # `_parse` takes hydra out of it
            require(not composed.hydra.job.chdir, "hydra.job.chdir=true is not supported; leave it out")
            config = self._parse(composed, overrides)
            check(config)
            run_dir = RunDir(self.folder / folder_name(number, overrides, swept))
            require_same(run_dir, config)
            job = Job(run_dir, tuple(overrides), tuple(swept), config.trainer.epochs)
            prepared.append((job, config, name_choices(choices, config, overrides)))
        return prepared

    def launch(self, jobs: Sequence[Job], pause_at: int | None = None, later: int = 0) -> None:
        """Trains the jobs to their end, or to the end of epoch `pause_at`, each by resuming its folder.

        `later` is the number of jobs that will come after these.
        """
        todo = []
        for job in jobs:
            path, record = job.run_dir.path, job.record()
            if record.status == Status.UNREADABLE:
                print(f"error: {record.reason}", file=sys.stderr, flush=True)
                continue
            if is_finished(record.result, pause_at):
                print(f"{path} is {record.status}; there is nothing left to do.", flush=True)
                continue
            todo.append(job)
        others = [job for job in self.jobs if job not in todo]
        with self.progress.launching(todo, others, later, pause_at):
            size = 1 if self.progress.one_by_one else self.max_batch_size or max(1, len(todo))
            for first in range(0, len(todo), size):
                batch = todo[first : first + size]
                if self.progress.one_by_one:
                    self.progress.tell_start(batch[0])
                self.launcher.launch([job.resume_overrides(pause_at) for job in batch], initial_job_idx=first)
                self.progress.refresh(tell=True)

    @contextmanager
    def table_at_end(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Writes the table, however the jobs end. Raises UserError where one is not completed."""
        try:
            yield
        except BaseException:
            comparison = self._write_table(jobs)
            self._tell_winner(comparison, jobs)
            self._tell_how_to_continue()
            raise
        comparison = self._write_table(jobs)
        unfinished = len(comparison.unfinished) + len(comparison.unreadable)
        if unfinished:
            self._tell_how_to_continue()
        self._tell_winner(comparison, jobs)
        require(not unfinished, f"{unfinished} of {count(len(jobs), 'job')} did not complete")

    def _write_table(self, jobs: Sequence[Job]) -> Comparison:
        """Prints and writes the table, and its pictures."""
        from src.analysis.search_picture import PICTURE, write_search_picture  # imports torch

        comparison = compare([job.record() for job in jobs], self.metric, self.direction)
        write_sweep(comparison, self.folder)
        write_setting_curves(comparison, self.folder)
        write_search_picture(comparison, self.folder)
        files = f"{self.folder}/sweep.md and sweep.csv"
        drawn = f", a picture in {PICTURE}" if (self.folder / PICTURE).exists() else ""
        print(f"\n{sweep_text(comparison)}\n\nthe table is in {files}{drawn}", flush=True)
        return comparison

    def _tell_winner(self, comparison: Comparison, jobs: Sequence[Job]) -> None:
        """The best setting, whether its lead is noise, and the command that trains it."""
        winner = choose_winner(comparison)
        if winner is None:
            return
        (best,) = (job for job in jobs if job.run_dir == winner.row.records[0].run_dir)
        say(f"\n{textwrap.fill(winner.text, 80, break_on_hyphens=False)}", GOOD if winner.is_clear else DOUBTFUL)
        say(f"\nto train it:\n  {best.train_command(options_of_run(self.config))}")

    def _tell_how_to_continue(self) -> None:
        typed = [text for text in shlex.split(exact_command()) if not text.startswith("hydra.sweep.dir=")]
        again = f"{shlex.join(typed)} {shell_override('hydra.sweep.dir', self.folder)}"
        print(f"to continue with what is not completed:\n  {again}", flush=True)

    def _parse(self, composed: DictConfig, overrides: Sequence[str]) -> RunConfig:
        """The checked settings of one job."""
        with open_dict(composed):
            del composed["hydra"]
        config = parse_config(composed, overrides)
        require(composed.pause_at is None, f"pause_at={composed.pause_at} pauses one run; use hydra.sweeper.rungs")
        require(composed.resume is None, f"resume={composed.resume} continues one run; leave --multirun out")
        require(
            config.data.validation != "none" or not self.metric.startswith("metrics.val."),
            f"data.validation=none measures no {self.metric}; compare by hydra.sweeper.metric=metrics.test.top1",
        )
        if config.init.run:
            find_run(config.init.run, "init.run")
        return config


def require_own_folder(folder: Path, job_names: Sequence[str], own_file: str = "") -> None:
    """Raises UserError where `folder` holds anything but this sweep: a run, other runs, files of the user's.

    `own_file` is one that this kind of sweep writes before its first job.
    """
    require(
        not RunDir(folder).config_file.exists(), f"{folder} holds a run, not a sweep; choose another hydra.sweep.dir"
    )
    present = sorted(path.name for path in folder.iterdir() if path.name != own_file) if folder.is_dir() else []
    others = [name for name in present if RunDir(folder / name).holds_run and name not in job_names]
    is_sweep = any(name in present for name in job_names)
    require(
        not (is_sweep and others),
        f"{folder} holds jobs that this command does not have ({first_three(others)}); type the sweep's own command, "
        "with further values of its first setting at most, or choose another hydra.sweep.dir",
    )
    require(
        is_sweep or not present,
        f"{folder} is not empty and holds no sweep ({first_three(present)}); choose a new folder with hydra.sweep.dir",
    )


def require_same(run_dir: RunDir, config: RunConfig) -> None:
    """Raises UserError where the folder holds a run of other settings than `config`."""
    if not run_dir.config_file.exists():
        return
    try:
        own = run_dir.load_config()
    except UserError as error:
        raise UserError(f"{error} Remove that folder to train the job anew.") from error
    others = differences(flatten(own), flatten(config))
    require(
        not others,
        f"{run_dir.path} holds a run of other settings ({', '.join(others)}); choose another hydra.sweep.dir, or start "
        "the sweep there with the same command",
    )


def folder_name(number: int, overrides: Sequence[str], swept: Sequence[str]) -> str:
    """0_optimizer-adam: number and swept settings, without characters that shell, Hydra or file system would quote."""
    named = [text for text in overrides if text.partition("=")[0] in swept]
    settings = [re.sub(r"[^\w.+-]+", "-", text.lstrip("+")).strip("-") for text in named]
    return "_".join([str(number), *settings])[:120]
