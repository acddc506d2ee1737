"""The jobs of one sweep: their folders, the check of all before the first, the launch, the table at the end."""

import multiprocessing
import os
import re
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from src.config import check, note_choices
from src.errors import Interrupted, UserError, require, require_choice
from src.overrides import COMMAND, exact_command, quoted, quoted_override
from src.results.comparison import DIRECTIONS, Comparison, compare
from src.results.records import Record, differences, flatten, read_record
from src.results.run_folder import RunFolder, find, relative
from src.results.sweep_table import sweep_text, write_sweep

MEASURED = re.compile(r"metrics\.(train|val|test)\.(loss|top1|top5|superclass)")


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
        require(
            bool(MEASURED.fullmatch(metric)),
            f"hydra.sweeper.metric={metric} is not measured: write metrics.<train, val or test>.<loss, top1, top5 or "
            "superclass>",
        )
        self.loader, self.config = hydra_context.config_loader, config
        self.metric, self.direction = metric, direction
        self.folder = relative(Path(config.hydra.sweep.dir).absolute())
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def prepare(
        self,
        settings: Sequence[Sequence[str]],
        swept: Sequence[str],
        also: Callable[[DictConfig], None] = lambda config: None,
    ) -> list[Job]:
        """One job for each list of overrides, its config checked (by `also` too) and laid into its folder.

        `swept` are the keys that name the folders. Raises UserError for the first job that cannot be meant, or whose
        folder holds a run of other settings; nothing is written before all have passed.
        """
        jobs, configs = [], []
        for number, overrides in enumerate(settings):
            config = self.loader.load_sweep_config(self.config, list(overrides))
            choices = config.hydra.runtime.choices
            with open_dict(config):
                del config["hydra"]
            check(config, overrides)
            also(config)
            require(config.resume is None, f"resume={config.resume} goes on with one run; take --multirun away")
            require(
                config.data.validation != "none" or not self.metric.startswith("metrics.val."),
                f"data.validation=none measures no {self.metric}; compare by hydra.sweeper.metric=metrics.test.top1",
            )
            if config.init.run:
                find(config.init.run, "init.run")
            note_choices(config, choices, overrides)
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
        if self.config.hydra.runtime.choices["hydra/launcher"] == "basic":
            self.launcher.launch(batch, initial_job_idx=0)  # the job within this process answers signals itself
            return
        os.environ[COMMAND] = exact_command()
        with passed_on() as asked:
            try:
                self.launcher.launch(batch, initial_job_idx=0)
            except BrokenExecutor as error:
                if not asked:
                    raise UserError("a process that starts jobs was killed, and the sweep with it.") from error
        if asked:
            raise Interrupted(asked[0])

    def compare(self, jobs: Sequence[Job]) -> Comparison:
        return compare([job.record() for job in jobs], self.metric, self.direction)

    @contextmanager
    def closing(self, jobs: Sequence[Job], last_words: Callable[[Comparison], str] | None = None) -> Iterator[None]:
        """Makes the table, however what is done within it ends. Raises UserError where a job is not completed."""
        try:
            yield
        except (Interrupted, KeyboardInterrupt, UserError):
            self.tell(jobs, last_words, cut_short=True)
            raise
        unfinished = self.tell(jobs, last_words)
        require(not unfinished, f"{unfinished} of {len(jobs)} jobs are not completed")

    def tell(self, jobs: Sequence[Job], last_words: Callable[[Comparison], str] | None, cut_short: bool = False) -> int:
        """Prints and writes the table; the number of jobs that are not completed."""
        comparison = self.compare(jobs)
        write_sweep(comparison, self.folder)
        print(f"\n{sweep_text(comparison)}\n\nthe table is in {self.folder}/sweep.md and sweep.csv", flush=True)
        if last_words:
            print(f"\n{last_words(comparison)}", flush=True)
        if comparison.unfinished or cut_short:
            typed = [text for text in shlex.split(exact_command()) if not text.startswith("hydra.sweep.dir=")]
            again = f"{shlex.join(typed)} {quoted_override('hydra.sweep.dir', self.folder)}"
            print(f"to go on with what is not completed:\n  {again}", flush=True)
        return len(comparison.unfinished)


@contextmanager
def passed_on() -> Iterator[list[int]]:
    """Passes signals on to the processes that run jobs: each job saves and ends. Yields the list of the signals."""
    asked: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
