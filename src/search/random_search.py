"""The sweeper of randomized searches (Bergstra & Bengio 2012), with seeds, folds and successive halving."""

import itertools
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from src.errors import require
from src.overrides import opened
from src.results.records import REPLICATES
from src.results.sweep_table import search_lines
from src.search.halving import check_rungs, launch_halving
from src.search.jobs import Sweep
from src.search.space import draw_candidates, listed


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
        params: dict[str, str],
    ) -> None:
        require(n_candidates >= 1, f"hydra.sweeper.n_candidates={n_candidates} must be at least 1")
        require(seed >= 0, f"hydra.sweeper.seed={seed} must not be negative")
        require(folds is None or folds >= 2, f"hydra.sweeper.folds={folds} must be at least 2, or null for none")
        self.n_candidates, self.seed, self.folds = n_candidates, seed, folds
        self.metric, self.direction = metric, direction
        whole = isinstance(rungs, Sequence) and all(isinstance(epoch, int) for epoch in rungs)
        require(whole, f"hydra.sweeper.rungs={rungs} must be a list of epochs, as [2,5]")
        self.rungs, self.eta, self.params = list(rungs), eta, dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.work = Sweep(hydra_context, task_function, config, self.metric, self.direction)

    def sweep(self, arguments: list[str]) -> None:
        overrides = self.overrides(arguments)
        searched = [o for o in overrides if o.is_sweep_override() and o.key_or_group not in REPLICATES]
        repeated = [o for o in overrides if o.is_sweep_override() and o.key_or_group in REPLICATES]
        require(bool(searched), "hydra/sweeper=random_search has nothing to search: give a setting several values, "
                "as optimizer=adam,sgd or 'optimizer.lr=tag(log,interval(1e-4,1e-1))'")  # fmt: skip
        fixed = tuple(text for o in overrides if not o.is_sweep_override() for text in listed(o))
        drawn = draw_candidates(searched, self.n_candidates, self.seed)
        repetitions = list(itertools.product(*map(listed, repeated)))
        settings = [(*fixed, *candidate, *repetition) for candidate in drawn for repetition in repetitions]
        jobs = self.work.prepare(settings, [o.get_key_element() for o in searched + repeated], self.check_rungs)
        self.announce(len(drawn), len(repetitions))
        each = len(repetitions)
        candidates = [jobs[first : first + each] for first in range(0, len(jobs), each)]
        with self.work.closing(jobs, search_lines):
            launch_halving(self.work, candidates, self.rungs, self.eta)

    def overrides(self, arguments: Sequence[str]) -> list[Override]:
        """The search space of the config, the folds, and the command line, which has the last word on each key."""
        texts = [opened(f"{key}={value}") for key, value in self.params.items()]
        if self.folds:
            numbers = ",".join(map(str, range(self.folds)))
            texts += ["data.validation=fold", f"data.folds={self.folds}", f"data.fold={numbers}"]
        parsed = self.parser.parse_overrides([*texts, *arguments])
        return list({override.key_or_group: override for override in parsed}.values())

    def check_rungs(self, config: DictConfig) -> None:
        if self.rungs:
            check_rungs(self.rungs, self.eta, self.metric, config.trainer.epochs)

    def announce(self, drawn: int, repetitions: int) -> None:
        fewer = f" (the space holds no more than {drawn})" if drawn < self.n_candidates else ""
        rungs = f", halving at epochs {self.rungs}" if self.rungs else ""
        print(f"{drawn} candidates{fewer} x {repetitions} runs each{rungs}, in {self.work.folder}", flush=True)
