"""What Hydra takes only from plugins: its sweepers and launchers, conf/hydra/sweeper/ and conf/hydra/launcher/.

Hydra finds them because this file lies in its namespace package `hydra_plugins`.
"""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from src.analysis.runs import REPLICATES
from src.config import RunConfig
from src.errors import require
from src.formatting import count
from src.processes import num_cpus
from src.sweeps.cluster import LocalQueue, SlurmQueue, run_all, submitit_of
from src.sweeps.grid import list_values, parse_overrides, product
from src.sweeps.halving import check_rungs, launch_halving
from src.sweeps.job import Job
from src.sweeps.optuna_search import JOURNAL, Search, launch_search
from src.sweeps.random_search import draw_candidates
from src.sweeps.ray_queue import RayQueue, import_ray
from src.sweeps.sweep import Sweep, folder_name, require_own_folder
from src.sweeps.workers import ProcessPool
from src.torchrun import is_launched


class Jobs(Sweeper):
    """What the sweepers have in common: `work` trains the jobs that they name."""

    def __init__(
        self, params: dict[str, str] | None, max_batch_size: int | None, metric: str, direction: str | None
    ) -> None:
        is_known = params is None or isinstance(params, Mapping)
        require(is_known, f"hydra.sweeper.params={params} must be settings with their values")
        self.params, self.max_batch_size = params, max_batch_size
        self.metric, self.direction = metric, direction

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.work = Sweep(hydra_context, task_function, config, self.metric, self.direction, self.max_batch_size)


class Grid(Jobs):
    """Runs every combination of values; see conf/hydra/sweeper/grid.yaml."""

    def sweep(self, arguments: list[str]) -> None:
        overrides = parse_overrides(self.parser, self.params, arguments)
        swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
        jobs = self.work.prepare(product(overrides), swept)
        with self.work.table_at_end(jobs):
            self.work.launch(jobs)


class RandomSearch(Jobs):
    """Draws candidates and runs each with every seed and fold; see conf/hydra/sweeper/random_search.yaml."""

    def __init__(
        self,
        n_candidates: int,
        seed: int,
        folds: int | None,
        metric: str,
        direction: str | None,
        rungs: Sequence[int],
        eta: int,
        params: dict[str, str] | None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__(params, max_batch_size, metric, direction)
        _require_whole("n_candidates", n_candidates, 1)
        _require_whole("seed", seed, 0)
        _require_whole("eta", eta, 2)
        if folds is not None:
            _require_whole("folds", folds, 2)
        whole = isinstance(rungs, Sequence) and all(type(epoch) is int for epoch in rungs)
        require(whole, f"hydra.sweeper.rungs={rungs} must be a list of epochs, as [2,5]")
        self.n_candidates, self.seed, self.rungs, self.eta = n_candidates, seed, list(rungs), eta
        self.params = {**(params or {}), **(_fold_params(folds) if folds else {})}

    def parse(self, arguments: list[str]) -> None:
        """Splits the overrides into those that are searched, repeated for each candidate, and fixed."""
        overrides = parse_overrides(self.parser, self.params, arguments)
        swept = [override for override in overrides if override.is_sweep_override()]
        self.searched = [override for override in swept if override.key_or_group not in REPLICATES]
        repeated = [override for override in swept if override.key_or_group in REPLICATES]
        require(
            bool(self.searched),
            "the search has nothing to search: list several values of a setting, as optimizer=adam,sgd or "
            "'optimizer.lr=tag(log,interval(1e-4,1e-1))'",
        )
        self.fixed = tuple(text for override in overrides if override not in swept for text in list_values(override))
        self.repetitions = list(itertools.product(*map(list_values, repeated)))
        self.keys = [override.get_key_element() for override in self.searched + repeated]

    def settings_of(self, candidate: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The overrides of each of the candidate's runs."""
        return [(*self.fixed, *candidate, *repetition) for repetition in self.repetitions]

    def sweep(self, arguments: list[str]) -> None:
        self.parse(arguments)
        candidates = draw_candidates(self.searched, self.n_candidates, self.seed)
        settings = [run for candidate in candidates for run in self.settings_of(candidate)]
        jobs = self.work.prepare(settings, self.keys, self.check_rungs)
        self.announce(len(candidates), len(self.repetitions))
        each = len(self.repetitions)
        groups = [jobs[first : first + each] for first in range(0, len(jobs), each)]
        with self.work.table_at_end(jobs):
            launch_halving(self.work, groups, self.rungs, self.eta)

    def check_rungs(self, config: RunConfig) -> None:
        if self.rungs:
            check_rungs(self.rungs, self.eta, self.metric, config.trainer.epochs)

    def announce(self, num_candidates: int, num_repetitions: int) -> None:
        fewer = f" (the space holds no more than {num_candidates})" if num_candidates < self.n_candidates else ""
        rungs = f", halving at epochs {self.rungs}" if self.rungs else ""
        candidates, runs = count(num_candidates, "candidate"), count(num_repetitions, "run")
        print(f"{candidates}{fewer} x {runs} each{rungs}, in {self.work.folder}", flush=True)


class OptunaSearch(RandomSearch):
    """Draws candidates by Optuna, each where the results so far promise most; see conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, candidates_at_once: int, **settings: Any) -> None:
        super().__init__(**settings)
        _require_whole("candidates_at_once", candidates_at_once, 1)
        self.candidates_at_once = candidates_at_once

    def sweep(self, arguments: list[str]) -> None:
        self.parse(arguments)
        if not (self.work.folder / JOURNAL).exists():
            require_own_folder(self.work.folder, [])
        example = draw_candidates(self.searched, 1, self.seed)[0]  # its mistakes show before anything is written
        self.work.check(self.settings_of(example)[:1], self.keys, self.check_rungs, first=-1)
        search = Search(self.work.folder, self.searched, self.seed, self.metric, self.work.direction, self.eta)
        known = [run for _, candidate in search.candidates for run in self.settings_of(candidate)]
        require_own_folder(self.work.folder, [folder_name(n, run, self.keys) for n, run in enumerate(known)], JOURNAL)
        self.announce(self.n_candidates, len(self.repetitions))

        def jobs_of(candidate: tuple[str, ...], first: int) -> list[Job]:
            checked = self.work.check(self.settings_of(candidate), self.keys, self.check_rungs, first)
            return self.work.create(checked, self.keys)

        launch_search(self.work, search, jobs_of, self.n_candidates, self.candidates_at_once, self.rungs)


def _require_whole(name: str, value: int, least: int, node: str = "sweeper") -> None:
    require(
        type(value) is int and value >= least,
        f"hydra.{node}.{name}={value} must be at least {least}, as a whole number",
    )


def _fold_params(folds: int) -> dict[str, str]:
    return {"data.validation": "fold", "data.folds": str(folds), "data.fold": ",".join(map(str, range(folds)))}


class Processes(Launcher):
    """What the launchers have in common: each job is a process of its own, and its folder holds all that it needs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Raises UserError under torchrun, whose processes the jobs would take themselves for."""
        require(not is_launched(), "hydra/launcher does not work under torchrun; use trainer.gpus=... instead")
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.prepare()

    def prepare(self) -> None:
        """Raises UserError where this machine cannot run the jobs."""


class Subprocesses(Processes):
    """Runs several jobs at once, each in a process of its own: hydra/launcher=joblib."""

    def __init__(self, n_jobs: int) -> None:
        _require_whole("n_jobs", n_jobs, 1, "launcher")
        self.n_jobs = n_jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        ProcessPool(self.n_jobs).run(job_overrides)
        return []


class Slurm(Processes):
    """Runs the jobs as an array of SLURM; see conf/hydra/launcher/slurm.yaml."""

    def __init__(self, max_num_timeout: int, array_parallelism: int, **settings: Any) -> None:
        _require_whole("array_parallelism", array_parallelism, 1, "launcher")
        self.max_num_timeout = max_num_timeout
        self.settings = {**settings, "array_parallelism": array_parallelism}

    def prepare(self) -> None:
        """Raises UserError without SLURM, and for unknown settings."""
        self.queue = SlurmQueue(self.folder, self.settings, self.max_num_timeout)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        run_all(self.queue, job_overrides, self.folder, at_once=len(job_overrides))  # SLURM throttles the array
        return []


class SubmititLocal(Processes):
    """Runs the jobs on this machine as SLURM would; see conf/hydra/launcher/submitit_local.yaml."""

    def __init__(self, n_jobs: int, **settings: Any) -> None:
        _require_whole("n_jobs", n_jobs, 1, "launcher")
        self.n_jobs, self.settings = n_jobs, settings

    def prepare(self) -> None:
        submitit_of()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        queue = LocalQueue(self.folder, max(1, num_cpus() // self.n_jobs), self.settings)
        run_all(queue, job_overrides, self.folder, self.n_jobs)
        return []


class Ray(Processes):
    """Runs the jobs as tasks of Ray; see conf/hydra/launcher/ray.yaml."""

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float) -> None:
        numbers = all(isinstance(number, int | float) for number in (num_cpus, num_gpus))
        require(
            numbers and num_cpus > 0 and num_gpus >= 0,
            "hydra.launcher.num_cpus must be a number above 0, hydra.launcher.num_gpus one of at least 0",
        )
        self.address, self.num_cpus, self.num_gpus = address, num_cpus, num_gpus

    def prepare(self) -> None:
        import_ray()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        with closing(RayQueue(self.address, self.num_cpus, self.num_gpus)) as queue:
            run_all(queue, job_overrides, self.folder, at_once=len(job_overrides))  # Ray knows how many run at once
        return []
