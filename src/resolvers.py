"""What `${...:...}` in conf/ stands for: names of new folders, the number of jobs at once, choices for --help."""

import secrets
import textwrap
from datetime import datetime

from omegaconf import OmegaConf

from src.choices import choices
from src.processes import num_cpus
from src.run_dir import find_run


def register_resolvers() -> None:
    """The functions that configs call. Run folders end in random digits: runs of the same second must not share one."""
    for resolver in (run_folder, sweep_folder, report_folder, compare_folder, jobs_at_once, group_choices):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, use_cache=True, replace=True)


def run_folder(resume: str | None, model: str, experiment: str | None) -> str:
    """outputs/2026-11-23_21-30-01_deep_3fa9c2, or the folder of the run to resume."""
    if resume is None:
        return _new_folder((experiment or model).replace("/", "-"))
    return str(find_run(resume, "resume").path)


def sweep_folder() -> str:
    """Holds the folders of a sweep's jobs."""
    return _new_folder("sweep")


def report_folder() -> str:
    return _new_folder("report")


def compare_folder() -> str:
    return _new_folder("compare")


def jobs_at_once() -> int:
    """How many runs share this machine well: one per GPU, but two on a single one, which small networks leave idle."""
    import torch

    gpus = torch.cuda.device_count()
    return max(2, gpus) if gpus else num_cpus()


def group_choices(group: str) -> str:
    """The choices of a config group, indented for --help."""
    return textwrap.fill(", ".join(choices(group)), 72).replace("\n", "\n    ")


def _new_folder(name: str) -> str:
    return f"outputs/{datetime.now():%Y-%m-%d_%H-%M-%S}_{name}_{secrets.token_hex(3)}"
