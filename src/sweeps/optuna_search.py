"""Search by Optuna (Akiba et al. 2019): each candidate is drawn where the results so far promise most."""

import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from src.analysis.sweep_table import search_lines
from src.config import RunConfig
from src.errors import UserError, require
from src.result import Status
from src.sweeps.grid import list_values
from src.sweeps.halving import score
from src.sweeps.random_search import require_interval
from src.sweeps.sweep import Job, Sweep

JOURNAL = "optuna.log"  # in the folder of the sweep: Optuna's record of all candidates
ATTEMPTS = 100  # to draw a candidate that is not one of those before


class Search:
    """Optuna's study of one sweep, kept in the sweep's folder, asked for candidates and told their results.

    Args:
        folder: of the sweep.
        space: the overrides with several values.
        seed: of the draws; with the same results before it, a candidate is the same after an interruption, too.
        direction: maximize or minimize.
        eta: at a rung, one candidate in eta continues.
    """

    def __init__(self, folder: Path, space: Sequence[Override], seed: int, direction: str, eta: int) -> None:
        self.optuna, self.space, self.seed = import_optuna(), space, seed
        folder.mkdir(parents=True, exist_ok=True)
        backend = self.optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
        self.study = self.optuna.create_study(
            storage=self.optuna.storages.JournalStorage(backend),
            study_name="cifarlab",
            direction=direction,
            pruner=self.optuna.pruners.PercentilePruner(100 / eta, n_startup_trials=eta),
            load_if_exists=True,
        )

    @property
    def candidates(self) -> list[tuple[Any, tuple[str, ...]]]:
        """All trials with their overrides, in the order in which they were drawn."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if "overrides" in trial.user_attrs]
        return [(trial, tuple(trial.user_attrs["overrides"])) for trial in trials]

    def ask(self) -> bool:
        """Draws a new candidate; False where the space seems to hold no more."""
        results = {overrides: trial.value for trial, overrides in self.candidates}
        distributions = {override.get_key_element(): self._distribution(override) for override in self.space}
        for _ in range(ATTEMPTS):
            number = len(self.study.get_trials(deepcopy=False))
            self.study.sampler = self.optuna.samplers.TPESampler(seed=self.seed + number)
            trial = self.study.ask(distributions)
            overrides = tuple(_write(override, trial.params) for override in self.space)
            if overrides not in results:
                trial.set_user_attr("overrides", list(overrides))
                return True
            if results[overrides] is None:
                self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
            else:
                self.study.tell(trial, results[overrides])
        return False

    def continues(self, number: int, epoch: int, value: float | None) -> bool:
        """Tells trial `number`'s value at a rung; whether it is among the best 1/eta of those before it."""
        trial = self.optuna.trial.Trial(self.study, self.study.trials[number]._trial_id)
        if value is None or self.study.trials[number].state.is_finished():
            return value is not None and not self._is_pruned(number)
        trial.report(value, epoch)
        if trial.should_prune():
            self.study.tell(number, state=self.optuna.trial.TrialState.PRUNED)
            return False
        return True

    def tell(self, number: int, value: float | None) -> None:
        """The result of trial `number`; None: a run of it has failed."""
        failed = self.optuna.trial.TrialState.FAIL
        self.study.tell(number, value, state=failed if value is None else None, skip_if_finished=True)

    def _is_pruned(self, number: int) -> bool:
        return self.study.trials[number].state == self.optuna.trial.TrialState.PRUNED

    def _distribution(self, override: Override) -> Any:
        if not override.is_interval_sweep():
            return self.optuna.distributions.CategoricalDistribution(list_values(override))
        interval = override.value()
        require_interval(override.input_line, interval)
        whole, log = isinstance(interval.start, int), "log" in interval.tags
        kind = self.optuna.distributions.IntDistribution if whole else self.optuna.distributions.FloatDistribution
        return kind(interval.start, interval.end, log=log)


def launch_search(
    sweep: Sweep,
    search: Search,
    settings_of: Callable[[tuple[str, ...]], Sequence[Sequence[str]]],
    keys: Sequence[str],
    check: Callable[[RunConfig], None],
    n_candidates: int,
    at_once: int,
    rungs: Sequence[int],
) -> None:
    """Draws and trains `n_candidates`, `at_once` of them side by side; those of an earlier start are not drawn again.

    Args:
        sweep: its folder and launcher.
        search: draws.
        settings_of: the overrides of each run of a candidate: its seeds and folds.
        keys: of the overrides that name the folders.
        check: of a run's settings.
        n_candidates: in all.
        at_once: candidates that are drawn before the results of the others are known.
        rungs: epochs at which a candidate ends that is not among the best.
    """
    jobs: list[Job] = []
    with sweep.table_at_end(jobs, search_lines):
        for first in itertools.count(0, at_once):
            while len(search.candidates) < min(first + at_once, n_candidates) and search.ask():
                pass
            batch = search.candidates[first : min(first + at_once, n_candidates)]
            if not batch:
                return
            groups = {}
            for trial, overrides in batch:
                groups[trial.number] = sweep.add(settings_of(overrides), keys, check, first=len(jobs))
                jobs += groups[trial.number]
            _train(sweep, search, groups, rungs)


def _train(sweep: Sweep, search: Search, groups: dict[int, list[Job]], rungs: Sequence[int]) -> None:
    """Trains the jobs of each trial, from rung to rung, and tells the results."""
    alive = dict(groups)
    for epoch in rungs:
        sweep.launch([job for jobs in alive.values() for job in jobs], pause_at=epoch)
        scores = {number: score(jobs, epoch, sweep.metric) for number, jobs in alive.items()}
        alive = {number: alive[number] for number in alive if search.continues(number, epoch, scores[number])}
    sweep.launch([job for jobs in alive.values() for job in jobs])
    for number in groups.keys() if not rungs else alive.keys() | _failed(groups, rungs, sweep.metric):
        search.tell(number, _result(groups[number], sweep.metric))


def _failed(groups: dict[int, list[Job]], rungs: Sequence[int], metric: str) -> set[int]:
    return {number for number, jobs in groups.items() if score(jobs, rungs[0], metric) is None}


def _result(jobs: Sequence[Job], metric: str) -> float | None:
    """The mean over the runs; None where one is not completed."""
    records = [job.record() for job in jobs]
    values = [record.metric(metric) if record.status == Status.COMPLETED else None for record in records]
    return None if None in values else statistics.fmean(values)


def _write(override: Override, params: dict[str, Any]) -> str:
    """The plain override with the value that was drawn."""
    key = override.get_key_element()
    if not override.is_interval_sweep():
        return params[key]
    return f"{key}={params[key]}" if isinstance(params[key], int) else f"{key}={params[key]:.4g}"


def import_optuna() -> Any:
    """The module optuna, which then prints warnings only. Raises UserError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UserError('hydra/sweeper=optuna needs Optuna: pip install -e ".[optuna]".') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    require(hasattr(optuna.storages, "JournalStorage"), "hydra/sweeper=optuna needs Optuna 4 or later")
    return optuna
