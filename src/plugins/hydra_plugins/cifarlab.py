"""What Hydra takes only from plugins: two sweepers, `grid` and `random_search`, and the launcher `joblib`.

Hydra finds them because this file lies in its namespace package `hydra_plugins`.
"""

import itertools
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from src.analysis.runs import REPLICATES
from src.analysis.sweep_table import search_lines
from src.config import RunConfig
from src.errors import require
from src.sweeps.grid import list_values, parse_overrides, product
from src.sweeps.halving import check_rungs, launch_halving
from src.sweeps.random_search import draw_candidates
from src.sweeps.sweep import Sweep
from src.sweeps.workers import ProcessPool
from src.torchrun import is_launched


class Grid(Sweeper):
    """Runs every combination of values; see conf/hydra/sweeper/grid.yaml."""

    def __init__(self, params: dict[str, str] | None, max_batch_size: int | None, metric: str, direction: str) -> None:
        _require_params(params)
        self.params, self.max_batch_size = params, max_batch_size
        self.metric, self.direction = metric, direction

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.work = Sweep(hydra_context, task_function, config, self.metric, self.direction, self.max_batch_size)

    def sweep(self, arguments: list[str]) -> None:
        overrides = parse_overrides(self.parser, self.params, arguments)
        swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
        jobs = self.work.prepare(product(overrides), swept)
        with self.work.table_at_end(jobs):
            self.work.launch(jobs)


class RandomSearch(Sweeper):
    """Draws candidates and runs each with every seed and fold; see conf/hydra/sweeper/random_search.yaml."""

    def __init__(
        self,
        n_candidates: int,
        seed: int,
        folds: int | None,
        metric: str,
        direction: str,
        rungs: Sequence[int],
        eta: int,
        params: dict[str, str] | None,
        max_batch_size: int | None = None,
    ) -> None:
        _require_params(params)
        _require_whole("n_candidates", n_candidates, 1)
        _require_whole("seed", seed, 0)
        _require_whole("eta", eta, 2)
        if folds is not None:
            _require_whole("folds", folds, 2)
        whole = isinstance(rungs, Sequence) and all(type(epoch) is int for epoch in rungs)
        require(whole, f"hydra.sweeper.rungs={rungs} must be a list of epochs, as [2,5]")
        self.n_candidates, self.seed = n_candidates, seed
        self.metric, self.direction, self.max_batch_size = metric, direction, max_batch_size
        self.rungs, self.eta = list(rungs), eta
        self.params = {**(params or {}), **(_fold_params(folds) if folds else {})}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.work = Sweep(hydra_context, task_function, config, self.metric, self.direction, self.max_batch_size)

    def sweep(self, arguments: list[str]) -> None:
        overrides = parse_overrides(self.parser, self.params, arguments)
        swept = [override for override in overrides if override.is_sweep_override()]
        searched = [override for override in swept if override.key_or_group not in REPLICATES]
        repeated = [override for override in swept if override.key_or_group in REPLICATES]
        require(
            bool(searched),
            "hydra/sweeper=random_search has nothing to search: list several values of a setting, as "
            "optimizer=adam,sgd or 'optimizer.lr=tag(log,interval(1e-4,1e-1))'",
        )
        fixed = tuple(text for override in overrides if override not in swept for text in list_values(override))
        candidates = draw_candidates(searched, self.n_candidates, self.seed)
        repetitions = list(itertools.product(*map(list_values, repeated)))
        settings = [(*fixed, *candidate, *repetition) for candidate in candidates for repetition in repetitions]
        keys = [override.get_key_element() for override in searched + repeated]
        jobs = self.work.prepare(settings, keys, self.check_rungs)
        self.announce(len(candidates), len(repetitions))
        each = len(repetitions)
        groups = [jobs[first : first + each] for first in range(0, len(jobs), each)]
        with self.work.table_at_end(jobs, search_lines):
            launch_halving(self.work, groups, self.rungs, self.eta)

    def check_rungs(self, config: RunConfig) -> None:
        if self.rungs:
            check_rungs(self.rungs, self.eta, self.metric, config.trainer.epochs)

    def announce(self, num_candidates: int, num_repetitions: int) -> None:
        fewer = f" (the space holds no more than {num_candidates})" if num_candidates < self.n_candidates else ""
        rungs = f", halving at epochs {self.rungs}" if self.rungs else ""
        print(
            f"{num_candidates} candidates{fewer} x {num_repetitions} runs each{rungs}, in {self.work.folder}",
            flush=True,
        )


def _require_params(params: object) -> None:
    require(
        params is None or isinstance(params, Mapping),
        f"hydra.sweeper.params={params} must be settings with their values",
    )


def _require_whole(name: str, value: int, least: int, node: str = "sweeper") -> None:
    require(
        type(value) is int and value >= least,
        f"hydra.{node}.{name}={value} must be at least {least}, as a whole number",
    )


def _fold_params(folds: int) -> dict[str, str]:
    return {"data.validation": "fold", "data.folds": str(folds), "data.fold": ",".join(map(str, range(folds)))}


class Subprocesses(Launcher):
    """Runs several jobs at once, each in a process of its own: hydra/launcher=joblib."""

    def __init__(self, n_jobs: int) -> None:
        _require_whole("n_jobs", n_jobs, 1, "launcher")
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """A job's folder holds all that it needs. Raises UserError under torchrun, of which all jobs would be ranks."""
        require(not is_launched(), "hydra/launcher=joblib does not work under torchrun; use trainer.gpus=... instead")

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        ProcessPool(self.n_jobs).run(job_overrides)
        return []
