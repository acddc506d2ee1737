"""What Hydra is told at the start: the sweepers of ours, and how many jobs `hydra/launcher=joblib` runs at once."""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from src.search.grid import Grid, GridConfig
from src.search.random_search import RandomSearch

# The plugin's own config takes one job per core, whatever GPUs there are. Threads are shared out among the jobs.
JOBLIB = {
    "_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "n_jobs": "${jobs_at_once:}",
}


def register_plugins() -> None:
    """Hydra takes sweepers only from an installed package `hydra_plugins`: it is told that these are of it."""
    plugins = Plugins.instance()  # reads those that are installed, whose configs ours must not be taken for
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="basic", node=GridConfig)
    for sweeper in (Grid, RandomSearch):
        plugins.class_name_to_class[f"hydra_plugins.cifarlab.{sweeper.__name__}"] = sweeper
    if JOBLIB["_target_"] in plugins.class_name_to_class:
        store.store(group="hydra/launcher", name="joblib", node=JOBLIB)
