"""The jobs of one sweep: their folders, the check of all before the first, the launch, the table at the end."""

import multiprocessing
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from src.config import GROUPS, check, require, require_choice
from src.errors import Interrupted
from src.overrides import quoted, quoted_override
from src.results.comparison import DIRECTIONS, Comparison, compare
from src.results.records import Record, differences, flatten, read_record
from src.results.run_folder import RunFolder, find, relative
from src.results.sweep_table import sweep_text, write_sweep


@dataclass(frozen=True)
class Job:
    """One run of a sweep: the overrides that make its config, and its folder."""

    overrides: tuple[str, ...]
    folder: RunFolder

    def record(self) -> Record:
        return read_record(self.folder)


class Sweep:
    """One folder of jobs and the launcher that runs them."""

    def __init__(
        self, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig, metric: str, direction: str
    ) -> None:
        require_choice("hydra.sweeper.direction", direction, DIRECTIONS)
        require(metric.startswith("metrics."), f"hydra.sweeper.metric={metric} is none: write metrics.val.top1 or such")
        self.loader, self.config = hydra_context.config_loader, config
        self.metric, self.direction = metric, direction
        self.folder = relative(Path(config.hydra.sweep.dir).absolute())
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def prepare(self, settings: Sequence[Sequence[str]], swept: Sequence[str]) -> list[Job]:
        """One job for each list of overrides, its config checked and laid into its folder.

        `swept` are the keys that name the folders. Raises UserError for the first job that cannot be meant, or whose
        folder holds a run of other settings; nothing is written before all have passed.
        """
        jobs, configs = [], []
        for number, overrides in enumerate(settings):
            config = self.loader.load_sweep_config(self.config, list(overrides))
            choices = {group: config.hydra.runtime.choices.get(group) for group in GROUPS}
            with open_dict(config):
                del config["hydra"]
            check(config, overrides)
            if config.init.run:
                find(config.init.run, "init.run")
            config.choices = choices
            folder = RunFolder(self.folder / folder_name(number, overrides, swept))
            require_same(folder, config)
            jobs.append(Job(tuple(overrides), folder))
            configs.append(config)
        for job, config in zip(jobs, configs, strict=True):
            if not job.folder.config.exists():
                job.folder.path.mkdir(parents=True, exist_ok=True)
                job.folder.save_config(config)
                job.folder.save_result({"status": "waiting", "seed": config.seed})
        return jobs

    def launch(self, jobs: Sequence[Job], *control: str) -> None:
        """Runs the jobs, each in its folder; `control` are overrides for all of them."""
        directory = quoted("hydra.sweep.dir", self.folder)
        batch = [
            [*job.overrides, *control, directory, quoted("hydra.sweep.subdir", job.folder.path.name)] for job in jobs
        ]
        with self.signals():
            self.launcher.launch(batch, initial_job_idx=0)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Where jobs have processes of their own, leaves it to them to save and end: Ctrl-C reaches them, SIGTERM is
        passed on. A job within this process sees to it itself.
        """
        if self.config.hydra.runtime.choices["hydra/launcher"] == "basic":
            yield
            return

        def pass_on(number: int, _frame: FrameType | None) -> None:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, number)

        before = [signal.signal(signal.SIGINT, lambda *_: None), signal.signal(signal.SIGTERM, pass_on)]
        try:
            yield
        finally:
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
                signal.signal(number, handler)

    def compare(self, jobs: Sequence[Job]) -> Comparison:
        return compare([job.record() for job in jobs], self.metric, self.direction)

    @contextmanager
    def closing(self, jobs: Sequence[Job], last_words: Callable[[Comparison], str] | None = None) -> Iterator[None]:
        """Makes the table, however what is done within it ends. Raises UserError where a job is not completed."""
        try:
            yield
        except (Interrupted, KeyboardInterrupt):
            self.tell(jobs, last_words)
            raise
        unfinished = self.tell(jobs, last_words)
        require(not unfinished, f"{unfinished} of {len(jobs)} jobs are not completed")

    def tell(self, jobs: Sequence[Job], last_words: Callable[[Comparison], str] | None) -> int:
        """Prints and writes the table; the number of jobs that are not completed."""
        comparison = self.compare(jobs)
        write_sweep(comparison, self.folder)
        print(f"\n{sweep_text(comparison)}\n\nthe table is in {self.folder}/sweep.md and sweep.csv", flush=True)
        if last_words:
            print(f"\n{last_words(comparison)}", flush=True)
        if comparison.unfinished:
            arguments = [text for text in sys.orig_argv[1:] if not text.startswith("hydra.sweep.dir=")]
            directory = quoted_override("hydra.sweep.dir", self.folder)
            print(
                f"to go on with what is not completed:\n  {shlex.join(['python', *arguments])} {directory}", flush=True
            )
        return len(comparison.unfinished)


def require_same(folder: RunFolder, config: DictConfig) -> None:
    """Raises UserError where the folder holds a run of other settings than `config`."""
    if not folder.config.exists():
        return
    others = differences(flatten(folder.load_config()), flatten(config))
    require(
        not others,
        f"{folder.path} holds a run of other settings ({', '.join(others)}); choose another hydra.sweep.dir, or start "
        "the sweep there just as it was",
    )


def folder_name(number: int, overrides: Sequence[str], swept: Sequence[str]) -> str:
    """0_optimizer-adam, of what differs between the jobs: what shell, Hydra and file system all take unquoted."""
    differing = [text for text in overrides if text.partition("=")[0] in swept]
    settings = [re.sub(r"[^\w.+-]+", "-", text.lstrip("+")).strip("-") for text in differing]
    return "_".join([str(number), *settings])[:120]
