"""The sweeper of plain multiruns: every combination of comma-separated values."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from src.results.comparison import METRIC
from src.search.jobs import Sweep
from src.search.space import listed


@dataclass
class GridConfig:
    """`hydra/sweeper=basic`, Hydra's default, as it is here: hydra.sweeper.metric=metrics.val.loss and so on."""

    _target_: str = "hydra_plugins.cifarlab.Grid"
    metric: str = METRIC  # what the table's rows are compared by: any number of result.json
    direction: str = "maximize"  # or minimize


class Grid(Sweeper):
    """Runs the product of all values."""

    def __init__(self, metric: str, direction: str) -> None:
        self.metric, self.direction = metric, direction

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.work = Sweep(hydra_context, task_function, config, self.metric, self.direction)

    def sweep(self, arguments: list[str]) -> None:
        overrides = self.parser.parse_overrides(arguments)
        swept = [override.get_key_element() for override in overrides if override.is_sweep_override()]
        jobs = self.work.prepare(product(overrides), swept)
        with self.work.closing(jobs):
            self.work.launch(jobs)


def product(overrides: Sequence[Override]) -> list[tuple[str, ...]]:
    """One tuple of plain overrides for each combination, the last varying fastest. Raises UserError for interval()."""
    return list(itertools.product(*({override.get_key_element(): listed(override) for override in overrides}).values()))
