"""Makes the sweepers known to Hydra."""

from hydra.core.plugins import Plugins

from src.search.grid import Grid
from src.search.random_search import RandomSearch


def register_sweepers() -> None:
    """Hydra takes sweepers only from an installed package `hydra_plugins`: it is told that these are of it."""
    for sweeper in (Grid, RandomSearch):
        Plugins.instance().class_name_to_class[f"hydra_plugins.cifarlab.{sweeper.__name__}"] = sweeper
