"""Makes the sweepers known to Hydra."""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from src.search.grid import Grid, GridConfig
from src.search.random_search import RandomSearch


def register_sweepers() -> None:
    """Hydra takes sweepers only from an installed package `hydra_plugins`: it is told that these are of it."""
    plugins = Plugins.instance()  # reads those that are installed, whose configs ours must not be taken for
    ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=GridConfig)
    for sweeper in (Grid, RandomSearch):
        plugins.class_name_to_class[f"hydra_plugins.cifarlab.{sweeper.__name__}"] = sweeper
