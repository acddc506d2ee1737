"""Search by Optuna (Akiba et al. 2019): each candidate is drawn where the results so far promise most."""

import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.types import Override

from src.errors import UserError, require
from src.result import Status
from src.sweeps.grid import list_values
from src.sweeps.halving import score
from src.sweeps.job import Job
from src.sweeps.random_search import require_interval
from src.sweeps.sweep import Sweep

JOURNAL = "optuna.log"  # in the folder of the sweep: Optuna's record of all candidates
AGAIN = "again"  # marks a trial in place of one that failed before
ATTEMPTS = 100  # to draw a candidate that is not one of those before


class Search:
    """Optuna's study of one sweep, kept in the sweep's folder, asked for candidates and told their results.

    Args:
        folder: of the sweep.
        space: the overrides with several values.
        seed: of the draws; with the same results before it, a candidate is the same after an interruption, too.
        metric: that is told.
        direction: maximize or minimize.
        eta: at a rung, one candidate in eta continues.

    Raises UserError where the folder holds a search of another space, metric or direction.
    """

    def __init__(
        self, folder: Path, space: Sequence[Override], seed: int, metric: str, direction: str, eta: int
    ) -> None:
        self.optuna, self.space, self.seed, self.eta = import_optuna(), space, seed, eta
        self.states = self.optuna.trial.TrialState
        folder.mkdir(parents=True, exist_ok=True)
        backend = self.optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
        self.study = self.optuna.create_study(
            storage=self.optuna.storages.JournalStorage(backend),
            study_name="cifarlab",
            direction=direction,
            load_if_exists=True,
        )
        asked = {"space": [override.input_line for override in space], "metric": metric, "direction": direction}
        for name, value in asked.items():
            before = self.study.user_attrs.get(name, value)
            require(before == value, f"{folder} holds a search of another {name} ({before}); choose another folder")
            self.study.set_user_attr(name, value)

    @property
    def candidates(self) -> list[tuple[Any, tuple[str, ...]]]:
        """The overrides of each, in the order in which they were drawn, with its last trial."""
        trials = [trial for trial in self.study.get_trials(deepcopy=False) if trial.user_attrs.get("overrides")]
        last = {tuple(trial.user_attrs["overrides"]): trial for trial in trials}
        return [(trial, overrides) for overrides, trial in last.items()]

    def ask(self) -> bool:
        """Draws a new candidate; False where the space seems to hold no more."""
        before = {overrides for _, overrides in self.candidates}
        distributions = {override.get_key_element(): self._distribution(override) for override in self.space}
        for _ in range(ATTEMPTS):
            number = sum(AGAIN not in trial.user_attrs for trial in self.study.get_trials(deepcopy=False))
            seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
            self.study.sampler = self.optuna.samplers.TPESampler(seed=seed)
            trial = self.study.ask(distributions)
            overrides = tuple(_write(override, trial.params) for override in self.space)
            if overrides not in before:
                trial.set_user_attr("overrides", list(overrides))
                return True
            self.study.tell(trial, state=self.states.FAIL)
        return False

    def reopen(self, trial: Any) -> int:
        """The number of a trial that is trained on; of a new one in place of one that failed at an earlier start."""
        if trial.state != self.states.FAIL:
            return trial.number
        again = self.optuna.trial.create_trial(
            state=self.states.RUNNING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**trial.user_attrs, AGAIN: True},
        )
        self.study.add_trial(again)
        return len(self.study.get_trials(deepcopy=False)) - 1

    def reject(self, number: int) -> None:
        """Trial `number` is no valid run: it is no candidate."""
        self.optuna.trial.Trial(self.study, self.study.trials[number]._trial_id).set_user_attr("overrides", [])
        self.tell(number, None)

    def report(self, number: int, epoch: int, value: float) -> None:
        """The value of trial `number` at a rung; a sweep that continues reports some of them again."""
        trial = self.study.trials[number]
        if not trial.state.is_finished() and epoch not in trial.intermediate_values:
            self.optuna.trial.Trial(self.study, trial._trial_id).report(value, epoch)

    def continues(self, number: int, epoch: int) -> bool:
        """Whether trial `number` is among the best 1/eta of all that have reached the rung, or one of the first eta."""
        trial = self.study.trials[number]
        if trial.state.is_finished():
            return trial.state == self.states.COMPLETE
        sign = 1 if self.study.direction.name == "MAXIMIZE" else -1
        trials = [trial for trial, _ in self.candidates]
        values = [sign * t.intermediate_values[epoch] for t in trials if epoch in t.intermediate_values]
        better = sum(value > sign * trial.intermediate_values[epoch] for value in values)
        if len(values) <= self.eta or better < len(values) / self.eta:
            return True
        self.study.tell(number, state=self.states.PRUNED)
        return False

    def tell(self, number: int, value: float | None) -> None:
        """The result of trial `number`, if none is known yet; None: a run of it has failed."""
        state = self.states.FAIL if value is None else None
        self.study.tell(number, value, state=state, skip_if_finished=True)

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
    jobs_of: Callable[[tuple[str, ...], int], list[Job]],
    n_candidates: int,
    at_once: int,
    rungs: Sequence[int],
) -> None:
    """Draws and trains `n_candidates`, `at_once` of them side by side; those of an earlier start are not drawn again.

    Args:
        sweep: its folder and launcher.
        search: draws.
        jobs_of: the jobs of a candidate's overrides, one for each seed and fold; the first has the number given.
        n_candidates: in all.
        at_once: candidates that are drawn before the results of the others are known.
        rungs: epochs at which a candidate ends that is not among the best.
    """
    jobs: list[Job] = []
    with sweep.table_at_end(jobs):
        for first in itertools.count(0, at_once):
            while len(search.candidates) < min(first + at_once, n_candidates) and search.ask():
                pass
            batch = search.candidates[first : min(first + at_once, n_candidates)]
            if not batch:
                return
            groups = {}
            for trial, overrides in batch:
                number = search.reopen(trial)
                try:
                    groups[number] = jobs_of(overrides, len(jobs))
                except UserError:
                    search.reject(number)
                    raise
                jobs += groups[number]
            later = (n_candidates - first - len(batch)) * len(jobs) // (first + len(batch))
            _train(sweep, search, groups, rungs, later)


def _train(sweep: Sweep, search: Search, groups: dict[int, list[Job]], rungs: Sequence[int], later: int) -> None:
    """Trains the jobs of each trial, from rung to rung, and tells the results; `later` jobs come after them."""
    alive = dict(groups)
    for epoch in rungs:
        sweep.launch([job for jobs in alive.values() for job in jobs], epoch, later)
        scores = {number: score(jobs, epoch, sweep.metric) for number, jobs in alive.items()}
        reached = {number: value for number, value in scores.items() if value is not None}
        for number, value in reached.items():
            search.report(number, epoch, value)
        alive = {number: alive[number] for number in reached if search.continues(number, epoch)}
    sweep.launch([job for jobs in alive.values() for job in jobs], later=later)
    for number in groups:  # those that ended at a rung are told already
        search.tell(number, _result(groups[number], sweep.metric) if number in alive else None)


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
